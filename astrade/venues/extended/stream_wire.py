"""What Extended's streams tell (extended-api.md §9); see `wire` for how it is read."""

from decimal import Decimal

import msgspec

from astrade.venues.extended.account_wire import Balance, FundsMove, Order, Position, SpotBalance, Trade
from astrade.venues.extended.wire import ErrorBody
from astrade.venues.wire import Wire, WireEnum


class StreamEnvelope(Wire, frozen=True, kw_only=True):
    """What every message comes in; trades, funding and candles name no `type`."""

    ts: int
    seq: int
    type: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: ErrorBody | str | None = None


class AccountNews(Wire, frozen=True, kw_only=True):
    """What changed, or after connecting what there is; one message may hold several members, whatever its type."""

    balance: Balance | None = None
    spot_balances: list[SpotBalance] | None = None
    orders: list[Order] | None = None
    positions: list[Position] | None = None
    trades: list[Trade] | None = None
    deposit: FundsMove | None = None
    withdrawal: FundsMove | None = None
    transfer: FundsMove | None = None


class BookUpdateType(WireEnum):
    SNAPSHOT = "SNAPSHOT"
    DELTA = "DELTA"
    UNKNOWN = "UNKNOWN"


class BookChange(Wire, frozen=True, kw_only=True, rename=None):
    """A price level: `change` is the size in a snapshot, what is added in a delta; `size` is absolute in both."""

    price: Decimal = msgspec.field(name="p")
    change: Decimal = msgspec.field(name="q")
    size: Decimal | None = msgspec.field(name="c", default=None)


class BookUpdate(Wire, frozen=True, kw_only=True, rename=None):
    type: BookUpdateType = msgspec.field(name="t")
    market: str = msgspec.field(name="m")
    bids: list[BookChange] = msgspec.field(name="b")
    asks: list[BookChange] = msgspec.field(name="a")


class PriceUpdate(Wire, frozen=True, kw_only=True, rename=None):
    """A mark or index price; its own `ts` has been seen as 0, so the message's is to be used."""

    market: str = msgspec.field(name="m")
    price: Decimal = msgspec.field(name="p")
