"""One market as it is being published: takes a feed's messages, knows what of them is new, and puts it into Redis.

No I/O of its own: `queue` adds commands to a pipeline that the caller sends. What was queued counts as published only
after `sent()`; if the pipeline failed, the next `queue` brings everything again, with a whole book instead of a delta.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from astrade.core.clock import from_ms, to_ms
from astrade.core.messages import (
    BookSnapshot,
    CandleUpdate,
    FundingApplied,
    FundingUpdate,
    Message,
    Quote,
    TradeTick,
)
from astrade.core.money import plain
from marketdata import frames, keys, live
from marketdata.candles import Bar, CandleSeries
from marketdata.day import DayWindow
from marketdata.edges import EdgeVolumes
from marketdata.models import PriceKind
from marketdata.timeframes import BASE, TIMEFRAMES

CANDLES_EVERY_MS = 1_000  # how often running candles and day figures are published


@dataclass(slots=True)
class _Published:
    sequence: int
    bids: frames.TextLevels
    asks: frames.TextLevels


class SecondExtremes:
    """Lowest and highest of each price within the running second."""

    __slots__ = ("pairs", "second")

    def __init__(self) -> None:
        self.second = -1
        self.pairs: list[list[Decimal]] = []

    def take(self, quote: Quote, *, at_ms: int, traded: Sequence[Decimal]) -> None:
        """Widen the second of `at_ms`, or begin it; `traded` are the prices of trades since the quote before."""
        prices = (quote.last, quote.mark, quote.index, quote.bid, quote.ask)
        if at_ms // 1000 != self.second:
            self.second = at_ms // 1000
            self.pairs = [[price, price] for price in prices]
        self.pairs[0] = [min([self.pairs[0][0], *traded]), max([self.pairs[0][1], *traded])]
        for pair, price in zip(self.pairs, prices, strict=True):
            if price < pair[0]:
                pair[0] = price
            elif price > pair[1]:
                pair[1] = price

    def resume(self, value: Sequence[Any]) -> None:
        """Go on with what `encoded` gave, decoded from JSON."""
        self.second = value[0]
        self.pairs = [[Decimal(low), Decimal(high)] for low, high in value[2:]]

    def encoded(self, sequence: int) -> bytes:
        """Member of `md:extremes:<SYMBOL>`."""
        return orjson.dumps([self.second, sequence, *([plain(low), plain(high)] for low, high in self.pairs)])


class Tape:
    """State of one market between a feed and Redis.

    `told_kinds`: the kinds whose closed minutes a venue's feed tells; it then tells of applied rates too. Others are
    worked out here, from prices and from the rates that were to apply next.
    """

    def __init__(self, symbol: str, *, day: DayWindow | None = None, told_kinds: Collection[PriceKind] = ()) -> None:
        self.symbol, self._told_kinds = symbol, told_kinds
        self.day = day or DayWindow()
        self.series = {kind: CandleSeries(symbol, kind) for kind in PriceKind.values}
        self.extremes = SecondExtremes()
        self.quote: Quote | None = None
        self.funding: FundingUpdate | None = None
        self._book: BookSnapshot | None = None
        self._published: _Published | None = None
        self._pending: _Published | None = None
        self._trades: list[bytes] = []
        self._funding_is_new = False
        self._candles_at_ms = 0
        self._told: dict[str, Bar] = {}  # last closed candle that was published, by timeframe
        self._closing: dict[str, Bar] = {}  # the same once what is queued has arrived
        self._traded: tuple[Decimal, Decimal] | None = None  # lowest and highest since the last tick sent
        self._spans: dict[str, tuple[Decimal, Decimal]] = {}  # the same of mark and index
        self._at_edges = EdgeVolumes()
        self._before_quote: list[Decimal] = []  # prices of trades since the last quote
        self._moved = False  # whether there is anything since the last tick sent
        self._told_minutes: list[Bar] = []

    def take(self, message: Message, *, now_ms: int) -> tuple[list[CandleUpdate], FundingApplied | None]:
        """One message, at the publisher's clock; returns minutes that it closed and a funding rate that it applied."""
        match message:
            case Quote():
                return self._take_quote(message, now_ms=now_ms), None
            case TradeTick():
                self._moved = True
                self._trades.append(frames.trade_value(message))
                self._widen(message.price)
                self._at_edges.take(message)
                self._before_quote.append(message.price)
                series = self.series[PriceKind.TRADES]
                return self._closed(
                    series, series.add(message.price, at_ms=now_ms, quantity=message.quantity, trades=1)
                ), None
            case BookSnapshot():
                self._take_book(message)
            case CandleUpdate():
                return self._take_told(message), None
            case FundingUpdate():
                return [], self.take_funding(message)
            case FundingApplied():
                return [], message
        return [], None

    def take_funding(self, update: FundingUpdate) -> FundingApplied | None:
        """Note what applies next; if that is a later hour than before, the earlier one's rate was applied."""
        before, self.funding, self._funding_is_new = self.funding, update, True
        if self._told_kinds or before is None or before.next_at >= update.next_at:
            return None
        return FundingApplied(self.symbol, before.rate, before.next_at)

    def roll(self, now_ms: int) -> list[CandleUpdate]:
        """Close the minutes whose time is over."""
        if self._told_minutes:
            self.day.correct(self._told_minutes)
            self._told_minutes = []
        return [update for series in self.series.values() for update in self._closed(series, series.roll(now_ms))]

    def queue(self, pipe: Any, *, now_ms: int) -> None:
        """Add everything that is new to `pipe` (a pipeline of either client), and the ticker with its present age."""
        quote = self.quote
        if quote is None:
            return
        self._queue_book(pipe)
        self._queue_trades(pipe)
        pipe.hset(keys.QUOTES, self.symbol, frames.quote_value(quote, self.funding))
        figures = self.day.figures(self.series[PriceKind.TRADES].minute)
        now = from_ms(now_ms)
        age_ms, stale = live.age_ms_of(quote.at, now=now), live.is_stale(quote.at, now=now)
        ticker = frames.ticker(quote, self.funding, figures, age_ms=age_ms, stale=stale)
        pipe.publish(keys.stream(f"ticker:{self.symbol}"), ticker)
        if self._funding_is_new and self.funding:
            pipe.publish(keys.stream(f"funding:{self.symbol}"), frames.funding(self.funding, at=quote.at))
        if now_ms - self._candles_at_ms >= CANDLES_EVERY_MS:
            self._candles_at_ms = now_ms
            pipe.set(keys.stats(self.symbol), orjson.dumps(figures))
            self._queue_candles(pipe)
        if self._moved:
            self._queue_tick(pipe, quote)

    def _queue_tick(self, pipe: Any, quote: Quote) -> None:
        """Extremes and tick; the tick goes last: its readers then look at the rest."""
        sequence, ring = self._book.sequence if self._book else 0, self.extremes
        pipe.hset(keys.extremes(self.symbol), str(ring.second % keys.EXTREMES_KEPT_S), ring.encoded(sequence))
        low, high = self._traded or (quote.last, quote.last)
        edges = self._at_edges.between(low, high)
        pipe.publish(keys.TICKS, frames.tick(quote, sequence=sequence, low=low, high=high, spans=self._spans, **edges))

    def sent(self) -> None:
        """What was queued has arrived."""
        self._published, self._pending = self._pending or self._published, None
        self._told, self._closing = self._closing or self._told, {}
        self._trades.clear()
        self._traded = None
        self._spans = {}
        self._at_edges = EdgeVolumes()
        self._funding_is_new = self._moved = False

    def failed(self) -> None:
        """What was queued may not have arrived: readers of the deltas need the whole book."""
        self._published = self._pending = None
        self._closing = {}
        self._candles_at_ms = 0

    def _take_quote(self, quote: Quote, *, now_ms: int) -> list[CandleUpdate]:
        self.quote, self._moved = quote, True
        self._widen(quote.last)
        for name, price in (("mark", quote.mark), ("index", quote.index)):
            low, high = self._spans.get(name, (price, price))
            self._spans[name] = (min(low, price), max(high, price))
        self.extremes.take(quote, at_ms=now_ms, traded=self._before_quote)
        self._before_quote = []
        closed: list[CandleUpdate] = []
        for kind, price in (("trades", quote.last), ("mark", quote.mark), ("index", quote.index)):
            series = self.series[kind]
            closed += self._closed(series, series.add(price, at_ms=now_ms))
        return closed

    def _take_book(self, book: BookSnapshot) -> None:
        """A newer one; after a silence readers get it whole, so that nobody goes on with what was."""
        if self._book is not None:
            if book.sequence <= self._book.sequence:
                return
            if live.is_stale(self._book.at, now=book.at):
                self._published = None
        self._book, self._moved = book, True

    def _take_told(self, candle: CandleUpdate) -> list[CandleUpdate]:
        """A closed minute of the venue's own history, which is to be stored as it is."""
        if candle.kind == PriceKind.TRADES:
            prices = (candle.open, candle.high, candle.low, candle.close)
            self._told_minutes.append(Bar(to_ms(candle.open_time), *prices, candle.volume, candle.trades))
        return [candle]

    def _widen(self, price: Decimal) -> None:
        low, high = self._traded or (price, price)
        self._traded = (min(low, price), max(high, price))

    def _closed(self, series: CandleSeries, minutes: Sequence[Bar]) -> list[CandleUpdate]:
        if series.kind == PriceKind.TRADES:
            for minute in minutes:
                self.day.add(minute)
        if series.kind in self._told_kinds:
            return []
        return [series.update_of(minute, timeframe=BASE, closed=True) for minute in minutes]

    def _queue_book(self, pipe: Any) -> None:
        book, last = self._book, self._published
        if book is None or (last is not None and book.sequence <= last.sequence):
            return
        bids, asks = frames.text_levels(book.bids), frames.text_levels(book.asks)
        self._pending = _Published(book.sequence, bids, asks)
        snapshot = frames.book_snapshot(self.symbol, sequence=book.sequence, bids=bids, asks=asks, at=book.at)
        pipe.set(keys.book(self.symbol), snapshot)
        frame = snapshot
        if last is not None:
            frame = frames.book_delta(
                self.symbol,
                first_sequence=last.sequence + 1,
                sequence=book.sequence,
                bids=frames.changed_levels(last.bids, bids),
                asks=frames.changed_levels(last.asks, asks),
                at=book.at,
            )
        pipe.publish(keys.stream(f"orderbook:{self.symbol}"), frame)

    def _queue_trades(self, pipe: Any) -> None:
        if self._trades:
            pipe.lpush(keys.trades(self.symbol), *self._trades)
            pipe.ltrim(keys.trades(self.symbol), 0, keys.TRADES_KEPT - 1)
            pipe.publish(keys.stream(f"trades:{self.symbol}"), frames.trades(self.symbol, self._trades))

    def _queue_candles(self, pipe: Any) -> None:
        values: dict[str, bytes] = {}
        for kind, series in self.series.items():
            latest = {timeframe: self._latest(series, timeframe) for timeframe in TIMEFRAMES}
            values[kind] = orjson.dumps(
                {tf: [frames.candle_body(c) for c in candles] for tf, candles in latest.items()}
            )
            if kind == PriceKind.TRADES:
                self._closing = dict(series.previous)
                for candle in (candle for candles in latest.values() for candle in candles):
                    if not candle.closed or self._closing[candle.timeframe] != self._told.get(candle.timeframe):
                        channel = keys.stream(f"candles:{self.symbol}:{candle.timeframe}")
                        pipe.publish(channel, frames.candle(candle))
        pipe.hset(keys.candles(self.symbol), mapping=values)

    def _latest(self, series: CandleSeries, timeframe: str) -> list[CandleUpdate]:
        closed, running = series.previous.get(timeframe), series.running(timeframe)
        updates = [] if closed is None else [series.update_of(closed, timeframe=timeframe, closed=True)]
        if running is not None:
            updates.append(series.update_of(running, timeframe=timeframe, closed=False))
        return updates
