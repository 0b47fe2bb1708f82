"""The last 24 hours of a market in one glance: change, high, low and volume, from closed minutes and the running
one."""

from collections import deque
from collections.abc import Iterable
from decimal import Decimal

from astrade.core.money import ZERO, plain, round_display
from marketdata.candles import Bar
from marketdata.timeframes import DAY_MS

CHANGE_SCALE = 6  # decimals of a fraction: a hundredth of a basis point


class DayWindow:
    """Closed minutes of the last 24 h; the figures over them are worked out once a minute."""

    def __init__(self, minutes: Iterable[Bar] = ()) -> None:
        self._minutes = deque(minutes)
        self._sum_up()

    def add(self, minute: Bar) -> None:
        """Take a minute that has closed and let go of what is older than a day."""
        self._minutes.append(minute)
        while self._minutes[0].open_ms <= minute.open_ms - DAY_MS:
            self._minutes.popleft()
        self._sum_up()

    def correct(self, minutes: Iterable[Bar]) -> None:
        """Put these in the place of what was known of the same minutes, or between the others."""
        known = {bar.open_ms: bar for bar in self._minutes} | {bar.open_ms: bar for bar in minutes}
        since_ms = max(known, default=0) - DAY_MS
        self._minutes = deque(known[open_ms] for open_ms in sorted(known) if open_ms > since_ms)
        self._sum_up()

    def figures(self, running: Bar | None) -> dict[str, str | None]:
        """The day's part of API.md's ticker; `change_24h` is a fraction of the price 24 h ago."""
        bars = [bar for bar in (self._closed, running) if bar is not None]
        if not bars:
            return {"change_24h": None, "high_24h": None, "low_24h": None, "volume_24h": None, "open_interest": None}
        change = round_display(bars[-1].close / bars[0].open - 1, scale=CHANGE_SCALE)
        return {
            "change_24h": plain(change),
            "high_24h": plain(max(bar.high for bar in bars)),
            "low_24h": plain(min(bar.low for bar in bars)),
            "volume_24h": plain(sum((bar.volume for bar in bars), ZERO)),
            "open_interest": None,  # no feed tells it
        }

    def _sum_up(self) -> None:
        minutes = self._minutes
        self._closed: Bar | None = None
        if minutes:
            volumes: Iterable[Decimal] = (bar.volume for bar in minutes)
            self._closed = Bar(
                minutes[0].open_ms,
                minutes[0].open,
                max(bar.high for bar in minutes),
                min(bar.low for bar in minutes),
                minutes[-1].close,
                sum(volumes, ZERO),
                sum(bar.trades for bar in minutes),
            )
