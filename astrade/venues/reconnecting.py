"""How long to wait before a stream is opened again: 1 s to 30 s, longer with each failure, never all at once."""

from astrade.core.randomness import Randomness

RECONNECT_S, RECONNECT_MOST_S = 1, 20
_THOUSANDTHS = 1_000


def reconnect_wait_s(failures: int, *, randomness: Randomness) -> float:
    """Seconds after that many failures in a row: 1, doubled up to 20, and up to half as much again."""
    base: int = min(RECONNECT_S * 2 ** min(failures - 1, 10), RECONNECT_MOST_S)
    return base * (1 + randomness.randrange(0, _THOUSANDTHS) / _THOUSANDTHS / 2)
