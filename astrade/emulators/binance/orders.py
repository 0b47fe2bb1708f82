"""Orders as the exchange keeps them. Enum values are the wire's (binance-api.md §7); quantities in base units."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from astrade.core.money import ZERO
from trading.domain.lifecycle import Side

NOT_WORKING = -1


class Type(StrEnum):
    LIMIT = "LIMIT"
    LIMIT_MAKER = "LIMIT_MAKER"
    MARKET = "MARKET"
    STOP_LOSS = "STOP_LOSS"
    STOP_LOSS_LIMIT = "STOP_LOSS_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"

    @property
    def waits(self) -> bool:
        """Whether it waits for a stop price."""
        return self.value.startswith(("STOP_", "TAKE_"))

    @property
    def has_price(self) -> bool:
        return self.value.startswith("LIMIT") or self.value.endswith("_LIMIT")

    @property
    def has_time_in_force(self) -> bool:
        return self.has_price and self is not Type.LIMIT_MAKER


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class Status(StrEnum):
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"

    @property
    def is_open(self) -> bool:
        return self in (Status.NEW, Status.PARTIALLY_FILLED)


class SelfTradePrevention(StrEnum):
    """Reported only: accounts trade with the synthetic book, never with themselves."""

    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"
    DECREMENT = "DECREMENT"


class ResponseType(StrEnum):
    ACK = "ACK"
    RESULT = "RESULT"
    FULL = "FULL"


class ExpiryReason(StrEnum):
    IOC_REST = "UNFILLED_IOC_QUANTITY_EXPIRED"
    FOK = "UNFILLED_FOK_ORDER_EXPIRED"
    NO_LIQUIDITY = "INSUFFICIENT_LIQUIDITY"
    REJECTED = "REJECTED"


@dataclass(slots=True, kw_only=True)
class Order:
    """An order from acceptance to its end. `locked` is what it still binds of the asset it pays with."""

    id: int
    account_id: int
    client_order_id: str
    symbol: str
    side: Side
    type: Type
    time_in_force: TimeInForce
    quantity: Decimal  # 0 for one that is given in quote, until it is filled
    quote_quantity: Decimal
    price: Decimal
    stop_price: Decimal
    prevention: SelfTradePrevention
    created_ms: int
    updated_ms: int
    working_ms: int = NOT_WORKING
    strategy_id: int | None = None
    strategy_type: int | None = None
    status: Status = Status.NEW
    expiry_reason: ExpiryReason | None = None
    filled: Decimal = ZERO
    filled_value: Decimal = ZERO
    locked: Decimal = ZERO

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled

    @property
    def is_working(self) -> bool:
        """Whether it is or was in the book; one that waits for its stop price isn't."""
        return self.working_ms != NOT_WORKING

    @property
    def limit(self) -> Decimal | None:
        """The worst price it trades at."""
        return self.price if self.type.has_price else None

    @property
    def binding_price(self) -> Decimal:
        """What a bought unit binds while the order waits."""
        return self.price if self.type.has_price else self.stop_price

    def is_triggered(self, last: Decimal) -> bool:
        """Whether the last price is at or beyond the stop price."""
        return last >= self.stop_price if self.rises else last <= self.stop_price

    @property
    def rises(self) -> bool:
        """Whether it waits for a higher price: a stop of a buyer, a take profit of a seller."""
        return (self.side is Side.BUY) == self.type.value.startswith("STOP_")
