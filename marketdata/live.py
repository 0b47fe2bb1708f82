"""The latest prices, read from Redis: one round trip a call, nothing decoded that nobody looks at.

A price older than `FEED_STALE_AFTER_S` is stale: it may be shown with its age, but no risk is taken on it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import msgspec
import orjson
from django.conf import settings

from astrade.core.clock import EPOCH, from_ms, to_ms
from astrade.core.errors import MarketDataStale
from astrade.core.messages import MarketView, Quote
from astrade.core.money import plain
from astrade.core.redis import ask, redis_errors, sync_client
from marketdata import frames, keys

_ONE_MS = timedelta(milliseconds=1)


class Quotes(Mapping[str, Quote]):
    """Every market's quote by symbol; each is decoded when it is first asked for."""

    __slots__ = ("_decoded", "_raw")

    def __init__(self, raw: Mapping[bytes, bytes]) -> None:
        self._raw = {symbol.decode(): value for symbol, value in raw.items()}
        self._decoded: dict[str, tuple[Quote, frames.QuoteValue]] = {}

    def __getitem__(self, symbol: str) -> Quote:
        return self._entry(symbol)[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def funding_rate(self, symbol: str) -> Decimal:
        """Rate that applies next; 0 where a market has no funding."""
        return self._entry(symbol)[1].funding_rate

    def _entry(self, symbol: str) -> tuple[Quote, frames.QuoteValue]:
        known = self._decoded.get(symbol)
        if known is None:
            known = self._decoded[symbol] = frames.decode_quote(symbol, self._raw[symbol])
        return known


@dataclass(frozen=True, slots=True)
class Extremes:
    """Lowest and highest prices within one second, and the book's sequence at its end."""

    at: datetime
    sequence: int
    last: tuple[Decimal, Decimal]
    mark: tuple[Decimal, Decimal]
    index: tuple[Decimal, Decimal]
    bid: tuple[Decimal, Decimal]
    ask: tuple[Decimal, Decimal]


class _ExtremesValue(msgspec.Struct, array_like=True, frozen=True):
    second: int
    sequence: int
    last: tuple[Decimal, Decimal]
    mark: tuple[Decimal, Decimal]
    index: tuple[Decimal, Decimal]
    bid: tuple[Decimal, Decimal]
    ask: tuple[Decimal, Decimal]


_extremes_decoder = msgspec.json.Decoder(_ExtremesValue)


def age_of(at: datetime, *, now: datetime) -> timedelta:
    """How long ago a price was true; never negative."""
    return max(now - at, timedelta(0))


def is_stale(at: datetime, *, now: datetime) -> bool:
    """Whether a price of `at` is too old to take risk on."""
    return age_of(at, now=now) > timedelta(seconds=settings.FEED_STALE_AFTER_S)


def age_ms_of(at: datetime, *, now: datetime) -> int:
    """The same in whole milliseconds."""
    return age_of(at, now=now) // _ONE_MS


def ensure_fresh(quote: Quote, *, now: datetime) -> None:
    """Raise MarketDataStale if `quote` is too old to take risk on."""
    if is_stale(quote.at, now=now):
        raise MarketDataStale(details={"symbol": quote.symbol, "age_ms": age_ms_of(quote.at, now=now)})


def view_of(symbol: str) -> tuple[MarketView, Mapping[str, Quote]]:
    """Prices and book of the market `symbol` (its canonical name), and every market's quote.

    One round trip. Raises MarketDataStale when the market has no prices or Redis doesn't answer; how old the prices are
    is for the caller to check, once it holds its locks (`ensure_fresh`).
    """
    try:
        book, raw = ask(("GET", keys.book(symbol)), ("HGETALL", keys.QUOTES))
    except redis_errors as exc:
        raise MarketDataStale(details={"symbol": symbol}) from exc
    all_quotes = Quotes(raw)
    if book is None or symbol not in all_quotes:
        raise MarketDataStale(details={"symbol": symbol})
    view = MarketView(all_quotes[symbol], frames.decode_book(book), all_quotes.funding_rate(symbol))
    return view, all_quotes


def quotes() -> Mapping[str, Quote]:
    """Every market's quote by symbol, however old; raises MarketDataStale when Redis doesn't answer."""
    return Quotes(_ask("hgetall", keys.QUOTES))


def book_body(symbol: str, *, depth: int, now: datetime) -> dict[str, Any] | None:
    """API.md's book with at most `depth` levels a side; None where no book is known."""
    raw = _ask("get", keys.book(symbol))
    if raw is None:
        return None
    book = orjson.loads(raw)
    return {
        "symbol": symbol,
        "sequence": book["sequence"],
        "bids": book["bids"][:depth],
        "asks": book["asks"][:depth],
        "at": book["at"],
        "stale": is_stale(from_ms(book["at"]), now=now),
    }


def ticker_of(symbol: str, *, now: datetime) -> dict[str, Any] | None:
    """API.md's ticker with the age it has at `now`; None where no price is known."""
    try:
        pipeline = sync_client().pipeline(transaction=False)
        pipeline.hget(keys.QUOTES, symbol)
        pipeline.get(keys.stats(symbol))
        raw, stats = pipeline.execute()
    except redis_errors as exc:
        raise MarketDataStale(details={"symbol": symbol}) from exc
    if raw is None:
        return None
    quote, value = frames.decode_quote(symbol, raw)
    funding = {"funding_rate": plain(value.funding_rate), "next_funding_at": value.next_funding_at}
    figures = frames.NO_STATS if stats is None else orjson.loads(stats)
    age_ms, stale = age_ms_of(quote.at, now=now), is_stale(quote.at, now=now)
    return frames.ticker_body(quote, funding, figures, age_ms=age_ms, stale=stale)


def trades_of(symbol: str, *, limit: int) -> list[bytes]:
    """The latest public trades, newest first, as encoded by `frames.trade_value`."""
    return cast(list[bytes], _ask("lrange", keys.trades(symbol), 0, limit - 1))


def fragments(values: list[bytes]) -> list[orjson.Fragment]:
    """Encoded JSON to be put into an answer as it is."""
    return [orjson.Fragment(value) for value in values]


def running_candles(symbol: str, *, kind: str, timeframe: str) -> list[dict[str, Any]]:
    """The last closed and the running candle of a timeframe as API.md's bodies, oldest first; empty when unknown."""
    raw = _ask("hget", keys.candles(symbol), kind)
    return [] if raw is None else orjson.loads(raw).get(timeframe, [])


def extremes_since(symbol: str, *, since: datetime) -> list[Extremes]:
    """Lows and highs of each second from the one that holds `since` on, oldest first; 120 s are kept."""
    first = to_ms(since) // 1000
    values = [_extremes_decoder.decode(raw) for raw in _ask("hvals", keys.extremes(symbol))]
    return [
        Extremes(EPOCH + timedelta(seconds=v.second), v.sequence, v.last, v.mark, v.index, v.bid, v.ask)
        for v in sorted(values, key=lambda value: value.second)
        if v.second >= first
    ]


def opening_frame(stream: str, *, now: datetime) -> bytes | None:
    """The frame with which a new subscriber of `stream` begins: the whole book, or the latest ticker; None for others.

    `stream` is a name like `orderbook:BTC-USD`. Book deltas up to the snapshot's sequence are to be dropped.
    """
    kind, _, symbol = stream.partition(":")
    if kind == "orderbook":
        return cast(bytes | None, _ask("get", keys.book(symbol)))
    if kind == "ticker" and (body := ticker_of(symbol, now=now)):
        return orjson.dumps({"type": "ticker", **body})
    return None


def _ask(command: str, *args: Any) -> Any:
    try:
        return getattr(sync_client(), command)(*args)
    except redis_errors as exc:
        raise MarketDataStale from exc
