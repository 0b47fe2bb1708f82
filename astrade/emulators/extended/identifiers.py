"""Numbers and keys that are a function of the seed."""

import hashlib

from astrade.venues.extended.signing import CURVE_ORDER

FIRST_MS = 1_288_834_974_657  # the epoch that puts today's ids where the exchange's lie (1.8 to 2.1 · 10¹⁸)
SEED_BITS, COUNTER_BITS = 10, 12


class Snowflake:
    """63-bit ids that only grow: milliseconds, a part of the seed, a counter."""

    def __init__(self, *, seed: int) -> None:
        self._seed = seed % (1 << SEED_BITS)
        self._last = 0

    def next(self, now_ms: int) -> int:
        """A new id; a clock that went back or more ids than a millisecond holds borrow from the next one."""
        first = ((now_ms - FIRST_MS) << SEED_BITS | self._seed) << COUNTER_BITS
        self._last = max(self._last + 1, first)
        return self._last


def private_key(seed: int, name: str) -> int:
    """A Stark private key that belongs to `name` under `seed`. For emulated accounts only: anybody can derive it."""
    digest = hashlib.sha512(f"{seed}:stark:{name}".encode()).digest()
    return 1 + int.from_bytes(digest) % (CURVE_ORDER - 1)
