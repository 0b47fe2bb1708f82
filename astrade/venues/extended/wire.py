"""Extended's account messages as it spells them (extended-api.md §3, §6, §7.4), the same on REST and on streams.

Times are epoch milliseconds, prices quote per base, quantities base units. Decimals come from the text itself. Ids are
taken quoted or not; unknown fields are ignored, unknown enum values are `UNKNOWN`; only what everything needs is
mandatory.
"""

from typing import Generic, TypeVar

import msgspec

from astrade.venues.wire import Wire, WireEnum

T = TypeVar("T")


class ErrorBody(Wire, frozen=True, kw_only=True):
    code: int | str | None = None
    message: str = ""


class Pagination(Wire, frozen=True, kw_only=True):
    cursor: int | None = None
    count: int = 0


class Envelope(Wire, frozen=True, kw_only=True):
    """What every answer comes in."""

    status: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: ErrorBody | None = None
    pagination: Pagination | None = None


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Rows, newest first, and the cursor to go on from; the venue may name one though nothing follows."""

    rows: list[T]
    cursor: int | None


class OrderType(WireEnum):
    LIMIT = "LIMIT"
    MARKET = "MARKET"
    CONDITIONAL = "CONDITIONAL"
    TPSL = "TPSL"
    TWAP = "TWAP"
    UNKNOWN = "UNKNOWN"


class Side(WireEnum):
    BUY = "BUY"
    SELL = "SELL"
    UNKNOWN = "UNKNOWN"


class PositionSide(WireEnum):
    LONG = "LONG"
    SHORT = "SHORT"
    UNKNOWN = "UNKNOWN"


class OrderStatus(WireEnum):
    """NEW, PARTIALLY_FILLED and UNTRIGGERED are open; TRIGGERED passes by; the others are final but for UNKNOWN."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    UNTRIGGERED = "UNTRIGGERED"
    TRIGGERED = "TRIGGERED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    UNKNOWN = "UNKNOWN"


class TimeInForce(WireEnum):
    GTT = "GTT"
    IOC = "IOC"
    TOB = "TOB"
    FOK = "FOK"
    UNKNOWN = "UNKNOWN"


class TriggerPriceType(WireEnum):
    LAST = "LAST"
    MARK = "MARK"
    INDEX = "INDEX"
    UNKNOWN = "UNKNOWN"


class TriggerDirection(WireEnum):
    """UP fires at or above the price, DOWN at or below it."""

    UP = "UP"
    DOWN = "DOWN"
    UNKNOWN = "UNKNOWN"


class PriceType(WireEnum):
    LIMIT = "LIMIT"
    MARKET = "MARKET"
    UNKNOWN = "UNKNOWN"


class TpslType(WireEnum):
    """What a take profit or stop loss closes: as much as its order, or the whole position."""

    ORDER = "ORDER"
    POSITION = "POSITION"
    UNKNOWN = "UNKNOWN"


class SelfTradeProtection(WireEnum):
    """Between whom an order does not trade; the taker's decides."""

    DISABLED = "DISABLED"
    ACCOUNT = "ACCOUNT"
    CLIENT = "CLIENT"
    UNKNOWN = "UNKNOWN"


class TradeType(WireEnum):
    TRADE = "TRADE"
    LIQUIDATION = "LIQUIDATION"
    DELEVERAGE = "DELEVERAGE"
    UNKNOWN = "UNKNOWN"


class PositionStatus(WireEnum):
    OPENED = "OPENED"
    CLOSED = "CLOSED"
    UNKNOWN = "UNKNOWN"


class OperationType(WireEnum):
    CLAIM = "CLAIM"
    DEPOSIT = "DEPOSIT"
    TRANSFER = "TRANSFER"
    WITHDRAWAL = "WITHDRAWAL"
    FAST_WITHDRAWAL = "FAST_WITHDRAWAL"
    SLOW_WITHDRAWAL = "SLOW_WITHDRAWAL"
    UNKNOWN = "UNKNOWN"


class OperationStatus(WireEnum):
    CREATED = "CREATED"
    IN_PROGRESS = "IN_PROGRESS"
    READY_FOR_CLAIM = "READY_FOR_CLAIM"
    PROCESSED = "PROCESSED"
    COMPLETED = "COMPLETED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"
