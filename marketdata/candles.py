"""Candles while they run: every timeframe of one market and kind, added up from prices. Pure; times are
milliseconds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from astrade.core.clock import from_ms
from astrade.core.messages import CandleUpdate
from astrade.core.money import ZERO
from marketdata.timeframes import BASE, LENGTH_MS, MINUTE_MS, TIMEFRAMES, open_time_ms


@dataclass(frozen=True, slots=True)
class Bar:
    """One interval's prices; `open_ms` is its begin."""

    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = ZERO
    trades: int = 0


def first_bar(price: Decimal, *, open_ms: int) -> Bar:
    """An interval that has seen one price and no trade."""
    return Bar(open_ms, price, price, price, price)


def with_price(bar: Bar, price: Decimal, *, quantity: Decimal = ZERO, trades: int = 0) -> Bar:
    """`bar` after one more price, and the trades made at it."""
    return Bar(
        bar.open_ms,
        bar.open,
        max(bar.high, price),
        min(bar.low, price),
        price,
        bar.volume + quantity,
        bar.trades + trades,
    )


def merged(earlier: Bar, later: Bar) -> Bar:
    """Both intervals as one that begins with `earlier`."""
    return Bar(
        earlier.open_ms,
        earlier.open,
        max(earlier.high, later.high),
        min(earlier.low, later.low),
        later.close,
        earlier.volume + later.volume,
        earlier.trades + later.trades,
    )


def update_of(bar: Bar, *, symbol: str, kind: str, timeframe: str = BASE, closed: bool = True) -> CandleUpdate:
    """`bar` as a message."""
    return CandleUpdate(
        symbol=symbol,
        timeframe=timeframe,
        kind=kind,
        open_time=from_ms(bar.open_ms),
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        trades=bar.trades,
        closed=closed,
    )


class CandleSeries:
    """All timeframes of one market and kind. Only the running minute takes prices; longer ones add closed minutes to
    it.

    `closed_parts` are the bars of the intervals in progress as far as their closed minutes go, by timeframe.
    """

    def __init__(self, symbol: str, kind: str) -> None:
        self.symbol, self.kind = symbol, kind
        self.minute: Bar | None = None
        self.closed_parts: dict[str, Bar] = {}
        self.previous: dict[str, Bar] = {}

    def resume(self, *, minute: Bar | None, closed_parts: Mapping[str, Bar]) -> None:
        """Go on where an earlier process stopped."""
        self.minute, self.closed_parts = minute, dict(closed_parts)

    def add(self, price: Decimal, *, at_ms: int, quantity: Decimal = ZERO, trades: int = 0) -> list[Bar]:
        """Take one price; returns the minute that this closed, if any. A late price counts in the running minute."""
        closed = self.roll(at_ms)
        if self.minute is None:
            self.minute = first_bar(price, open_ms=open_time_ms(at_ms, timeframe=BASE))
        self.minute = with_price(self.minute, price, quantity=quantity, trades=trades)
        return closed

    def roll(self, now_ms: int) -> list[Bar]:
        """Close the running minute once its time is over, and the longer intervals whose time is; returns that minute.

        The next one begins at the next price.
        """
        minute = self.minute
        if minute is not None:
            if now_ms < minute.open_ms + MINUTE_MS:
                return []
            self.closed_parts = {timeframe: self._whole(timeframe, minute) for timeframe in TIMEFRAMES}
            self.minute = None
        for timeframe, part in tuple(self.closed_parts.items()):
            if now_ms >= part.open_ms + LENGTH_MS[timeframe]:
                self.previous[timeframe] = self.closed_parts.pop(timeframe)
        return [] if minute is None else [minute]

    def running(self, timeframe: str) -> Bar | None:
        """The interval in progress, as it stands."""
        return None if self.minute is None else self._whole(timeframe, self.minute)

    def update_of(self, bar: Bar, *, timeframe: str, closed: bool) -> CandleUpdate:
        """`bar` as a message."""
        return update_of(bar, symbol=self.symbol, kind=self.kind, timeframe=timeframe, closed=closed)

    def _whole(self, timeframe: str, minute: Bar) -> Bar:
        begin = open_time_ms(minute.open_ms, timeframe=timeframe)
        part = self.closed_parts.get(timeframe)
        if part is None or part.open_ms != begin:
            return replace(minute, open_ms=begin)
        return merged(part, minute)
