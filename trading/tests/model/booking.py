"""One booking of the model: what an order takes, what rests, what ends, and what the account is told of it."""

from fractions import Fraction
from typing import Any

from trading.tests.model import protection
from trading.tests.model.account import Order, worth_of
from trading.tests.model.exact import ZERO, shown
from trading.tests.model.market import Market
from trading.tests.model.record import SIDES, Record


class Booking(Record):
    """With everything that an order can do."""

    def walk(self, order: Order, market: Market) -> list[tuple[Fraction, Fraction]]:
        """What an arriving order would get."""
        if self.account.simulator == "realistic":
            limit = market.edge(order.side) if order.price is None else order.price
            position = self.account.positions.get(market.symbol)
            taken = position.taken_by(order.side, market.sequence) if position else ZERO
            return market.walk(order.side, order.remaining, limit=limit, taken=taken)
        if order.price is not None and (market.best_against(order.side) - order.price) * order.side > 0:
            return []
        price = order.trigger_price if order.price is None else order.price
        if price is None:
            noise = self.noise(order.number, order.fills)
            price = market.classic_price(order.side, order.remaining, noise=noise)
        return [(price, order.remaining)]

    def take(self, order: Order, market: Market) -> None:
        """An arriving order takes what there is at once, ends own orders in its way, and queues at its price."""
        got = self.walk(order, market)
        is_whole = sum((quantity for _, quantity in got), ZERO) == order.remaining
        if order.tif == "FOK" and not is_whole:
            return
        if is_whole:
            prices = [price for price, _ in got]
            reach = max(prices) if order.side > 0 else min(prices)
        else:
            reach = market.edge(order.side) if order.price is None else order.price
        self.prevent_self_trade(order, reach)
        for price, quantity in got:
            self.execute(order, market, price, quantity, is_taker=True)
            self.position(market.symbol).take(order.side, quantity, market.sequence)
        self.queue(order, market)

    def prevent_self_trade(self, order: Order, reach: Fraction) -> None:
        """The older order goes, the newer one goes on."""
        for own in list(self.account.resting(order.market, -order.side)):
            if own.price is not None and (reach - own.price) * order.side >= 0:
                self.move(own, "cancelled", "self_trade_prevention")
                self.tell(own)

    def queue(self, order: Order, market: Market) -> None:
        """It stands behind what the book shows at its price and behind the account's own orders there."""
        order.traded, order.ahead = ZERO, None
        if order.price is not None:
            order.ahead = market.stands_before(order.side, order.price)
        if order.ahead is not None:
            own = self.account.resting(order.market, order.side)
            beside = (other for other in own if other is not order and other.price == order.price)
            order.ahead += sum((other.remaining for other in beside), ZERO)

    def execute(self, order: Order, market: Market, price: Fraction, quantity: Fraction, *, is_taker: bool) -> None:
        """One fill: sums, position, ledger, events, and the protection the order brought along."""
        account, symbol = self.account, market.symbol
        fee = market.fee(account.simulator, price * quantity, is_taker=is_taker)
        order.filled += quantity
        order.notional += price * quantity
        order.fee += fee
        order.fills += 1
        account.traded += price * quantity
        self.touch(order)
        realized, ended = self.position(symbol).fill(order.side, price=price, quantity=quantity, fee=fee, now=self.now)
        fill = {
            "order": order.number, "market": symbol, "side": SIDES[order.side], "price": price, "quantity": quantity,
            "fee": fee, "is_taker": is_taker, "realized": realized, "at": self.now,
        }  # fmt: skip
        account.fills.append(fill)
        if ended is not None:
            ended = {"market": symbol} | ended | {"side": SIDES[ended["side"]]}
            account.closed.append(ended)
            self.ended.append(ended)
        self.post("trade_pnl", realized)
        self.post("commission", -fee)
        self.cover()
        account.events.append(("trade_update", {"number": len(account.fills), "price": price, "quantity": quantity}))
        protection.attach(self, order, quantity)

    def tell_protective(self, symbol: str) -> None:
        """Protective orders follow their position, and those that changed are told of."""
        protection.follow(self, symbol)
        for leg in self.untold.values():
            self.tell(leg)
        self.untold.clear()

    def tell_position(self, symbol: str) -> None:
        """`position_update` of one that is open."""
        position = self.account.positions[symbol]
        if position.quantity:
            quantity = abs(position.quantity)
            data: dict[str, Any] = {"symbol": symbol, "quantity": quantity, "is_open": True}
            data |= {"realized_pnl": position.realized, "fees": position.fees, "funding": position.funding}
            data |= protection.levels(self.account, symbol)
            self.account.events.append(("position_update", data))

    def tell_balance(self) -> None:
        """`balance_update`."""
        worth = worth_of(self.account, self.markets)
        data = {"balance": worth.balance, "equity": worth.equity, "margin_used": shown(worth.initial)}
        self.account.events.append(("balance_update", data))

    def announce(self, order: Order) -> None:
        """The order, its protection, the position if it moved (those that ended first), the money."""
        self.tell(order)
        self.tell_protective(order.market)
        if order.market in self.moved:
            for ended in self.ended:
                data = {name: ended[name] for name in ("quantity", "fees", "funding")}
                data |= {"symbol": ended["market"], "is_open": False, "realized_pnl": ended["realized"]}
                self.account.events.append(("position_update", data | dict.fromkeys(protection.ROLES)))
            self.tell_position(order.market)
        self.tell_balance()

    def end_and_tell(self, order: Order, to: str, reason: str) -> None:
        self.end(order, to, reason)
        self.announce(order)

    def end_all(self, orders: list[Order], to: str, reason: str) -> int:
        """Several at once, with one account of the money."""
        for order in orders:
            self.end(order, to, reason)
            self.tell(order)
        if orders:
            for symbol in self.moved:
                self.tell_position(symbol)
            self.tell_balance()
        return len(orders)
