"""The bytes that leave: every market-data frame and Redis value, built in one place and encoded once.

Frames for sockets carry `type` and `symbol`; prices and quantities are decimal strings, times integer milliseconds.

    ticker              symbol, last, mark, index, bid, ask, change_24h (fraction), high_24h, low_24h, volume_24h,
                        open_interest, funding_rate, next_funding_at, at, age_ms, stale
    trades              symbol, trades[{trade_id, side, price, quantity, at}], oldest first; side is the taker's
    orderbook_snapshot  symbol, sequence, bids[[price, quantity]], asks, at, stale
    orderbook_delta     symbol, first_sequence, sequence, bids, asks, at: new absolute quantities, "0" removes the
    level.
                        It applies to a book whose sequence is first_sequence − 1; anything else is a gap: take a
                        snapshot
    candle              symbol, timeframe, kind, open_time, open, high, low, close, volume, trades, closed
    funding             symbol, funding_rate, next_funding_at, at
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, overload

import msgspec
import orjson

from astrade.core.clock import EPOCH, from_ms, to_ms, to_us
from astrade.core.messages import BookSnapshot, CandleUpdate, FundingUpdate, Level, Quote, TradeTick
from astrade.core.money import ZERO, plain

NO_STATS: Mapping[str, str | None] = {
    "change_24h": None,
    "high_24h": None,
    "low_24h": None,
    "volume_24h": None,
    "open_interest": None,
}
TextLevels = dict[str, str]  # price → quantity, in the order of the book


class QuoteValue(msgspec.Struct, frozen=True):
    """One value of `md:quotes`."""

    last: Decimal
    mark: Decimal
    index: Decimal
    bid: Decimal
    ask: Decimal
    at_us: int
    funding_rate: Decimal
    next_funding_at: int | None


class BookValue(msgspec.Struct, frozen=True):
    """The value of `md:book:<SYMBOL>`."""

    symbol: str
    sequence: int
    bids: tuple[tuple[str, str], ...]
    asks: tuple[tuple[str, str], ...]
    at: int


class TradeValue(msgspec.Struct, frozen=True):
    """Member of `md:trades:<SYMBOL>`."""

    trade_id: int
    side: Literal["buy", "sell"]
    price: Decimal
    quantity: Decimal
    at: int


class TextSide(Sequence[Level]):
    """One side of a book whose levels become decimals when looked at: an order rarely goes beyond the first."""

    __slots__ = ("_levels",)

    def __init__(self, levels: tuple[tuple[str, str], ...]) -> None:
        self._levels = levels

    @overload
    def __getitem__(self, index: int) -> Level: ...
    @overload
    def __getitem__(self, index: slice) -> "TextSide": ...
    def __getitem__(self, index: int | slice) -> "Level | TextSide":
        if isinstance(index, slice):
            return TextSide(self._levels[index])
        price, quantity = self._levels[index]
        return Decimal(price), Decimal(quantity)

    def __iter__(self) -> Iterator[Level]:
        return ((Decimal(price), Decimal(quantity)) for price, quantity in self._levels)

    def __len__(self) -> int:
        return len(self._levels)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


Span = tuple[Decimal, Decimal, Decimal]


class Tick(msgspec.Struct, array_like=True, frozen=True):
    """What a market did since its tick before: best prices now, lowest and highest traded price in between, and what
    takers sold at the lowest and bought at the highest; of last, mark and index price the lowest, the highest and the
    present one.
    """

    symbol: str
    sequence: int
    bid: Decimal
    ask: Decimal
    low: Decimal
    high: Decimal
    at: datetime
    sold_at_low: Decimal = ZERO
    bought_at_high: Decimal = ZERO
    last: Span | None = None
    mark: Span | None = None
    index: Span | None = None


_tick_decoder = msgspec.json.Decoder(Tick)
_quote_decoder = msgspec.json.Decoder(QuoteValue)
_book_decoder = msgspec.json.Decoder(BookValue)
_trade_decoder = msgspec.json.Decoder(TradeValue)
_ONE_US = EPOCH.resolution


def text_levels(levels: Iterable[Level]) -> TextLevels:
    """Levels as canonical text, so that equal numbers are equal strings."""
    return {plain(price): plain(quantity) for price, quantity in levels}


def changed_levels(before: TextLevels, after: TextLevels) -> list[list[str]]:
    """What turns `before` into `after`; a quantity of "0" removes the level."""
    changed = [[price, quantity] for price, quantity in after.items() if before.get(price) != quantity]
    changed += [[price, "0"] for price in before if price not in after]
    return changed


def book_snapshot(symbol: str, *, sequence: int, bids: TextLevels, asks: TextLevels, at: datetime) -> bytes:
    """The whole book: value of `md:book:<SYMBOL>` and first frame of a subscriber."""
    return orjson.dumps(
        {
            "type": "orderbook_snapshot",
            "symbol": symbol,
            "sequence": sequence,
            "bids": list(bids.items()),
            "asks": list(asks.items()),
            "at": to_ms(at),
            "stale": False,
        }
    )


def book_delta(
    symbol: str, *, first_sequence: int, sequence: int, bids: Sequence[Any], asks: Sequence[Any], at: datetime
) -> bytes:
    """Changes of the book since the frame whose sequence was `first_sequence - 1`."""
    return orjson.dumps(
        {
            "type": "orderbook_delta",
            "symbol": symbol,
            "first_sequence": first_sequence,
            "sequence": sequence,
            "bids": bids,
            "asks": asks,
            "at": to_ms(at),
        }
    )


def decode_book(raw: bytes) -> BookSnapshot:
    """What `book_snapshot` encoded."""
    value = _book_decoder.decode(raw)
    return BookSnapshot(value.symbol, value.sequence, TextSide(value.bids), TextSide(value.asks), from_ms(value.at))


def quote_value(quote: Quote, funding: FundingUpdate | None) -> bytes:
    """Value of a symbol in `md:quotes`."""
    return orjson.dumps(_prices(quote) | {"at_us": to_us(quote.at)} | _funding(funding))


def decode_quote(symbol: str, raw: bytes) -> tuple[Quote, QuoteValue]:
    """What `quote_value` encoded, as a quote and as the whole value."""
    value = _quote_decoder.decode(raw)
    at = EPOCH + value.at_us * _ONE_US
    return Quote(symbol, value.last, value.mark, value.index, value.bid, value.ask, at), value


def tick(
    quote: Quote,
    *,
    sequence: int,
    low: Decimal,
    high: Decimal,
    sold_at_low: Decimal = ZERO,
    bought_at_high: Decimal = ZERO,
    spans: Mapping[str, tuple[Decimal, Decimal]] | None = None,
) -> bytes:
    """Message on the `ticks` channel."""
    prices = (plain(quote.bid), plain(quote.ask), plain(low), plain(high))
    edges = (plain(sold_at_low), plain(bought_at_high))
    known = {"last": (low, high), "mark": (quote.mark, quote.mark), "index": (quote.index, quote.index)}
    known |= spans or {}
    moved = [[plain(price) for price in (*known[name], getattr(quote, name))] for name in ("last", "mark", "index")]
    return orjson.dumps([quote.symbol, sequence, *prices, quote.at, *edges, *moved])


def decode_tick(raw: bytes) -> Tick:
    """What `tick` encoded."""
    return _tick_decoder.decode(raw)


def ticker_body(
    quote: Quote, funding: Mapping[str, Any], stats: Mapping[str, str | None], *, age_ms: int, stale: bool
) -> dict[str, Any]:
    """API.md's ticker."""
    return {
        "symbol": quote.symbol,
        **_prices(quote),
        **stats,
        **funding,
        "at": to_ms(quote.at),
        "age_ms": age_ms,
        "stale": stale,
    }


def ticker(
    quote: Quote, funding: FundingUpdate | None, stats: Mapping[str, str | None], *, age_ms: int, stale: bool
) -> bytes:
    """Frame with a market's prices, and how old they are when it is published."""
    return orjson.dumps({"type": "ticker", **ticker_body(quote, _funding(funding), stats, age_ms=age_ms, stale=stale)})


def trade_value(trade: TradeTick) -> bytes:
    """One public trade: member of `md:trades:<SYMBOL>` and of a trades frame."""
    return orjson.dumps(
        {
            "trade_id": trade.trade_id,
            "side": trade.side,
            "price": plain(trade.price),
            "quantity": plain(trade.quantity),
            "at": to_ms(trade.at),
        }
    )


def decode_trade(symbol: str, raw: bytes) -> TradeTick:
    """What `trade_value` encoded."""
    value = _trade_decoder.decode(raw)
    return TradeTick(symbol, value.trade_id, value.side, value.price, value.quantity, from_ms(value.at))


def trades(symbol: str, values: Sequence[bytes]) -> bytes:
    """Frame with encoded trades, oldest first."""
    fragments = [orjson.Fragment(value) for value in values]
    return orjson.dumps({"type": "trades", "symbol": symbol, "trades": fragments})


def candle_body(candle: CandleUpdate) -> dict[str, Any]:
    """API.md's candle."""
    return {
        "open_time": to_ms(candle.open_time),
        "open": plain(candle.open),
        "high": plain(candle.high),
        "low": plain(candle.low),
        "close": plain(candle.close),
        "volume": plain(candle.volume),
        "trades": candle.trades,
        "closed": candle.closed,
    }


def candle(update: CandleUpdate) -> bytes:
    """Frame with one candle as it stands."""
    header = {"type": "candle", "symbol": update.symbol, "timeframe": update.timeframe, "kind": update.kind}
    return orjson.dumps(header | candle_body(update))


def funding(update: FundingUpdate, *, at: datetime) -> bytes:
    """Frame with the rate that applies next."""
    return orjson.dumps({"type": "funding", "symbol": update.symbol, **_funding(update), "at": to_ms(at)})


def _prices(quote: Quote) -> dict[str, str]:
    return {
        "last": plain(quote.last),
        "mark": plain(quote.mark),
        "index": plain(quote.index),
        "bid": plain(quote.bid),
        "ask": plain(quote.ask),
    }


def _funding(update: FundingUpdate | None) -> dict[str, Any]:
    if update is None:
        return {"funding_rate": "0", "next_funding_at": None}
    return {"funding_rate": plain(update.rate), "next_funding_at": to_ms(update.next_at)}
