"""What the markets do: the feed, and of each market its book with update ids, its trades and klines.

Nothing here knows an account or the wire.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice

from astrade.core.messages import MarketView, Message, TradeTick
from astrade.core.money import ZERO
from astrade.emulators.binance.depth import Depth, DepthEvent
from astrade.emulators.binance.klines import (
    MINUTES_KEPT,
    SECOND_MS,
    SECONDS_KEPT,
    Kline,
    Series,
    added_up,
    begin_of,
    flat,
    joined,
    of_bar,
)
from astrade.emulators.binance.symbols import AVERAGE_MINUTES, Symbol
from astrade.emulators.markets import BookedMarket, made_up_minutes
from marketdata.models import PriceKind
from marketdata.timeframes import DAY_MS, MINUTE_MS
from trading.domain.lifecycle import Side

DAY_MINUTES = DAY_MS // MINUTE_MS


@dataclass(frozen=True, slots=True)
class Day:
    """The last 24 hours: one kline of them, the price before them, and the ids of its trades."""

    kline: Kline
    previous_close: Decimal
    first_trade_id: int
    last_trade_id: int


class Market(BookedMarket):
    """One market as it is now, and what it did. Trades get ids of its own, without a gap."""

    def __init__(self, symbol: Symbol, *, last_price: Decimal, now_ms: int, seed: int) -> None:
        super().__init__()
        self.symbol = symbol
        self.depth = Depth(now_ms)
        self.event: DepthEvent | None = None  # of the last step
        self.printed: list[TradeTick] = []  # trades since they were published last
        minute = now_ms // MINUTE_MS * MINUTE_MS
        past = made_up_minutes(symbol.rules, last_price, minute, seed)[PriceKind.TRADES]
        price = past[-1].close
        self._minutes = Series(
            MINUTE_MS, first=flat(price, open_ms=minute), kept=MINUTES_KEPT, past=[of_bar(bar) for bar in past]
        )
        second = now_ms // SECOND_MS * SECOND_MS
        self._seconds = Series(SECOND_MS, first=flat(price, open_ms=second), kept=SECONDS_KEPT)
        self._closed_day: tuple[int, Decimal, Kline] | None = None  # by the begin of the running minute
        self._last_trade_id = now_ms  # the made-up trades of the past end with it

    @property
    def view(self) -> MarketView:
        """Prices and book that an order is decided on."""
        assert self.quote and self.book  # the feed's first step gives both
        return MarketView(self.quote, self.book, ZERO)

    @property
    def last_price(self) -> Decimal:
        """Of the last trade."""
        return self._minutes.running.close

    @property
    def last_trade_id(self) -> int:
        return self._last_trade_id

    def step(self, messages: Sequence[Message], *, now_ms: int) -> None:
        """One batch of the feed."""
        self.begin_step()
        for series in (self._minutes, self._seconds):
            series.roll(now_ms)
        for message in messages:
            if isinstance(message, TradeTick):
                message = self._printed(message, now_ms=now_ms)
            self.take(message)
        assert self.book is not None
        self.event = self.depth.advance(self.previous_book, self.book) if self.book is not self.previous_book else None

    def print_trade(self, *, taker: Side, price: Decimal, quantity: Decimal, at_ms: int) -> TradeTick:
        """Put an account's execution on the tape; it reaches nobody else's order."""
        assert self.quote is not None
        tick = TradeTick(self.symbol.name, 0, "buy" if taker is Side.BUY else "sell", price, quantity, self.quote.at)
        trade = self._printed(tick, now_ms=at_ms)
        self.trades.append(trade)
        return trade

    def klines(self, interval: str, *, offset_ms: int = 0) -> Iterator[Kline]:
        """Newest first, beginning with the running one."""
        if interval == "1s":
            yield from self._seconds.newest_first()
        elif interval == "1m":
            yield from self._minutes.newest_first()
        else:
            yield from joined(self._minutes.newest_first(), interval=interval, offset_ms=offset_ms)

    def begin_of_running(self, interval: str, *, offset_ms: int = 0) -> int:
        """When the running kline of an interval began."""
        parts = self._seconds if interval == "1s" else self._minutes
        return begin_of(parts.running.open_ms, interval=interval, offset_ms=offset_ms)

    def day(self) -> Day:
        """Figures of the running minute and those before it that make 24 hours."""
        running = self._minutes.running
        if self._closed_day is None or self._closed_day[0] != running.open_ms:
            closed = list(islice(reversed(self._minutes.closed), DAY_MINUTES))
            before = closed.pop()
            self._closed_day = (running.open_ms, before.close, added_up(closed, open_ms=closed[-1].open_ms))
        _, previous_close, part = self._closed_day
        whole = replace(part)
        whole.add(running)
        return Day(whole, previous_close, self._last_trade_id - whole.trades + 1, self._last_trade_id)

    def average_price(self) -> Decimal:
        """Of what was traded in the last five minutes; the last price where that is nothing."""
        recent = list(islice(self._minutes.newest_first(), AVERAGE_MINUTES))
        volume = sum((kline.volume for kline in recent), ZERO)
        return sum((kline.value for kline in recent), ZERO) / volume if volume else self.last_price

    def _printed(self, trade: TradeTick, *, now_ms: int) -> TradeTick:
        self._last_trade_id += 1
        numbered = replace(trade, trade_id=self._last_trade_id)
        for series in (self._minutes, self._seconds):
            series.add(numbered, now_ms=now_ms)
        self.printed.append(numbered)
        return numbered


def by_symbol(messages: Sequence[Message]) -> Mapping[str, list[Message]]:
    """A batch, market by market."""
    found: dict[str, list[Message]] = {}
    for message in messages:
        found.setdefault(message.symbol, []).append(message)
    return found
