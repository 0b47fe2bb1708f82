"""The public streams' messages (extended-api.md §9): what is new after a step of the feed, for whoever listens."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from astrade.core.messages import BookSnapshot, Level
from astrade.core.money import ZERO, plain
from astrade.emulators.extended.prices import INTERVALS_MS, AppliedRate, Market
from astrade.emulators.extended.public_answers import candle_body, public_trade_body, rate_body
from astrade.emulators.hub import Hub, News, Topic
from marketdata.timeframes import MINUTE_MS

BOOK, TOP, TRADES, FUNDING, CANDLES, MARK, INDEX = (
    "orderbooks",
    "orderbooks.1",
    "trades",
    "funding",
    "candles",
    "mark",
    "index",
)
KINDS: Mapping[str, str] = {"trades": "trades", "mark-prices": "mark", "index-prices": "index"}  # candle type to ours
CANDLES_EVERY_MS = 1_000
Json = dict[str, Any]


class Publisher:
    """Publishes what a step changed."""

    def __init__(self, hub: Hub, markets: Mapping[str, Market]) -> None:
        self._hub, self._markets = hub, markets
        self._minute = self._second = -1

    def publish(self, applied: Mapping[str, AppliedRate], *, now_ms: int) -> None:
        """News of all markets; once a minute the whole book instead of what changed in it."""
        whole = now_ms // MINUTE_MS != self._minute
        self._minute = now_ms // MINUTE_MS
        for name, market in self._markets.items():
            self._publish_book(market, whole=whole, now_ms=now_ms)
            if market.traded:
                self._send((TRADES, name), None, [public_trade_body(trade) for trade in market.traded], now_ms)
            if name in applied:
                self._send((FUNDING, name), None, rate_body(name, applied[name]), now_ms)
            quote = market.view.quote
            for topic, kind, price in ((MARK, "MP", quote.mark), (INDEX, "IP", quote.index)):
                self._send((topic, name), kind, {"m": name, "p": plain(price), "ts": now_ms}, now_ms)
        if now_ms // CANDLES_EVERY_MS != self._second:
            self._second = now_ms // CANDLES_EVERY_MS
            for candles in self._hub.topics(CANDLES):
                self._hub.publish(candle_news(self._markets[candles[1]], candles, now_ms=now_ms))

    def _publish_book(self, market: Market, *, whole: bool, now_ms: int) -> None:
        book, before, name = market.view.book, market.previous_book, market.instrument.name
        if self._hub.topics(BOOK):
            if whole or before is None:
                self._send((BOOK, name), "SNAPSHOT", book_body(book), now_ms)
            else:
                delta = {"t": "DELTA", "m": name} | _changes(before, book)
                self._send((BOOK, name), "DELTA", delta, now_ms)
        if before is None or (book.bids[0], book.asks[0]) != (before.bids[0], before.asks[0]):
            self._send((TOP, name), "SNAPSHOT", book_body(book, depth=1), now_ms)

    def _send(self, topic: Topic, kind: str | None, data: Any, now_ms: int) -> None:
        self._hub.publish(News(topic, kind, data, now_ms))


def first_news(market: Market, topic: Topic, *, now_ms: int) -> Iterable[News]:
    """What a new listener of a public topic gets before anything changes."""
    match topic[0]:
        case "orderbooks":
            yield News(topic, "SNAPSHOT", book_body(market.view.book), now_ms, is_first=True)
        case "orderbooks.1":
            yield News(topic, "SNAPSHOT", book_body(market.view.book, depth=1), now_ms, is_first=True)
        case "candles":
            yield candle_news(market, topic, now_ms=now_ms)


def candle_news(market: Market, topic: Topic, *, now_ms: int) -> News:
    """The running candle of a topic (`candles`, market, type, interval)."""
    _, _, kind, interval = topic
    bars = market.candles(KINDS[kind], interval_ms=INTERVALS_MS[interval], end_ms=now_ms, limit=1)
    return News(topic, None, [candle_body(bar, with_volume=kind == "trades") for bar in bars], now_ms)


def book_body(book: BookSnapshot, *, depth: int | None = None) -> Json:
    """The book as streams have it; in a snapshot change and absolute size are the same."""
    return {"t": "SNAPSHOT", "m": book.symbol, "b": _levels(book.bids[:depth]), "a": _levels(book.asks[:depth])}


def _levels(levels: Sequence[Level]) -> list[Json]:
    return [{"p": plain(price), "q": plain(quantity), "c": plain(quantity)} for price, quantity in levels]


def _changes(before: BookSnapshot, after: BookSnapshot) -> Json:
    return {"b": _changed(before.bids, after.bids), "a": _changed(before.asks, after.asks)}


def _changed(before: Sequence[Level], after: Sequence[Level]) -> list[Json]:
    old, new = dict(before), dict(after)
    prices: list[Decimal] = [*new, *(price for price in old if price not in new)]
    return [
        {"p": plain(price), "q": plain(new.get(price, ZERO) - old.get(price, ZERO)), "c": plain(new.get(price, ZERO))}
        for price in prices
        if new.get(price, ZERO) != old.get(price, ZERO)
    ]
