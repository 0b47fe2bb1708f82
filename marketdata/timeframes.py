"""Candle timeframes: their length, where their intervals begin, and which one each is added up from.

All times are milliseconds since the Unix epoch, UTC. Weeks begin on Monday.
"""

from collections.abc import Mapping

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
BASE = "1m"

LENGTH_MS: Mapping[str, int] = {
    "1m": MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "2h": 2 * HOUR_MS,
    "4h": 4 * HOUR_MS,
    "8h": 8 * HOUR_MS,
    "12h": 12 * HOUR_MS,
    "1d": DAY_MS,
    "1w": 7 * DAY_MS,
}
TIMEFRAMES: tuple[str, ...] = tuple(LENGTH_MS)
# Shortest first, so that one pass from the top brings all of them up to date.
PART_OF: Mapping[str, str] = {
    "5m": "1m",
    "15m": "5m",
    "30m": "15m",
    "1h": "30m",
    "2h": "1h",
    "4h": "2h",
    "8h": "4h",
    "12h": "4h",
    "1d": "12h",
    "1w": "1d",
}
FIRST_MONDAY_MS = 4 * DAY_MS  # 1970-01-05


def origin_ms(timeframe: str) -> int:
    """An instant at which an interval of `timeframe` begins."""
    return FIRST_MONDAY_MS if timeframe == "1w" else 0


def open_time_ms(at_ms: int, *, timeframe: str) -> int:
    """Begin of the interval that holds `at_ms`."""
    length, origin = LENGTH_MS[timeframe], origin_ms(timeframe)
    return (at_ms - origin) // length * length + origin
