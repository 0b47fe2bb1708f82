"""What one booking of the model notes: moves of orders, money, what the account is told of, in order."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from trading.tests.model.account import MOVES, Account, Order, Position
from trading.tests.model.market import Market

Noise = Callable[[int, int], Fraction]  # of an order's number and its fills so far; a classic account's seed decides
SIDES = {1: "buy", -1: "sell"}


class Record:
    """Changes one account; a refusal restores what the account was before."""

    def __init__(
        self,
        account: Account,
        markets: Mapping[str, Market],
        *,
        now: int,
        noise: Noise,
        next_created: Callable[[], int],
    ) -> None:
        self.account, self.markets, self.now = account, markets, now
        self.noise, self.next_created = noise, next_created
        self.touched: set[int] = set()
        self.moved: list[str] = []  # markets whose position changed
        self.untold: dict[int, Order] = {}
        self.ended: list[dict[str, Any]] = []

    def touch(self, order: Order) -> None:
        """An order's version counts the bookings that changed it."""
        if order.number not in self.touched:
            self.touched.add(order.number)
            order.version += 1

    def move(self, order: Order, to: str, reason: str = "") -> None:
        """By the table."""
        assert to in MOVES[order.status], (order.status, to)
        order.transitions += ((order.status, to, reason),)
        order.status, order.reason = to, reason
        self.touch(order)

    def note(self, order: Order, reason: str) -> None:
        """A change that leaves the status."""
        order.transitions += ((order.status, order.status, reason),)
        order.reason = reason
        self.touch(order)

    def position(self, symbol: str) -> Position:
        """A position that this booking changes."""
        if symbol not in self.moved:
            self.moved.append(symbol)
        return self.account.position(symbol)

    def post(self, kind: str, amount: Fraction) -> None:
        """Onto the cash account; zero is no fact."""
        if amount:
            self.account.cash += amount
            self.account.journal.append((kind, amount))

    def cover(self) -> None:
        """Insurance pays what an account without positions owes."""
        if self.account.cash < 0 and not any(position.quantity for position in self.account.positions.values()):
            self.post("liquidation", -self.account.cash)

    def tell(self, order: Order) -> None:
        """`order_update`."""
        data = {"number": order.number, "status": order.status, "filled_quantity": order.filled}
        data |= {"quantity": order.quantity, "version": order.version, "reason": order.reason}
        self.account.events.append(("order_update", data))

    def end(self, order: Order, to: str, reason: str) -> None:
        """Without a fill; a position whose own protection is cancelled has it no longer."""
        self.move(order, to, reason)
        if order.role is not None and order.parent is None and self.account.held(order.market):
            setattr(self.position(order.market), order.role, None)
