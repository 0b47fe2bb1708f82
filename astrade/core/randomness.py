"""Chance as a port: services and domain code are given a source, only doorways choose one.

Randomness            what is asked of a source
system_randomness     the machine's, unpredictable: identifiers, nonces
seeded(seed)          the same numbers for the same seed: simulator, synthetic feed, tests
"""

import random
import secrets
from typing import Protocol


class Randomness(Protocol):
    """A source of whole numbers; fractions are made of them where they are needed, exactly."""

    def randrange(self, start: int, stop: int) -> int:
        """A whole number, `start` ≤ n < `stop`, each as likely as any other."""


system_randomness: Randomness = secrets.SystemRandom()


def seeded(seed: int | str) -> Randomness:
    """A source of its own that repeats itself for the same seed."""
    return random.Random(seed)
