"""Randomness of synthetic prices: seeded, and in whole numbers only, so that a seed gives the same stream on any
machine."""

from random import Random

PERMILLE = 1000


class Dice:
    """A stream of random numbers that belongs to one name under one seed."""

    __slots__ = ("_random",)

    def __init__(self, seed: int, name: str) -> None:
        self._random = Random(f"{seed}:{name}")

    def bits(self, count: int) -> int:
        """A whole number below 2 ** count."""
        return self._random.getrandbits(count)

    def below(self, limit: int) -> int:
        """A whole number below `limit`."""
        return self._random.randrange(limit)

    def normal_permille(self) -> int:
        """Nearly normal with mean 0 and standard deviation 1,000: ones among 256 fair bits, which deviate by 8."""
        return (self._random.getrandbits(256).bit_count() - 128) * 125
