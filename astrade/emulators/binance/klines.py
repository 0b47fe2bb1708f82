"""Klines: what a market traded, added up by seconds and minutes, and longer intervals from these (binance-api.md §6).

Times are epoch milliseconds. An interval without a trade has a kline that stands at the price before it.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from astrade.core.clock import from_ms, to_ms
from astrade.core.messages import TradeTick
from astrade.core.money import ZERO
from astrade.emulators.binance.symbols import UNIT
from marketdata.candles import Bar
from marketdata.timeframes import DAY_MS, FIRST_MONDAY_MS, HOUR_MS, MINUTE_MS

SECOND_MS = 1_000
SECONDS_KEPT, MINUTES_KEPT = 3_600, 10_080
MONTH = "1M"
INTERVALS_MS: Mapping[str, int] = {  # the month's is a lower bound: it begins with the calendar's
    "1s": SECOND_MS,
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "2h": 2 * HOUR_MS,
    "4h": 4 * HOUR_MS,
    "6h": 6 * HOUR_MS,
    "8h": 8 * HOUR_MS,
    "12h": 12 * HOUR_MS,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": 7 * DAY_MS,
    MONTH: 28 * DAY_MS,
}


@dataclass(slots=True)
class Kline:
    """One interval; volumes in base units, values in quote, `bought` is what takers bought."""

    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = ZERO
    value: Decimal = ZERO
    trades: int = 0
    bought: Decimal = ZERO
    bought_value: Decimal = ZERO

    def add(self, other: "Kline") -> None:
        """Take in what came after."""
        self.high, self.low, self.close = max(self.high, other.high), min(self.low, other.low), other.close
        self.volume += other.volume
        self.value += other.value
        self.trades += other.trades
        self.bought += other.bought
        self.bought_value += other.bought_value


def flat(price: Decimal, *, open_ms: int) -> Kline:
    """An interval without a trade."""
    return Kline(open_ms, price, price, price, price)


def of_trade(trade: TradeTick) -> Kline:
    """What one trade adds."""
    price, value, buys = trade.price, trade.price * trade.quantity, trade.side == "buy"
    bought, bought_value = (trade.quantity, value) if buys else (ZERO, ZERO)
    return Kline(0, price, price, price, price, trade.quantity, value, 1, bought, bought_value)


def of_bar(bar: Bar) -> Kline:
    """A made-up minute: half of it bought by takers, all of it at the middle of its prices."""
    price = (bar.high + bar.low) / 2
    bought = (bar.volume / 2).quantize(UNIT)
    value, bought_value = ((volume * price).quantize(UNIT) for volume in (bar.volume, bought))
    prices = (bar.open, bar.high, bar.low, bar.close)
    return Kline(bar.open_ms, *prices, bar.volume, value, bar.trades, bought, bought_value)


class Series:
    """Klines of one length: those that closed, and the running one."""

    def __init__(self, length_ms: int, *, first: Kline, kept: int, past: Iterable[Kline] = ()) -> None:
        self._length_ms, self._kept = length_ms, kept
        self.closed: deque[Kline] = deque(past, maxlen=kept)
        self.running = first

    def roll(self, now_ms: int) -> None:
        """Close what is over."""
        begin, last = now_ms // self._length_ms * self._length_ms, self.running
        if begin <= last.open_ms:
            return
        self.closed.append(last)
        first = max(last.open_ms + self._length_ms, begin - self._kept * self._length_ms)
        self.closed.extend(flat(last.close, open_ms=at) for at in range(first, begin, self._length_ms))
        self.running = flat(last.close, open_ms=begin)

    def add(self, trade: TradeTick, *, now_ms: int) -> None:
        """Count a trade in."""
        self.roll(now_ms)
        part = of_trade(trade)
        if not self.running.trades:
            self.running.open = self.running.high = self.running.low = trade.price
        self.running.add(part)

    def newest_first(self) -> Iterator[Kline]:
        """The running one, then back in time."""
        yield self.running
        yield from reversed(self.closed)


def begin_of(at_ms: int, *, interval: str, offset_ms: int = 0) -> int:
    """Begin of the interval that holds `at_ms`, in the time zone that is `offset_ms` ahead of UTC; weeks begin on
    Monday.
    """
    local_ms = at_ms + offset_ms
    if interval == MONTH:
        day = from_ms(local_ms)
        return to_ms(day.replace(day=1, hour=0, minute=0, second=0, microsecond=0)) - offset_ms
    length = INTERVALS_MS[interval]
    origin = FIRST_MONDAY_MS if interval == "1w" else 0
    return (local_ms - origin) // length * length + origin - offset_ms


def end_of(open_ms: int, *, interval: str, offset_ms: int = 0) -> int:
    """The last millisecond of the interval that begins at `open_ms`."""
    if interval != MONTH:
        return open_ms + INTERVALS_MS[interval] - 1
    first: datetime = from_ms(open_ms + offset_ms)
    following = (first + timedelta(days=31)).replace(day=1)
    return to_ms(following) - offset_ms - 1


def joined(newest_first: Iterable[Kline], *, interval: str, offset_ms: int = 0) -> Iterator[Kline]:
    """Klines of a longer interval, newest first."""
    parts: list[Kline] = []
    begin = 0
    for kline in newest_first:
        of = begin_of(kline.open_ms, interval=interval, offset_ms=offset_ms)
        if parts and of != begin:
            yield added_up(parts, open_ms=begin)
            parts = []
        begin = of
        parts.append(kline)
    if parts:
        yield added_up(parts, open_ms=begin)


def added_up(newest_first: Sequence[Kline], *, open_ms: int) -> Kline:
    """One kline of several that follow on another."""
    first = newest_first[-1]
    whole = Kline(open_ms, first.open, first.high, first.low, first.close)
    for part in reversed(newest_first):
        whole.add(part)
    return whole
