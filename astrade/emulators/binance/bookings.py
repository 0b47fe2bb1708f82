"""What an execution or an end does to an order and its account; each is told of after it was made."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from astrade.emulators.binance import events
from astrade.emulators.binance.accounts import Account, Trade, commission_of
from astrade.emulators.binance.events import Execution
from astrade.emulators.binance.orders import ExpiryReason, Order, Status
from astrade.emulators.binance.prices import Market
from astrade.emulators.binance.symbols import FEE_RATE, Symbol
from trading.domain.lifecycle import Side

Tell = Callable[[Account, dict[str, Any]], None]


class Bookings:
    """Every change of an order's state. `tell` takes an event of the user stream; `filled` is called for an order that
    is filled whole.
    """

    def __init__(
        self,
        markets: Mapping[str, Market],
        *,
        now_ms: Callable[[], int],
        new_id: Callable[[], int],
        tell: Tell,
        filled: Callable[[Account], None],
    ) -> None:
        self._markets, self._now_ms, self._new_id, self._tell, self._filled = markets, now_ms, new_id, tell, filled

    def paid_asset(self, order: Order) -> str:
        """The asset that an order pays with."""
        symbol = self._symbol(order)
        return symbol.quote if order.side is Side.BUY else symbol.base

    def work(self, account: Account, order: Order) -> None:
        """An order gets into the book."""
        order.working_ms = order.updated_ms = self._now_ms()
        self.tell_new(account, order)

    def tell_new(self, account: Account, order: Order) -> None:
        """Tell of an order that was taken in."""
        self._report(account, order, Execution.NEW)

    def fill(self, account: Account, order: Order, *, price: Decimal, quantity: Decimal, is_maker: bool) -> None:
        """Book an execution. What the order had locked for it beyond its price is free again."""
        symbol, now_ms, buys = self._symbol(order), self._now_ms(), order.side is Side.BUY
        value = price * quantity
        paid, received = (value, quantity) if buys else (quantity, value)
        received_asset = symbol.base if buys else symbol.quote
        if order.locked:
            bound = order.binding_price * quantity if buys else quantity
            account.release(order, self.paid_asset(order), bound)
        commission = commission_of(received, rate=FEE_RATE)
        account.exchange(
            paid=self.paid_asset(order), amount=paid, received=received_asset, proceeds=received - commission
        )
        taker = order.side.opposite if is_maker else order.side
        tick = self._markets[order.symbol].print_trade(taker=taker, price=price, quantity=quantity, at_ms=now_ms)
        trade = Trade(
            id=tick.trade_id,
            order=order,
            price=price,
            quantity=quantity,
            commission=commission,
            commission_asset=received_asset,
            is_maker=is_maker,
            at_ms=now_ms,
        )
        account.trades.append(trade)
        order.filled, order.filled_value = order.filled + quantity, order.filled_value + value
        order.updated_ms, order.status = now_ms, Status.PARTIALLY_FILLED
        if order.filled == order.quantity:
            account.end(order, Status.FILLED, asset=self.paid_asset(order), now_ms=now_ms)
            self._filled(account)
        self._report(account, order, Execution.TRADE, trade=trade)

    def expire(self, account: Account, order: Order, reason: ExpiryReason) -> None:
        """An order ends by its own rules."""
        order.expiry_reason = reason
        account.end(order, Status.EXPIRED, asset=self.paid_asset(order), now_ms=self._now_ms())
        self._report(account, order, Execution.EXPIRED)

    def cancel(self, account: Account, order: Order, *, cancel_id: str) -> None:
        """An order ends by its owner's wish."""
        account.end(order, Status.CANCELED, asset=self.paid_asset(order), now_ms=self._now_ms())
        self._report(account, order, Execution.CANCELED, cancel_id=cancel_id)

    def _report(
        self,
        account: Account,
        order: Order,
        execution: Execution,
        *,
        trade: Trade | None = None,
        cancel_id: str | None = None,
    ) -> None:
        now_ms, symbol = self._now_ms(), self._symbol(order)
        account.updated_ms = now_ms
        report = events.execution_report(
            order, execution, execution_id=self._new_id(), now_ms=now_ms, trade=trade, cancel_id=cancel_id
        )
        self._tell(account, report)
        self._tell(account, events.account_position(account, [symbol.base, symbol.quote], now_ms=now_ms))

    def _symbol(self, order: Order) -> Symbol:
        return self._markets[order.symbol].symbol
