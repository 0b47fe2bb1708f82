"""What Binance tells everyone, as it spells it (binance-api.md §6, §9); see `venues.wire` for how it is read. What is
not needed is left out. Levels of a book stay texts: its keeper makes numbers of them.
"""

from decimal import Decimal

import msgspec

from astrade.venues.wire import Wire

TextLevel = tuple[str, str]  # price, quantity


class ErrorBody(Wire, frozen=True, kw_only=True):
    code: int
    msg: str = ""


class Depth(Wire, frozen=True, kw_only=True):
    """The book as of the update `last_update_id`."""

    last_update_id: int
    bids: list[TextLevel]
    asks: list[TextLevel]


class Kline(Wire, frozen=True, kw_only=True, array_like=True):
    """A row of `klines`; the last one of an answer may be unfinished."""

    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    close_ms: int
    quote_volume: Decimal
    trades: int


class Filter(Wire, frozen=True, kw_only=True):
    """One of a symbol's filters, of which only those are read that our rules have; 0 disables a part."""

    filter_type: str
    tick_size: Decimal | None = None
    step_size: Decimal | None = None
    min_qty: Decimal | None = None
    max_qty: Decimal | None = None


class Symbol(Wire, frozen=True, kw_only=True):
    symbol: str
    filters: list[Filter]


class ExchangeInfo(Wire, frozen=True, kw_only=True):
    symbols: list[Symbol]


class PriceTicker(Wire, frozen=True, kw_only=True):
    """The last trade's price; the venue names no time."""

    symbol: str
    price: Decimal


class Combined(Wire, frozen=True, kw_only=True):
    """A message of a combined stream."""

    stream: str
    data: msgspec.Raw


class DepthUpdate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the updates from `first_id` to `last_id` changed: new absolute quantities, 0 removes."""

    first_id: int = msgspec.field(name="U")
    last_id: int = msgspec.field(name="u")
    bids: list[TextLevel] = msgspec.field(name="b")
    asks: list[TextLevel] = msgspec.field(name="a")


class DepthMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A depth event in a combined stream."""

    stream: str
    data: DepthUpdate


class BookTicker(Wire, frozen=True, kw_only=True, rename=None):
    """The best prices after the update `update_id`; no time is told."""

    update_id: int = msgspec.field(name="u")
    bid: Decimal = msgspec.field(name="b")
    ask: Decimal = msgspec.field(name="a")


class Trade(Wire, frozen=True, kw_only=True, rename=None):
    """One execution; `buyer_rested`: the seller was the taker."""

    id: int = msgspec.field(name="t")
    price: Decimal = msgspec.field(name="p")
    quantity: Decimal = msgspec.field(name="q")
    at_ms: int = msgspec.field(name="T")
    told_ms: int = msgspec.field(name="E")
    buyer_rested: bool = msgspec.field(name="m")
