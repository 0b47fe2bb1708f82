"""Sub-accounts: who may call, what they hold and owe, and the margin figures of it (extended-api.md §6).

Times are epoch milliseconds, money is in the collateral, quantities are in base units.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from astrade.core.clock import from_ms
from astrade.core.messages import Quote
from astrade.core.money import ZERO
from astrade.emulators.extended.markets import Instrument
from astrade.emulators.extended.orders import Order
from trading.domain.lifecycle import Side
from trading.domain.margin import MarginSummary, initial_margin, unrealized_pnl
from trading.domain.positions import Closed, apply_fill
from trading.domain.state import OpenOrders, PositionState


class TradeType(StrEnum):
    TRADE = "TRADE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """An account's execution."""

    id: int
    order: Order
    price: Decimal
    quantity: Decimal
    fee: Decimal
    is_taker: bool
    at_ms: int
    type: TradeType = TradeType.TRADE


@dataclass(slots=True, kw_only=True)
class Position:
    """What an account holds, or held, in a market, from its opening to its end."""

    id: int
    market: str
    state: PositionState
    side: Side
    leverage: Decimal
    created_ms: int
    updated_ms: int
    largest: Decimal = ZERO
    open_fees: Decimal = ZERO
    close_fees: Decimal = ZERO
    funding: Decimal = ZERO
    trade_pnl: Decimal = ZERO
    ended: Closed | None = None
    closed_ms: int | None = None

    @property
    def size(self) -> Decimal:
        return abs(self.state.quantity)

    @property
    def open_price(self) -> Decimal:
        """Average entry of what is held; of a closed one, of everything that was opened."""
        if self.ended is not None:
            return self.ended.entry_notional / self.ended.quantity
        return self.state.entry_notional / self.size

    @property
    def exit_price(self) -> Decimal | None:
        """Average price it was closed at, once it is."""
        return None if self.ended is None else self.ended.exit_notional / self.ended.quantity

    @property
    def realised_pnl(self) -> Decimal:
        """Of trades and funding, after fees."""
        return self.trade_pnl + self.funding - self.open_fees - self.close_fees


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingPayment:
    """One hour's funding of a position; `fee` is what the balance got (a long pays a positive rate: negative)."""

    id: int
    position_id: int
    market: str
    side: Side
    size: Decimal
    mark: Decimal
    rate: Decimal
    fee: Decimal
    at_ms: int


@dataclass(slots=True, kw_only=True)
class Operation:
    """A deposit, claim, transfer or withdrawal; `amount` is signed, what leaves is negative."""

    id: int
    type: str
    status: str
    amount: Decimal
    at_ms: int
    counterparty_id: int | None = None


@dataclass(slots=True, kw_only=True)
class Account:
    """One sub-account. Its API key selects it, its Stark key signs, its vault is its position in the settlement."""

    id: int
    client_id: int
    index: int
    description: str
    api_key: str
    public_key: int
    private_key: int | None  # of seeded accounts, so that whoever tries the emulator can sign
    vault: int
    wallet: int  # Starknet address that withdrawals go to
    balance: Decimal
    updated_ms: int
    status: str = "ACTIVE"
    leverage: dict[str, Decimal] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)  # open ones by market
    past_positions: list[Position] = field(default_factory=list)
    orders: dict[int, Order] = field(default_factory=dict)
    live: dict[int, Order] = field(default_factory=dict)  # those that have not ended
    by_external_id: dict[str, Order] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)
    payments: list[FundingPayment] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    switch_fires_ms: int | None = None  # the dead man's switch

    def leverage_on(self, instrument: Instrument) -> Decimal:
        """As set, or the market's largest."""
        return self.leverage.get(instrument.name, Decimal(instrument.rules.max_leverage))

    def add_order(self, order: Order) -> None:
        """Keep an accepted order."""
        self.live[order.id] = self.orders[order.id] = self.by_external_id[order.external_id] = order

    def open_orders(self, market: str | None = None) -> list[Order]:
        """Acknowledged orders that have not ended, oldest first."""
        return [order for order in self.live.values() if order.is_acknowledged and market in (None, order.market)]

    def held(self, market: str) -> Decimal:
        """Signed quantity in a market."""
        position = self.positions.get(market)
        return position.state.quantity if position else ZERO

    def book_fill(self, trade: Trade, *, new_id: int, leverage: Decimal) -> list[Position]:
        """Book an execution onto balance and position; returns the positions it changed, a closed one first."""
        order, market = trade.order, trade.order.market
        position = self.positions.get(market) or _opening(new_id, trade, leverage)
        state = position.state
        fees, size = state.fees, position.size
        pnl, closed = apply_fill(
            state,
            side=order.side,
            price=trade.price,
            quantity=trade.quantity,
            fee=trade.fee,
            at=from_ms(trade.at_ms),
            next_uuid=UUID(int=new_id),
        )
        self.balance += pnl - trade.fee
        self.updated_ms = position.updated_ms = trade.at_ms
        position.trade_pnl += pnl
        self.trades.append(trade)
        if closed is None:
            self.positions[market] = position
            if position.size > size:
                position.open_fees += state.fees - fees
            else:
                position.close_fees += state.fees - fees
            position.largest = max(position.largest, position.size)
            return [position]
        position.ended, position.close_fees = closed, closed.fees - position.open_fees
        return self._close(position, trade, new_id=new_id, leverage=leverage)

    def _close(self, position: Position, trade: Trade, *, new_id: int, leverage: Decimal) -> list[Position]:
        market, state = position.market, position.state
        del self.positions[market]
        past = position
        if state.quantity:  # it went on to the other side
            opened = _opening(new_id, trade, leverage)
            opened.state, opened.open_fees, opened.largest = state, state.fees, abs(state.quantity)
            past.state = _flat(state)
            self.positions[market] = opened
        past.closed_ms = trade.at_ms
        self.past_positions.append(past)
        return [past, *([self.positions[market]] if state.quantity else [])]


def _opening(new_id: int, trade: Trade, leverage: Decimal) -> Position:
    order = trade.order
    state = PositionState(id=new_id, uuid=UUID(int=new_id), market_id=0)
    return Position(
        id=new_id,
        market=order.market,
        state=state,
        side=order.side,
        leverage=leverage,
        created_ms=trade.at_ms,
        updated_ms=trade.at_ms,
    )


def _flat(state: PositionState) -> PositionState:
    return PositionState(id=state.id, uuid=state.uuid, market_id=0)


def open_orders_of(orders: Iterable[Order]) -> OpenOrders:
    """The sums that margin is reckoned with."""
    sums = OpenOrders()
    for order in orders:
        if order.binds_margin:
            value = order.remaining * order.price
            if order.side is Side.BUY:
                sums.buy_notional += value
            else:
                sums.sell_notional += value
    return sums


def margin_of(account: Account, instruments: Mapping[str, Instrument], quotes: Mapping[str, Quote]) -> MarginSummary:
    """The account's margin figures at present marks (extended-api.md §6, definitions)."""
    orders = account.open_orders()
    markets = {order.market for order in orders} | account.positions.keys()
    unrealized = initial = maintenance = ZERO
    for market in sorted(markets):
        instrument, mark = instruments[market], quotes[market].mark
        exposure = account.held(market) * mark
        sums = open_orders_of(order for order in orders if order.market == market)
        initial += initial_margin(exposure=exposure, orders=sums, leverage=1) / account.leverage_on(instrument)
        if exposure:
            unrealized += unrealized_pnl(account.positions[market].state, mark=mark)
            maintenance += abs(exposure) * instrument.rules.maintenance_margin_rate
    return MarginSummary(balance=account.balance, unrealized_pnl=unrealized, initial=initial, maintenance=maintenance)
