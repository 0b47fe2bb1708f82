"""What an earlier process left in Redis: last prices, sequences, running candles. A feed goes on from there, never
back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson
from redis.asyncio import Redis

from astrade.core.clock import from_ms
from astrade.core.messages import FundingUpdate, Quote
from marketdata import frames, keys
from marketdata.candles import Bar
from marketdata.models import PriceKind
from marketdata.timeframes import BASE


@dataclass(slots=True)
class Left:
    """One market's last known state."""

    quote: Quote | None = None
    funding: FundingUpdate | None = None
    sequence: int = 0
    trade_id: int = 0
    minutes: dict[str, Bar] = field(default_factory=dict)  # the running minute by kind
    extremes: list[Any] | None = None


async def read_left(client: "Redis", symbols: Sequence[str]) -> dict[str, Left]:
    """The state of each market in one round trip; what isn't there is empty."""
    pipe = client.pipeline(transaction=False)
    pipe.hgetall(keys.QUOTES)
    for symbol in symbols:
        pipe.get(keys.book(symbol))
        pipe.lindex(keys.trades(symbol), 0)
        pipe.hgetall(keys.candles(symbol))
        pipe.hvals(keys.extremes(symbol))
    quotes, *rest = await pipe.execute()
    return {
        symbol: _left(symbol, quotes.get(symbol.encode()), *rest[4 * number : 4 * number + 4])
        for number, symbol in enumerate(symbols)
    }


def _left(
    symbol: str,
    quote: bytes | None,
    book: bytes | None,
    trade: bytes | None,
    candles: dict[bytes, bytes],
    seconds: list[bytes],
) -> Left:
    left = Left()
    if quote is not None:
        left.quote, value = frames.decode_quote(symbol, quote)
        if value.next_funding_at is not None:
            left.funding = FundingUpdate(symbol, value.funding_rate, from_ms(value.next_funding_at))
    if book is not None:
        left.sequence = frames.decode_book(book).sequence
    if trade is not None:
        left.trade_id = orjson.loads(trade)["trade_id"]
    for kind in PriceKind.values:
        running = [body for body in orjson.loads(candles.get(kind.encode(), b"{}")).get(BASE, []) if not body["closed"]]
        if running:
            left.minutes[kind] = bar_of(running[-1])
    if seconds:
        left.extremes = max((orjson.loads(second) for second in seconds), key=lambda second: second[0])
    return left


def bar_of(body: dict[str, Any]) -> Bar:
    """The bar in a candle's public body."""
    opened, high, low, close, volume = (Decimal(body[name]) for name in ("open", "high", "low", "close", "volume"))
    return Bar(body["open_time"], opened, high, low, close, volume, body["trades"])
