"""What a booking is decided on: the account as loaded under its lock, in plain values."""

from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from astrade.core.money import ZERO
from trading.domain.lifecycle import (
    LIVE,
    RESTING,
    OrderRole,
    OrderSource,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
    TriggerBy,
)
from trading.domain.limits import Halt, RiskDay
from trading.domain.slicing import TwapState, TwapTerms

PRACTICE = "practice"


@dataclass(slots=True)
class CashState:
    """The account's cash in its currency."""

    id: int
    asset: str
    balance: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldAmount:
    """A row of `trading.models.Hold` that has not ended; in the account's currency."""

    id: int
    reference: str
    amount: Decimal


@dataclass(slots=True, kw_only=True)
class PositionState:
    """A row of `trading.models.Position`; signed quantity, exact entry notional."""

    id: int
    uuid: UUID
    market_id: int
    quantity: Decimal = ZERO
    entry_notional: Decimal = ZERO
    opened_quantity: Decimal = ZERO
    opened_notional: Decimal = ZERO
    closed_notional: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    book_sequence: int = 0
    taken_bids: Decimal = ZERO
    taken_asks: Decimal = ZERO
    version: int = 0
    opened_at: datetime | None = None
    stop_loss: Decimal | None = None  # of the whole position, whatever its size; see `trading.domain.protection`
    take_profit: Decimal | None = None

    def taken(self, side: Side, *, sequence: int) -> Decimal:
        """Quantity this account already took from the book state `sequence` on the side that `side` takes from."""
        if sequence != self.book_sequence:
            return ZERO
        return self.taken_asks if side is Side.BUY else self.taken_bids


@dataclass(slots=True, kw_only=True)
class OrderState:
    """A row of `trading.models.Order`."""

    id: int
    uuid: UUID
    market_id: int
    rules_id: int
    number: int
    client_order_id: str
    fingerprint: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal | None
    post_only: bool
    reduce_only: bool
    leverage: int
    tag: str
    source: OrderSource
    status: OrderStatus
    reason: str
    filled_quantity: Decimal
    filled_notional: Decimal
    fee: Decimal
    fill_count: int
    admitted_sequence: int
    admitted_at: datetime
    expires_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime
    trigger_price: Decimal | None = None
    trigger_by: TriggerBy | None = None  # also of the take profit and stop loss it brings along
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    role: OrderRole | None = None
    parent_id: int | None = None
    queue_ahead: Decimal | None = None  # at its price when it was admitted; None where the book did not show it
    queue_sequence: int = 0  # up to this book sequence what traded at its price is counted
    protected_quantity: Decimal = ZERO  # of a protective order: what of its parent's fills it is to close at most
    arrives_at: datetime | None = None  # of one that was sent with simulated latency (`trading.domain.arriving`)
    reserve_price: Decimal | None = None  # a market order binds margin at it on its way
    venue_order_id: int | None = None
    parent_uuid: UUID | None = None  # not its column, but its parent's
    twap: TwapState | None = None  # not its column, but a row beside it

    @property
    def remaining(self) -> Decimal:
        """What is still to be filled, base units."""
        return self.quantity - self.filled_quantity

    @property
    def is_resting(self) -> bool:
        """Whether it waits in the book; a TWAP order never does, its slices take."""
        return self.status in RESTING and self.type is not OrderType.TWAP

    @property
    def is_live(self) -> bool:
        """Whether anything can still become of it."""
        return self.status in LIVE

    @property
    def margin_price(self) -> Decimal | None:
        """What it binds margin at while it is open; None for what binds none."""
        if self.reduce_only or self.status is OrderStatus.UNTRIGGERED or self._waits_to_wait:
            return None
        if self.twap is not None:
            return self.twap.reserve_price
        return self.reserve_price if self.price is None else self.price

    @property
    def _waits_to_wait(self) -> bool:
        """Whether it is on its way to where it waits for its trigger."""
        return self.status is OrderStatus.SUBMITTED and self.trigger_price is not None

    @property
    def due_at(self) -> datetime | None:
        """When a TWAP order has something to do next; None while it is paused, and for any other."""
        waits = self.twap is not None and self.is_live and self.twap.paused_at is None
        return self.twap.next_at if self.twap is not None and waits else None

    def is_expired(self, now: datetime) -> bool:
        """Whether its time is over, be it noted yet or not."""
        return self.expires_at is not None and now >= self.expires_at


NOT_OF_THE_ROW = ("parent_uuid", "twap")
ORDER_COLUMNS = tuple(name for name in OrderState.__slots__ if name not in NOT_OF_THE_ROW)


@dataclass(slots=True, kw_only=True)
class OpenOrders:
    """Live orders of one market. The sums are what needs margin: neither reduce-only nor untriggered orders do.

    Extended's initial margin counts position and open buy or sell orders, and its leverage check "triggered orders"
    (extended-api.md, "Balance" and "Leverage"): an order waiting for its trigger binds nothing until then, and is
    checked against the margin of that moment.
    """

    count: int = 0
    buy_quantity: Decimal = ZERO
    buy_notional: Decimal = ZERO
    sell_quantity: Decimal = ZERO
    sell_notional: Decimal = ZERO

    def add(self, order: OrderState, *, sign: int = 1) -> None:
        """Count an order in (or out, with `sign` -1) with what remains of it."""
        self.count += sign
        price = order.margin_price
        if price is None:
            return
        quantity, notional = sign * order.remaining, sign * order.remaining * price
        if order.side is Side.BUY:
            self.buy_quantity += quantity
            self.buy_notional += notional
        else:
            self.sell_quantity += quantity
            self.sell_notional += notional


@dataclass(slots=True, kw_only=True)
class AccountHead:
    """A row of `trading.models.TradingAccount` with its user's state."""

    id: int
    uuid: UUID
    user_id: int
    user_state: str
    venue: str
    state: str
    simulator: str
    simulated_latency_ms: int = 0
    max_leverage: int
    max_daily_loss: Decimal | None
    max_daily_loss_next: Decimal | None
    max_daily_loss_next_at: datetime | None
    max_daily_notional: Decimal | None
    max_daily_notional_next: Decimal | None
    max_daily_notional_next_at: datetime | None
    net_deposits: Decimal
    traded_notional: Decimal
    sequence: int
    order_count: int
    fill_count: int
    entry_count: int
    head_hash: str

    @property
    def is_live(self) -> bool:
        """Whether its orders go to a venue: nothing is then filled, expired or liquidated here."""
        return self.venue != PRACTICE


@dataclass(slots=True, kw_only=True)
class AccountState(AccountHead):
    """An account under its lock. `row_id` is the first free id of a block for the rows of one booking."""

    row_id: int
    cash: CashState
    positions: dict[int, PositionState] = field(default_factory=dict)
    open_orders: dict[int, OpenOrders] = field(default_factory=dict)
    leverage: dict[int, int] = field(default_factory=dict)
    holds: list[HeldAmount] = field(default_factory=list)  # in force
    cool_off_until: datetime | None = None
    halts: list[Halt] = field(default_factory=list)  # not lifted, and not those of other markets and accounts
    risk_day: RiskDay | None = None  # the last one reckoned, be it over or not
    order: OrderState | None = None  # the one named by the caller, if it exists
    protective: list[OrderState] = field(default_factory=list)  # take profits and stop losses that wait, all markets
    orders: list[OrderState] = field(default_factory=list)  # those the caller asked for beside it, oldest first

    @property
    def held(self) -> Decimal:
        """Cash that waits for a decision (`trading.domain.holds`)."""
        return sum((hold.amount for hold in self.holds), ZERO)

    def orders_on(self, market_id: int) -> OpenOrders:
        """Open-order sums of a market, made when absent."""
        return self.open_orders.setdefault(market_id, OpenOrders())

    def leverage_on(self, market_id: int) -> int:
        """The account's leverage on a market; 1 unless set."""
        return self.leverage.get(market_id, 1)

    def with_order(self, order: OrderState) -> tuple["AccountState", OrderState]:
        """A copy of the account and its copy of `order`, in which nothing that can change is shared with the original;
        an order that stands in several places is one object in the copy too. A tenth of what `deepcopy` takes.
        """
        twins: dict[int, OrderState] = {}

        def twin(of: OrderState) -> OrderState:
            known = twins.get(id(of))
            if known is None:
                known = twins[id(of)] = copy(of)
                known.twap = copy(of.twap)
            return known

        account = copy(self)
        account.cash = copy(self.cash)
        account.positions = {market: copy(position) for market, position in self.positions.items()}
        account.open_orders = {market: copy(sums) for market, sums in self.open_orders.items()}
        account.leverage = dict(self.leverage)
        account.holds, account.halts = list(self.holds), list(self.halts)
        account.order = None if self.order is None else twin(self.order)
        account.protective, account.orders = [twin(leg) for leg in self.protective], [twin(own) for own in self.orders]
        return account, twin(order)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """An order as asked for; quantities in base units, `price` in quote per base. Shape-checked, nothing more."""

    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    expires_at: datetime | None = None
    post_only: bool = False
    reduce_only: bool = False
    leverage: int | None = None
    client_order_id: str = ""
    tag: str = ""
    source: OrderSource = OrderSource.APP
    trigger_price: Decimal | None = None
    trigger_by: TriggerBy | None = None
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    twap: TwapTerms | None = None
    role: OrderRole | None = None  # of one that closes a position at a venue; `take_profit` is then the other of a pair
