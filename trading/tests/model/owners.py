"""What owners ask of the model's venue, decided by the contract alone.

A step that is refused changes nothing but the list of refusals.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from trading.tests.model import protection
from trading.tests.model.account import Account, Order, Refused, worth_of
from trading.tests.model.booking import Booking
from trading.tests.model.checks import (
    Asked,
    check_fresh,
    check_leverage,
    check_margin,
    check_order,
    check_shape,
    check_size,
)
from trading.tests.model.exact import number
from trading.tests.model.market import Market
from trading.tests.model.matching import Matching
from trading.tests.model.record import Noise

Step = Mapping[str, Any]
SIGNS = {"buy": 1, "sell": -1}
AT_ONCE = ("IOC", "FOK")
KEPT = ("place", "replace", "close")  # steps whose refusals stay on record


class Owners:
    """Accounts and markets, and one method for each kind of step that an owner takes."""

    def __init__(self, accounts: list[Account], markets: dict[str, Market], noises: Sequence[Noise]) -> None:
        self.accounts, self.markets, self._noises = accounts, markets, noises
        self.now = 0
        self._created = 0
        self._matching = {symbol: Matching() for symbol in markets}
        for account in accounts:
            account.journal.append(("deposit", account.cash))
            Booking(account, markets, now=0, noise=noises[0], next_created=self._next_created).tell_balance()

    def play(self, step: Step) -> int | None:
        """One step; returns the code of the refusal, if it was one."""
        account = self.accounts[step["account"]] if "account" in step else None
        kept = account.saved() if account else None
        try:
            getattr(self, "do_" + step["do"])(step)
        except Refused as refusal:
            if account is not None and kept is not None:
                account.restore(kept)
                if step["do"] in KEPT and refusal.is_kept:
                    account.refusals.append(refusal.code)
            return refusal.code
        return None

    def _next_created(self) -> int:
        self._created += 1
        return self._created

    def _booking(self, account: Account) -> Booking:
        noise = self._noises[self.accounts.index(account)]
        return Booking(account, self.markets, now=self.now, noise=noise, next_created=self._next_created)

    def do_place(self, step: Step) -> None:
        """A new order, or the first one again for the same client order id."""
        account, market, request = self.accounts[step["account"]], self.markets[step["symbol"]], step["order"]
        asked = self._asked(account, market, request)
        check_shape(asked)
        name = request.get("client_order_id", "")
        known = next((order for order in account.orders if name and order.client_order_id == name), None)
        if known is not None:
            if known.request != {"symbol": step["symbol"], "at": self._expires_at(request)} | request:
                raise Refused(3013)
            return
        check_order(account, asked, self.markets, now=self.now)
        before = worth_of(account, self.markets)
        account.leverage[market.symbol] = asked.leverage
        booking = self._booking(account)
        order = self._new_order(booking, asked, {"symbol": step["symbol"], "at": asked.expires_at} | request)
        if asked.trigger_price is None:
            booking.take(order, market)
            self._settle(booking, order)
        else:
            booking.move(order, "untriggered")
        check_margin(before, worth_of(account, self.markets))
        booking.announce(order)

    def _expires_at(self, request: Step) -> int | None:
        return None if "expires_in" not in request else self.now + int(request["expires_in"])

    def _asked(self, account: Account, market: Market, request: Step) -> Asked:
        quantity = Fraction(request["quantity"])
        return Asked(
            market=market,
            side=SIGNS[request["side"]],
            type=request["type"],
            quantity=quantity,
            open=quantity,
            price=number(request.get("price")),
            tif=request.get("time_in_force", "GTC"),
            expires_at=self._expires_at(request),
            post_only=request.get("post_only", False),
            reduce_only=request.get("reduce_only", False),
            leverage=request.get("leverage", account.leverage_on(market.symbol)),
            trigger_price=number(request.get("trigger_price")),
            trigger_by=request.get("trigger_by"),
            take_profit=number(request.get("take_profit")),
            stop_loss=number(request.get("stop_loss")),
        )

    def _new_order(self, booking: Booking, asked: Asked, request: Step) -> Order:
        account = booking.account
        prices = (asked.trigger_price, asked.take_profit, asked.stop_loss)
        order = Order(
            number=len(account.orders) + 1,
            client_order_id=request.get("client_order_id", ""),
            request=request,
            market=asked.market.symbol,
            side=asked.side,
            type=asked.type,
            tif="IOC" if asked.type == "market" else asked.tif,
            quantity=asked.quantity,
            price=asked.price,
            trigger_price=asked.trigger_price,
            trigger_by=None if prices == (None, None, None) else asked.trigger_by or "mark",
            post_only=asked.post_only,
            reduce_only=asked.reduce_only,
            leverage=asked.leverage,
            take_profit=asked.take_profit,
            stop_loss=asked.stop_loss,
            expires_at=asked.expires_at,
            created=self._next_created(),
            admitted_sequence=asked.market.sequence,
            admitted_at=self.now,
        )
        account.orders.append(order)
        return order

    def _settle(self, booking: Booking, order: Order) -> None:
        """What an order that took what it could is now."""
        if not order.remaining:
            booking.move(order, "filled")
        elif order.price is None:
            booking.move(order, "cancelled", "no_liquidity")
        elif order.tif in AT_ONCE:
            booking.move(order, "cancelled", "not_fillable_at_once")
        else:
            booking.move(order, "partially_filled" if order.filled else "open")

    def do_cancel(self, step: Step) -> None:
        account = self.accounts[step["account"]]
        order = account.order(step["number"])
        if not order.is_live:
            raise Refused(3010)
        self._booking(account).end_and_tell(order, "cancelled", "requested")

    def do_cancel_all(self, step: Step) -> None:
        account, side = self.accounts[step["account"]], step.get("side")
        orders = list(account.live(step.get("symbol"), side and SIGNS[side]))
        self._booking(account).end_all(orders, "cancelled", "requested")

    def do_close(self, step: Step) -> None:
        """A position or a part of it, by a reduce-only market order."""
        account, symbol = self.accounts[step["account"]], step["symbol"]
        held = account.held(symbol)
        if not held:
            raise Refused(1002, is_kept=False)
        quantity = number(step.get("quantity")) or abs(held)
        if quantity > abs(held):
            raise Refused(3006, is_kept=False)
        request = {"side": "sell" if held > 0 else "buy", "type": "market", "quantity": quantity, "reduce_only": True}
        self.do_place({"account": step["account"], "symbol": symbol, "order": request})

    def do_protect(self, step: Step) -> None:
        """Stop loss and take profit of a whole position."""
        account, market = self.accounts[step["account"]], self.markets[step["symbol"]]
        if not account.held(market.symbol):
            raise Refused(1002, is_kept=False)
        check_fresh(market, self.now)
        booking = self._booking(account)
        wanted = {role: number(price) for role, price in step["levels"].items()}
        if protection.protect(booking, market, wanted):
            booking.tell_protective(market.symbol)
            booking.tell_position(market.symbol)

    def do_leverage(self, step: Step) -> None:
        """Of a market; what is open must still be covered."""
        account, market = self.accounts[step["account"]], self.markets[step["symbol"]]
        check_leverage(account, market, step["leverage"])
        before = worth_of(account, self.markets)
        account.leverage[market.symbol] = step["leverage"]
        check_margin(before, worth_of(account, self.markets))

    def do_replace(self, step: Step) -> None:
        """Price, quantity or trigger price of an order that lives."""
        account = self.accounts[step["account"]]
        order, market = account.order(step["number"]), self.markets[account.order(step["number"]).market]
        given = {name: Fraction(text) for name, text in step["changes"].items()}
        changes = {name: value for name, value in given.items() if value != getattr(order, name)}
        if not changes and (order.is_live or order.status == "filled"):
            return
        if not order.is_live or order.is_expired(self.now):
            raise Refused(3010)
        if step.get("version") not in (None, order.version):
            raise Refused(1006)
        self._check_fits(order, changes)
        before, booking = worth_of(account, self.markets), self._booking(account)
        if list(changes) == ["quantity"] and changes["quantity"] < order.quantity:
            check_size(self._as_replaced(account, order, market, changes))
            self._change(booking, order, changes)
        else:
            self._admit_anew(booking, order, market, changes)
        check_margin(before, worth_of(account, self.markets))
        booking.announce(order)

    def _check_fits(self, order: Order, changes: Mapping[str, Fraction]) -> None:
        wrong = (
            order.role is not None,
            any(getattr(order, name) is None for name in changes),
            "trigger_price" in changes and order.status != "untriggered",
            changes.get("quantity", order.quantity) <= order.filled,
        )
        if any(wrong):
            raise Refused(1001)

    def _as_replaced(self, account: Account, order: Order, market: Market, changes: Mapping[str, Fraction]) -> Asked:
        """As if it were asked for today; one that rests is a limit order."""
        waits = order.status == "untriggered"
        quantity = changes.get("quantity", order.quantity)
        return Asked(
            market=market,
            side=order.side,
            type=order.type if waits else "limit",
            quantity=quantity,
            open=quantity - order.filled,
            price=changes.get("price", order.price),
            tif=order.tif,
            expires_at=order.expires_at,
            post_only=order.post_only,
            reduce_only=order.reduce_only,
            leverage=account.leverage_on(market.symbol),
            trigger_price=changes.get("trigger_price", order.trigger_price) if waits else None,
            trigger_by=order.trigger_by if waits else None,
            take_profit=order.take_profit,
            stop_loss=order.stop_loss,
        )

    def _change(self, booking: Booking, order: Order, changes: Mapping[str, Fraction]) -> None:
        for name, value in changes.items():
            setattr(order, name, value)
        booking.note(order, "replaced")

    def _admit_anew(self, booking: Booking, order: Order, market: Market, changes: Mapping[str, Fraction]) -> None:
        """It passes all checks of a new order, less its own reservation, and loses its place in the queue."""
        account = booking.account
        asked = self._as_replaced(account, order, market, changes)
        status, order.status = order.status, "new"  # an order of its own does not stand in its way
        try:
            check_order(account, asked, self.markets, now=self.now)
        finally:
            order.status = status
        self._change(booking, order, changes)
        order.admitted_sequence, order.admitted_at = market.sequence, self.now
        if not order.is_resting:
            return
        fills = order.fills
        booking.take(order, market)
        if not order.remaining:
            booking.move(order, "filled")
        elif order.fills > fills:
            booking.move(order, "partially_filled")
