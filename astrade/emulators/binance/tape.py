"""The market streams' messages (binance-api.md §9): what is new after a step of the feed, for whoever listens."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from astrade.core.clock import to_ms
from astrade.core.messages import BookSnapshot, TradeTick
from astrade.emulators.binance.depth import DepthEvent
from astrade.emulators.binance.klines import INTERVALS_MS, Kline, end_of
from astrade.emulators.binance.prices import Market
from astrade.emulators.binance.public_answers import HUNDRED, Json, aggregate_body, last_quantity, levels
from astrade.emulators.binance.symbols import amount
from astrade.emulators.hub import Hub, News, Topic
from marketdata.timeframes import DAY_MS, HOUR_MS

STREAM = "stream"
SECOND_MS, KLINES_EVERY_MS = 1_000, 2_000
EAST_8_MS = 8 * HOUR_MS
ALL_MINI = "!miniTicker@arr"
NAME = re.compile(
    r"(?P<symbol>[^@]+)@(?:(?P<kind>trade|aggTrade|miniTicker|ticker|bookTicker|depth)(?P<levels>5|10|20)?"
    r"(?:@(?P<every>100|1000)ms)?|kline_(?P<interval>\w+?)(?P<zone>@\+08:00)?)"
)


@dataclass(frozen=True, slots=True)
class Stream:
    """What a stream's name asks for."""

    symbol: str
    kind: str
    levels: int | None = None
    is_fast: bool = False
    interval: str = ""
    offset_ms: int = 0


def stream_of(name: str, markets: Mapping[str, Market]) -> Stream | None:
    """None for a name that says nothing: whoever subscribes to it hears nothing."""
    if name == ALL_MINI:
        return Stream("", ALL_MINI)
    match = NAME.fullmatch(name)
    if match is None:
        return None
    symbol, kind, interval = match["symbol"].upper(), match["kind"] or "kline", match["interval"] or ""
    is_lower = match["symbol"] == match["symbol"].lower()
    fits = kind == "depth" or not (match["levels"] or match["every"])
    if symbol not in markets or not is_lower or not fits or (kind == "kline" and interval not in INTERVALS_MS):
        return None
    return Stream(
        symbol=symbol,
        kind=kind,
        levels=int(match["levels"]) if match["levels"] else None,
        is_fast=match["every"] == "100",
        interval=interval,
        offset_ms=EAST_8_MS if match["zone"] else 0,
    )


def topic_of(name: str) -> Topic:
    """What a listener to the stream of that name listens to."""
    return (STREAM, name)


class Publisher:
    """Publishes what a step changed, each stream at its own pace."""

    def __init__(self, hub: Hub, markets: Mapping[str, Market]) -> None:
        self._hub, self._markets = hub, markets
        self._last_ms = 0
        self._now_ms = 0
        self._slow: dict[str, DepthEvent | None] = {}
        self._klines: dict[str, int] = {}  # begin of the kline that was told last, by stream
        self._bests: dict[str, tuple[Any, Any]] = {}
        self._bodies: Mapping[str, Callable[[str, Stream, Market], Iterator[Json]]] = {
            "trade": self._trades,
            "aggTrade": self._aggregates,
            "miniTicker": self._mini_ticker,
            "ticker": self._ticker,
            "bookTicker": self._book_ticker,
            "depth": self._depth,
            "kline": self._kline,
        }

    def publish(self, *, now_ms: int) -> None:
        """News of all streams that somebody listens to."""
        self._now_ms = now_ms
        self._slow = {name: market.depth.take_slow() for name, market in self._markets.items()} if self._second else {}
        topics = self._hub.topics(STREAM)
        self._klines = {topic[1]: self._klines[topic[1]] for topic in topics if topic[1] in self._klines}
        for topic in topics:
            stream = stream_of(topic[1], self._markets)
            if stream is None:
                continue
            for body in self._bodies_of(topic[1], stream):
                self._hub.publish(News(topic, None, body, now_ms))
        for market in self._markets.values():
            market.printed.clear()
            book = market.view.book
            self._bests[market.symbol.name] = (book.bids[0], book.asks[0])
        self._last_ms = now_ms

    @property
    def _second(self) -> bool:
        """Whether a new second has begun since the last step."""
        return self._now_ms // SECOND_MS != self._last_ms // SECOND_MS

    def _bodies_of(self, name: str, stream: Stream) -> Iterator[Any]:
        if stream.kind != ALL_MINI:
            yield from self._bodies[stream.kind](name, stream, self._markets[stream.symbol])
        elif self._second:
            yield [mini_ticker_body(market, now_ms=self._now_ms) for market in self._markets.values()]

    def _event(self, kind: str, market: Market) -> Json:
        return {"e": kind, "E": self._now_ms, "s": market.symbol.name}

    def _trades(self, name: str, stream: Stream, market: Market) -> Iterator[Json]:
        for trade in market.printed:
            yield self._event("trade", market) | trade_event(trade)

    def _aggregates(self, name: str, stream: Stream, market: Market) -> Iterator[Json]:
        for trade in market.printed:
            yield self._event("aggTrade", market) | aggregate_body(trade)

    def _mini_ticker(self, name: str, stream: Stream, market: Market) -> Iterator[Json]:
        if self._second:
            yield mini_ticker_body(market, now_ms=self._now_ms)

    def _ticker(self, name: str, stream: Stream, market: Market) -> Iterator[Json]:
        if self._second:
            yield ticker_body(market, now_ms=self._now_ms)

    def _book_ticker(self, name: str, stream: Stream, market: Market) -> Iterator[Json]:
        bid, ask = market.view.book.bids[0], market.view.book.asks[0]
        if self._bests.get(stream.symbol) != (bid, ask):
            yield {
                "u": market.depth.last_id,
                "s": stream.symbol,
                "b": amount(bid[0]),
                "B": amount(bid[1]),
                "a": amount(ask[0]),
                "A": amount(ask[1]),
            }

    def _depth(self, name: str, stream: Stream, market: Market) -> Iterator[Json]:
        event = market.event if stream.is_fast else self._slow.get(stream.symbol)
        if event is None:
            return
        if stream.levels is not None:
            yield partial_body(market.view.book, last_id=market.depth.last_id, count=stream.levels)
        else:
            yield self._event("depthUpdate", market) | {
                "U": event.first_id,
                "u": event.last_id,
                "b": levels(event.bids.items()),
                "a": levels(event.asks.items()),
            }

    def _kline(self, name: str, stream: Stream, market: Market) -> Iterator[Json]:
        """The running one at its pace; one that closed since then before it, for the last time."""
        every_ms = SECOND_MS if stream.interval == "1s" else KLINES_EVERY_MS
        known = self._klines.get(name)
        begin = market.begin_of_running(stream.interval, offset_ms=stream.offset_ms)
        if known == begin and self._now_ms // every_ms == self._last_ms // every_ms:
            return
        newest_first = market.klines(stream.interval, offset_ms=stream.offset_ms)
        if known in (None, begin):
            fresh = [next(newest_first)]
        else:
            fresh = list(takewhile(lambda kline: kline.open_ms >= known, newest_first))
        self._klines[name] = begin
        later = sum(kline.trades for kline in fresh)
        for kline in reversed(fresh):
            later -= kline.trades
            last_id, is_closed = market.last_trade_id - later, kline is not fresh[0]
            yield self._event("kline", market) | {
                "k": kline_body(kline, stream, last_trade_id=last_id, is_closed=is_closed)
            }


def trade_event(trade: TradeTick) -> Json:
    """A public trade as streams have it."""
    return {
        "t": trade.trade_id,
        "p": amount(trade.price),
        "q": amount(trade.quantity),
        "T": to_ms(trade.at),
        "m": trade.side == "sell",
        "M": True,
    }


def mini_ticker_body(market: Market, *, now_ms: int) -> Json:
    """The last 24 hours in short."""
    kline = market.day().kline
    return {
        "e": "24hrMiniTicker",
        "E": now_ms,
        "s": market.symbol.name,
        "c": amount(kline.close),
        "o": amount(kline.open),
        "h": amount(kline.high),
        "l": amount(kline.low),
        "v": amount(kline.volume),
        "q": amount(kline.value),
    }


def ticker_body(market: Market, *, now_ms: int) -> Json:
    """The last 24 hours."""
    day, book = market.day(), market.view.book
    change = day.kline.close - day.kline.open
    average = day.kline.value / day.kline.volume if day.kline.volume else day.kline.close
    return mini_ticker_body(market, now_ms=now_ms) | {
        "e": "24hrTicker",
        "p": amount(change),
        "P": f"{change / day.kline.open * HUNDRED:.3f}",
        "w": amount(average),
        "x": amount(day.previous_close),
        "Q": amount(last_quantity(market)),
        "b": amount(book.bids[0][0]),
        "B": amount(book.bids[0][1]),
        "a": amount(book.asks[0][0]),
        "A": amount(book.asks[0][1]),
        "O": now_ms - DAY_MS,
        "C": now_ms,
        "F": day.first_trade_id,
        "L": day.last_trade_id,
        "n": day.kline.trades,
    }


def partial_body(book: BookSnapshot, *, last_id: int, count: int) -> Json:
    """The top of the book; only the stream's name says whose."""
    return {"lastUpdateId": last_id, "bids": levels(book.bids[:count]), "asks": levels(book.asks[:count])}


def kline_body(kline: Kline, stream: Stream, *, last_trade_id: int, is_closed: bool) -> Json:
    """A kline as streams have it; `last_trade_id` is its own."""
    return {
        "t": kline.open_ms,
        "T": end_of(kline.open_ms, interval=stream.interval, offset_ms=stream.offset_ms),
        "s": stream.symbol,
        "i": stream.interval,
        "f": last_trade_id - kline.trades + 1 if kline.trades else -1,
        "L": last_trade_id if kline.trades else -1,
        "o": amount(kline.open),
        "c": amount(kline.close),
        "h": amount(kline.high),
        "l": amount(kline.low),
        "v": amount(kline.volume),
        "n": kline.trades,
        "x": is_closed,
        "q": amount(kline.value),
        "V": amount(kline.bought),
        "Q": amount(kline.bought_value),
        "B": "0",
    }
