"""The matching engine: what becomes of an accepted order on the synthetic book (DESIGN §4.8, extended-api.md §7).

Orders trade with the book and not with one another. What was taken from a book state is gone for everybody until the
next one. Every change is told through `tell`, after it was made.
"""

from collections.abc import Callable, Mapping

from astrade.core.messages import Quote
from astrade.core.money import floor_cash, floor_to_step
from astrade.emulators.extended.accounts import Account, FundingPayment
from astrade.emulators.extended.bookings import Bookings, Tell
from astrade.emulators.extended.checks import Situation, check_margin
from astrade.emulators.extended.identifiers import Snowflake
from astrade.emulators.extended.markets import Instrument
from astrade.emulators.extended.orders import (
    Execution,
    Order,
    Reason,
    Status,
    TimeInForce,
    TpslType,
    Type,
)
from astrade.emulators.extended.prices import AppliedRate, Market
from astrade.emulators.extended.refusals import Refused
from astrade.emulators.faults import Faults
from trading.domain import simulator
from trading.domain.simulator import Profile, Taking, Waiting


class Engine:
    """Decides orders. All methods are plain functions of the present state and return at once."""

    def __init__(
        self,
        markets: Mapping[str, Market],
        accounts: Mapping[int, Account],
        *,
        ids: Snowflake,
        now_ms: Callable[[], int],
        tell: Tell,
        faults: Faults,
        mute: Callable[[Account], None],
    ) -> None:
        self._markets, self._accounts, self._ids = markets, accounts, ids
        self._now_ms, self._tell, self._faults, self._mute = now_ms, tell, faults, mute
        self._bookings = Bookings(markets, ids=ids, now_ms=now_ms, tell=tell)

    def enter(self, account: Account, order: Order) -> None:
        """Decide an order that REST has accepted."""
        if order.is_acknowledged:
            return
        order.is_acknowledged = True
        if order.replaces is not None and not self._replace(account, order):
            return
        if self._faults.hits("late_refusal"):
            self._bookings.end(account, order, Status.REJECTED, Reason.NOT_ENOUGH_FUNDS)
            return
        if order.type is Type.TPSL:
            self._bookings.wait_with_legs(account, order)
        elif order.trigger is not None:
            order.status = Status.UNTRIGGERED
            self._tell(account, orders=[order])
        else:
            self._go_live(account, order, at_once=order.time_in_force is TimeInForce.IOC)

    def cancel(self, account: Account, order: Order) -> None:
        """End an open order; one that has ended stays as it is."""
        if not order.status.is_open:
            return
        if order.is_resting and not order.reduce_only and self._faults.hits("cancel_crosses_fill"):
            self._bookings.fill(account, order, price=order.price, quantity=order.remaining, is_taker=False)
            return
        self._bookings.end(account, order, Status.CANCELLED, Reason.NONE)

    def step(self, market: Market) -> None:
        """Hold every open order of a market against what the market did in the last step."""
        for account in self._accounts.values():
            for order in account.open_orders(market.instrument.name):
                if not order.status.is_open:
                    continue  # ended by one before it
                if order.expires_ms <= self._now_ms():
                    self._bookings.end(account, order, Status.EXPIRED, Reason.NONE)
                elif order.status is Status.UNTRIGGERED:
                    self._trigger(account, order, market)
                else:
                    self._reach(account, order, market)

    def fire_switches(self) -> None:
        """Cancel all orders of accounts whose dead man's switch ran out."""
        for account in self._accounts.values():
            if account.switch_fires_ms is not None and account.switch_fires_ms <= self._now_ms():
                account.switch_fires_ms = None
                for order in account.open_orders():
                    self.cancel(account, order)

    def pay_funding(self, market: Market, applied: AppliedRate) -> None:
        """An hour's funding of every position in a market: a long pays a positive rate, rounded against the account."""
        mark = market.view.quote.mark
        for account in self._accounts.values():
            position = account.positions.get(market.instrument.name)
            if position is None:
                continue
            fee = floor_cash(-position.state.quantity * mark * applied.rate)
            account.balance += fee
            position.funding += fee
            account.payments.append(
                FundingPayment(
                    id=self._ids.next(self._now_ms()),
                    position_id=position.id,
                    market=position.market,
                    side=position.side,
                    size=position.size,
                    mark=mark,
                    rate=applied.rate,
                    fee=fee,
                    at_ms=applied.at_ms,
                )
            )
            self._tell(account, positions=[position])

    def _replace(self, account: Account, order: Order) -> bool:
        old = account.by_external_id.get(order.replaces or "")
        lost = self._faults.hits("replace_cancels_both")
        if old is None or not old.status.is_open or lost:
            if old is not None:
                self._bookings.end(account, old, Status.CANCELLED, Reason.NONE)
            self._bookings.end(account, order, Status.CANCELLED, Reason.PREV_ORDER_NOT_FOUND)
            return False
        self._bookings.end(account, old, Status.CANCELLED, Reason.ORDER_REPLACED)
        return True

    def _go_live(self, account: Account, order: Order, *, at_once: bool) -> None:
        market = self._markets[order.market]
        order.status = Status.NEW
        if order.reduce_only and not self._bookings.cut_to_position(account, order):
            self._bookings.end(account, order, Status.CANCELLED, Reason.REDUCE_ONLY_FAILED)
            return
        wanted = Taking(
            profile=Profile.REALISTIC,
            side=order.side,
            quantity=order.remaining,
            limit=order.price,
            protection=None,
            taken=market.taken(order.side),
            seed=0,
        )
        executions = simulator.take(market.instrument.rules, market.view, wanted)
        if executions and order.post_only:
            self._bookings.end(account, order, Status.REJECTED, Reason.POST_ONLY_FAILED)
            return
        for execution in executions:
            market.take_from_book(order.side, execution.quantity)
            self._bookings.fill(
                account, order, price=execution.price, quantity=execution.quantity, is_taker=True, fee=execution.fee
            )
        if order.remaining and at_once:
            self._bookings.end(account, order, Status.CANCELLED, Reason.NO_LIQUIDITY)
        elif not executions:
            self._tell(account, orders=[order])
        if order.is_resting and self._faults.hits("partial_fill_then_silence"):
            self._fill_a_part(account, order, market)

    def _fill_a_part(self, account: Account, order: Order, market: Market) -> None:
        part = floor_to_step(order.remaining / 2, step=market.instrument.rules.step_size)
        self._mute(account)
        if part:
            self._bookings.fill(account, order, price=order.price, quantity=part, is_taker=False)

    def _reach(self, account: Account, order: Order, market: Market) -> None:
        """A resting order trades at its price once the book or a trade reached it."""
        sign = order.side.sign
        if order.reduce_only and not self._bookings.cut_to_position(account, order):
            self._bookings.end(account, order, Status.CANCELLED, Reason.REDUCE_ONLY_FAILED)
            return
        waiting = Waiting(
            profile=Profile.REALISTIC,
            side=order.side,
            quantity=order.remaining,
            price=order.price,
            traded_through=any((trade.price - order.price) * sign < 0 for trade in market.traded),
            taken=market.taken(order.side),
        )
        rested = simulator.rest(market.instrument.rules, market.view.book, waiting)
        if rested is not None:
            market.take_from_book(order.side, rested.from_book)
            execution = rested.execution
            self._bookings.fill(
                account, order, price=execution.price, quantity=execution.quantity, is_taker=False, fee=execution.fee
            )

    def _trigger(self, account: Account, order: Order, market: Market) -> None:
        quote = market.view.quote
        if order.type is Type.TPSL:
            self._trigger_leg(account, order, quote)
        elif order.trigger is not None and order.trigger.fires(quote):
            if self._lacks_margin(account, order):
                self._bookings.end(account, order, Status.REJECTED, Reason.NOT_ENOUGH_FUNDS)
                return
            at_once = order.trigger.execution is Execution.MARKET or order.time_in_force is TimeInForce.IOC
            self._go_live(account, order, at_once=at_once)

    def _trigger_leg(self, account: Account, order: Order, quote: Quote) -> None:
        for leg in order.legs:
            if not leg.trigger.fires(quote):
                continue
            for other in order.legs:
                other.status = Status.CANCELLED
            leg.status = Status.NEW
            order.price = leg.price
            if order.tpsl_type is TpslType.POSITION:
                order.quantity = abs(account.held(order.market))
            self._go_live(account, order, at_once=leg.trigger.execution is Execution.MARKET)
            leg.status = order.status
            return

    def _lacks_margin(self, account: Account, order: Order) -> bool:
        if order.reduce_only:
            return False
        quotes = {name: market.view.quote for name, market in self._markets.items()}
        instruments: dict[str, Instrument] = {name: market.instrument for name, market in self._markets.items()}
        situation = Situation(
            account=account,
            instrument=instruments[order.market],
            instruments=instruments,
            quotes=quotes,
            now_ms=self._now_ms(),
        )
        try:
            check_margin(order.side, order.remaining, order.price, situation)
        except Refused:
            return True
        return False
