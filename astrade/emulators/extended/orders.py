"""Orders as the exchange keeps them. Enum values are the wire's (extended-api.md §7); quantities in base units."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from astrade.core.messages import Quote
from astrade.core.money import ZERO
from trading.domain.lifecycle import Side


class Type(StrEnum):
    LIMIT = "LIMIT"
    MARKET = "MARKET"
    CONDITIONAL = "CONDITIONAL"
    TPSL = "TPSL"
    TWAP = "TWAP"


class TimeInForce(StrEnum):
    GTT = "GTT"
    IOC = "IOC"
    TOB = "TOB"


class Status(StrEnum):
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    UNTRIGGERED = "UNTRIGGERED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"

    @property
    def is_open(self) -> bool:
        return self in (Status.NEW, Status.PARTIALLY_FILLED, Status.UNTRIGGERED)


class Reason(StrEnum):
    """Why an order ended; those that the SDK's enum knows."""

    NONE = "NONE"
    NOT_ENOUGH_FUNDS = "NOT_ENOUGH_FUNDS"
    NO_LIQUIDITY = "NO_LIQUIDITY"
    POST_ONLY_FAILED = "POST_ONLY_FAILED"
    REDUCE_ONLY_FAILED = "REDUCE_ONLY_FAILED"
    POSITION_TPSL_CONFLICT = "POSITION_TPSL_CONFLICT"
    PREV_ORDER_NOT_FOUND = "PREV_ORDER_NOT_FOUND"
    TPSL_OTHER_SIDE_FILLED = "TPSL_OTHER_SIDE_FILLED"
    ORDER_REPLACED = "ORDER_REPLACED"


class TriggerPrice(StrEnum):
    LAST = "LAST"
    MARK = "MARK"
    INDEX = "INDEX"

    def of(self, quote: Quote) -> Decimal:
        """The market's present price of this kind."""
        return {TriggerPrice.LAST: quote.last, TriggerPrice.MARK: quote.mark, TriggerPrice.INDEX: quote.index}[self]


class Direction(StrEnum):
    UP = "UP"
    DOWN = "DOWN"


class Execution(StrEnum):
    LIMIT = "LIMIT"
    MARKET = "MARKET"


class TpslType(StrEnum):
    ORDER = "ORDER"
    POSITION = "POSITION"


class SelfTradeProtection(StrEnum):
    DISABLED = "DISABLED"
    ACCOUNT = "ACCOUNT"
    CLIENT = "CLIENT"


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a waiting order or leg becomes live: UP at or above the price, DOWN at or below."""

    price: Decimal
    by: TriggerPrice
    direction: Direction
    execution: Execution

    def fires(self, quote: Quote) -> bool:
        """Whether the market is there."""
        now = self.by.of(quote)
        return now >= self.price if self.direction is Direction.UP else now <= self.price


@dataclass(slots=True, kw_only=True)
class Leg:
    """A take profit or stop loss: its trigger, and the price it then trades at."""

    trigger: Trigger
    price: Decimal
    status: Status | None = None  # none until the entry it belongs to is filled


@dataclass(slots=True, kw_only=True)
class Order:
    """An order from acceptance to its end; `fee_rate` is the signed ceiling without the builder's share."""

    id: int
    account_id: int
    external_id: str
    market: str
    type: Type
    side: Side
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal
    reduce_only: bool
    post_only: bool
    fee_rate: Decimal
    expires_ms: int
    created_ms: int
    updated_ms: int
    builder_rate: Decimal = ZERO
    trigger: Trigger | None = None
    tpsl_type: TpslType | None = None
    take_profit: Leg | None = None
    stop_loss: Leg | None = None
    replaces: str | None = None  # external id
    status: Status = Status.NEW
    reason: Reason = Reason.NONE
    filled: Decimal = ZERO
    filled_value: Decimal = ZERO
    paid_fee: Decimal = ZERO
    is_acknowledged: bool = False  # whether the engine has seen it; before that nobody is told of it

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled

    @property
    def is_resting(self) -> bool:
        """Whether it stands in the book."""
        return self.is_acknowledged and self.status in (Status.NEW, Status.PARTIALLY_FILLED)

    @property
    def binds_margin(self) -> bool:
        """Neither what only reduces nor what waits for a trigger needs margin."""
        return self.status in (Status.NEW, Status.PARTIALLY_FILLED) and not self.reduce_only

    @property
    def legs(self) -> tuple[Leg, ...]:
        return tuple(leg for leg in (self.take_profit, self.stop_loss) if leg is not None)
