"""What an execution or an end does to an order, its account, and the legs and reducing orders that hang on it."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Protocol

from astrade.core.money import ZERO, ceil_cash
from astrade.emulators.extended.accounts import Account, Position, Trade
from astrade.emulators.extended.identifiers import Snowflake
from astrade.emulators.extended.orders import Leg, Order, Reason, Status, TimeInForce, TpslType, Type
from astrade.emulators.extended.prices import Market
from trading.domain import simulator
from trading.domain.simulator import Profile


class Tell(Protocol):
    """Tells an account's streams what changed; the balance goes along with trades."""

    def __call__(
        self,
        account: Account,
        *,
        orders: list[Order] | None = None,
        trades: list[Trade] | None = None,
        positions: list[Position] | None = None,
    ) -> None: ...


class Bookings:
    """Every change of an order's state after its acceptance; each is told of after it was made."""

    def __init__(self, markets: Mapping[str, Market], *, ids: Snowflake, now_ms: Callable[[], int], tell: Tell) -> None:
        self._markets, self._ids, self._now_ms, self._tell = markets, ids, now_ms, tell

    def fill(
        self,
        account: Account,
        order: Order,
        *,
        price: Decimal,
        quantity: Decimal,
        is_taker: bool,
        fee: Decimal | None = None,
    ) -> None:
        """Book an execution; without `fee` the maker's is due."""
        instrument, now_ms = self._markets[order.market].instrument, self._now_ms()
        if fee is None:
            fee = simulator.fee_of(price * quantity, rate=instrument.rules.maker_fee_rate, profile=Profile.REALISTIC)
        fee += ceil_cash(price * quantity * order.builder_rate)
        trade = Trade(
            id=self._ids.next(now_ms),
            order=order,
            price=price,
            quantity=quantity,
            fee=fee,
            is_taker=is_taker,
            at_ms=now_ms,
        )
        changed = account.book_fill(trade, new_id=self._ids.next(now_ms), leverage=account.leverage_on(instrument))
        order.filled += quantity
        order.filled_value += price * quantity
        order.paid_fee += fee
        order.updated_ms = now_ms
        order.status = Status.PARTIALLY_FILLED if order.remaining else Status.FILLED
        if not order.remaining:
            account.live.pop(order.id, None)
        self._tell(account, orders=[order], trades=[trade], positions=changed)
        if not order.remaining:
            self._attach_legs(account, order)
        if order.market not in account.positions:
            self._drop_reducing(account, order.market)

    def end(self, account: Account, order: Order, status: Status, reason: Reason) -> None:
        """End an open order; one that has ended stays as it is."""
        if not order.status.is_open:
            return
        order.status, order.reason, order.updated_ms = status, reason, self._now_ms()
        account.live.pop(order.id, None)
        if order.type is Type.TPSL:
            for leg in order.legs:
                leg.status = Status.CANCELLED
        self._tell(account, orders=[order])
        self._attach_legs(account, order)

    def wait_with_legs(self, account: Account, order: Order) -> None:
        """Let a TP/SL wait for its triggers; a whole position has one of them."""
        whole = order.tpsl_type is TpslType.POSITION
        if whole and any(o.tpsl_type is TpslType.POSITION for o in self._waiting_tpsl(account, order)):
            self.end(account, order, Status.REJECTED, Reason.POSITION_TPSL_CONFLICT)
            return
        order.status = Status.UNTRIGGERED
        for leg in order.legs:
            leg.status = Status.UNTRIGGERED
        self._tell(account, orders=[order])

    def cut_to_position(self, account: Account, order: Order) -> Decimal:
        """Make a reducing order no larger than what there is to reduce; returns what remains of it."""
        reducible = max(ZERO, -account.held(order.market) * order.side.sign)
        order.quantity = min(order.quantity, order.filled + reducible)
        return order.remaining

    def _attach_legs(self, account: Account, entry: Order) -> None:
        """An entry that ended with fills leaves its take profit and stop loss behind, as an order of their own."""
        if entry.type is Type.TPSL or not entry.legs or not entry.filled:
            return
        now_ms, order_id = self._now_ms(), self._ids.next(self._now_ms())
        child = Order(
            id=order_id,
            account_id=account.id,
            external_id=str(order_id),
            market=entry.market,
            type=Type.TPSL,
            side=entry.side.opposite,
            time_in_force=TimeInForce.GTT,
            quantity=ZERO if entry.tpsl_type is TpslType.POSITION else entry.filled,
            price=ZERO,
            reduce_only=True,
            post_only=False,
            fee_rate=entry.fee_rate,
            expires_ms=entry.expires_ms,
            created_ms=now_ms,
            updated_ms=now_ms,
            tpsl_type=entry.tpsl_type,
            take_profit=_copy(entry.take_profit),
            stop_loss=_copy(entry.stop_loss),
            is_acknowledged=True,
        )
        account.add_order(child)
        self.wait_with_legs(account, child)

    def _drop_reducing(self, account: Account, market: str) -> None:
        for order in account.open_orders(market):
            if order.reduce_only:
                self.end(account, order, Status.CANCELLED, Reason.REDUCE_ONLY_FAILED)

    def _waiting_tpsl(self, account: Account, order: Order) -> list[Order]:
        return [
            other
            for other in account.open_orders(order.market)
            if other.type is Type.TPSL and other is not order and other.side is order.side
        ]


def _copy(leg: Leg | None) -> Leg | None:
    return None if leg is None else Leg(trigger=leg.trigger, price=leg.price)
