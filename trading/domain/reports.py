"""What a venue tells of an account: of an order it holds, of a trade it made. In our words, whatever its own are.

Reports come by stream, by poll and as answers, late, twice and in any order; `trading.domain.live` makes of them what
they mean.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from trading.domain.lifecycle import OrderRole, OrderStatus, OrderType, Side, TimeInForce, TriggerBy


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueTrade:
    """One execution at the venue, of the order with that id. `fee` is in the account's currency, negative for a rebate;
    `at` is the venue's time.
    """

    trade_id: str
    venue_order_id: int
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    is_taker: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownOrder:
    """An order as the venue shows it. `external_id` is what it was sent under, by us or by another client; `status` is
    one of `lifecycle.ACKNOWLEDGED`, `reason` the venue's word for how it ended. Without the venue's id it stands for a
    position that was there before us.

    With a `role` it closes a position: `trigger_price` is its stop loss or else its take profit, `take_profit` the
    other of a pair; its quantity is 0 while it waits to close all there is then.
    """

    venue_order_id: int | None
    external_id: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal | None
    post_only: bool
    reduce_only: bool
    status: OrderStatus
    reason: str
    filled_quantity: Decimal
    expires_at: datetime | None
    at: datetime
    trigger_price: Decimal | None = None
    trigger_by: TriggerBy | None = None
    take_profit: Decimal | None = None
    role: OrderRole | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueFunding:
    """What the venue booked for one hour of a position: signed `quantity`, `rate` a fraction of notional at `mark`,
    `amount` in the account's currency, negative where it was paid. `payment_id` grows.
    """

    payment_id: str
    symbol: str
    hour: datetime
    quantity: Decimal
    mark: Decimal
    rate: Decimal
    amount: Decimal


class MovementKind(StrEnum):
    """Why money came to an account at a venue or left it; `claim` is test money."""

    DEPOSIT = "deposit"
    CLAIM = "claim"
    TRANSFER = "transfer"
    WITHDRAWAL = "withdrawal"
    OTHER = "other"


class MovementStatus(StrEnum):
    PENDING = "pending"
    COMPLETED = "completed"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMovement:
    """Money that came or left at the venue, or is on its way. `amount` is in the account's currency, negative for what
    leaves; a `fee` is part of it: the account's signature lets out no more than the amount. `at` is the venue's time.
    `counterparty` is the venue's id of the account at the other end of a transfer, where it names one.
    """

    movement_id: str
    kind: MovementKind
    status: MovementStatus
    amount: Decimal
    fee: Decimal | None
    at: datetime
    counterparty: str | None = None
