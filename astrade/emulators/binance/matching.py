"""The matching engine: what becomes of an order on the synthetic book (DESIGN §4.8, binance-api.md §7).

Orders trade with the book and not with one another. Every change is told through `tell`, after it was made.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from astrade.core.messages import Level
from astrade.core.money import ZERO, floor_to_step
from astrade.emulators.binance.accounts import INSUFFICIENT, Account
from astrade.emulators.binance.bookings import Bookings
from astrade.emulators.binance.orders import ExpiryReason, Order, TimeInForce, Type
from astrade.emulators.binance.prices import Market
from astrade.emulators.binance.refusals import order_rejected
from astrade.emulators.faults import Faults
from trading.domain import simulator
from trading.domain.lifecycle import Side
from trading.domain.simulator import Profile, Waiting

DUPLICATE = "Duplicate order sent."
WOULD_TAKE = "Order would immediately match and take."
WOULD_TRIGGER = "Order would trigger immediately."
EXPIRES_AS: Mapping[TimeInForce, ExpiryReason] = {
    TimeInForce.IOC: ExpiryReason.IOC_REST,
    TimeInForce.FOK: ExpiryReason.FOK,
}


class Engine:
    """Decides orders. All methods are plain functions of the present state and return at once."""

    def __init__(
        self,
        markets: Mapping[str, Market],
        accounts: Mapping[int, Account],
        *,
        bookings: Bookings,
        faults: Faults,
        mute: Callable[[Account], None],
    ) -> None:
        self._markets, self._accounts, self._bookings = markets, accounts, bookings
        self._faults, self._mute = faults, mute

    def demand_acceptable(self, account: Account, order: Order) -> None:
        """Raises Refused -2010 for an order that can't be placed as the market and the balances are now."""
        market = self._markets[order.symbol]
        if order.type.waits and order.is_triggered(market.last_price):
            raise order_rejected(WOULD_TRIGGER)
        if order.type is Type.LIMIT_MAKER and any(self._within(order, market)):
            raise order_rejected(WOULD_TAKE)
        asset = self._bookings.paid_asset(order)
        if self._cost(order, market) > account.balance(asset).free:
            raise order_rejected(INSUFFICIENT)

    def place(self, account: Account, order: Order) -> None:
        """Take in and decide an order that `demand_acceptable` let pass."""
        market = self._markets[order.symbol]
        if order.type is not Type.MARKET:
            account.lock(order, self._bookings.paid_asset(order), self._cost(order, market))
        account.add_order(order)
        if order.type.waits:
            self._bookings.tell_new(account, order)
            return
        self._go_live(account, order, market)
        if order.status.is_open and self._faults.hits("partial_fill_then_silence"):
            self._fill_a_part(account, order, market)

    def cancel(self, account: Account, order: Order, *, cancel_id: str) -> bool:
        """Cancel an open order under the cancel's own id; False where a fill was faster."""
        if order.is_working and self._faults.hits("cancel_crosses_fill"):
            self._bookings.fill(account, order, price=order.price, quantity=order.remaining, is_maker=True)
            return False
        self._bookings.cancel(account, order, cancel_id=cancel_id)
        return True

    def step(self, market: Market) -> None:
        """Hold every open order of a market against what the market did in the last step."""
        for account in self._accounts.values():
            for order in account.open_orders(market.symbol.name):
                if order.is_working:
                    self._reach(account, order, market)
                elif order.is_triggered(market.last_price):
                    self._trigger(account, order, market)

    def _trigger(self, account: Account, order: Order, market: Market) -> None:
        if not order.type.has_price:
            account.release(order, self._bookings.paid_asset(order), order.locked)
        self._go_live(account, order, market)

    def _go_live(self, account: Account, order: Order, market: Market) -> None:
        self._bookings.work(account, order)
        plan = list(self._plan(account, order, market))
        planned = sum((quantity for _, quantity in plan), ZERO)
        if order.time_in_force is TimeInForce.FOK and planned < order.remaining:
            self._bookings.expire(account, order, ExpiryReason.FOK)
            return
        if order.quote_quantity:
            order.quantity = planned
        for price, quantity in plan:
            market.take_from_book(order.side, quantity)
            self._bookings.fill(account, order, price=price, quantity=quantity, is_maker=False)
        if order.status.is_open:
            self._rest(account, order)

    def _rest(self, account: Account, order: Order) -> None:
        """What remains after taking stays in the book, or expires."""
        if not order.type.has_price:
            self._bookings.expire(account, order, ExpiryReason.NO_LIQUIDITY)
        elif order.time_in_force in EXPIRES_AS:
            self._bookings.expire(account, order, EXPIRES_AS[order.time_in_force])

    def _plan(self, account: Account, order: Order, market: Market) -> Iterator[Level]:
        """What it takes at once, level by level: no more than it wants, and than can be paid if nothing is locked."""
        step, buys = market.symbol.rules.step_size, order.side is Side.BUY
        wanted, quote = order.remaining, order.quote_quantity
        funds = None if order.locked else account.balance(self._bookings.paid_asset(order)).free
        for price, offered in self._within(order, market):
            quantity = min(offered, floor_to_step(quote / price, step=step) if order.quote_quantity else wanted)
            if funds is not None:
                quantity = min(quantity, floor_to_step(funds / price if buys else funds, step=step))
                funds -= quantity * price if buys else quantity
            if not quantity:
                return
            yield price, quantity
            wanted, quote = wanted - quantity, quote - quantity * price

    def _within(self, order: Order, market: Market) -> Iterator[Level]:
        """What the book offers within the order's limit."""
        return simulator.available(
            market.view.book,
            order.side,
            limit=order.limit,
            taken=market.taken(order.side),
            step=market.symbol.rules.step_size,
        )

    def _cost(self, order: Order, market: Market) -> Decimal:
        """What it binds or pays of the asset it pays with, as the book is now."""
        if order.side is Side.SELL and not order.quote_quantity:
            return order.quantity
        if order.type is not Type.MARKET:
            return order.quantity * order.binding_price
        if order.side is Side.BUY and order.quote_quantity:
            return order.quote_quantity
        left, cost = order.quote_quantity or order.quantity, ZERO
        for price, quantity in self._within(order, market):
            if order.quote_quantity:  # a sale for so much quote
                quantity = min(quantity, left / price)
                left, cost = left - quantity * price, cost + quantity
            else:
                quantity = min(quantity, left)
                left, cost = left - quantity, cost + quantity * price
        return cost

    def _fill_a_part(self, account: Account, order: Order, market: Market) -> None:
        part = floor_to_step(order.remaining / 2, step=market.symbol.rules.step_size)
        self._mute(account)
        if part:
            self._bookings.fill(account, order, price=order.price, quantity=part, is_maker=True)

    def _reach(self, account: Account, order: Order, market: Market) -> None:
        """A resting order trades at its price once the book or a trade reached it."""
        sign = order.side.sign
        waiting = Waiting(
            profile=Profile.REALISTIC,
            side=order.side,
            quantity=order.remaining,
            price=order.price,
            traded_through=any((trade.price - order.price) * sign < 0 for trade in market.traded),
            taken=market.taken(order.side),
        )
        rested = simulator.rest(market.symbol.rules, market.view.book, waiting)
        if rested is not None:
            market.take_from_book(order.side, rested.from_book)
            quantity = rested.execution.quantity
            self._bookings.fill(account, order, price=order.price, quantity=quantity, is_maker=True)
