"""What an account of the model is made of: cash, orders, positions, and the records of what happened to them."""

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from trading.tests.model.exact import ZERO, cash_down, cash_up
from trading.tests.model.market import BUY, Market

LIVE = ("untriggered", "open", "partially_filled")
RESTING = ("open", "partially_filled")
MOVES = {
    "new": ("untriggered", "open", "partially_filled", "filled", "cancelled", "expired", "rejected"),
    "untriggered": ("open", "partially_filled", "filled", "cancelled", "expired", "rejected"),
    "open": ("partially_filled", "filled", "cancelled", "expired", "rejected"),
    "partially_filled": ("partially_filled", "filled", "cancelled", "expired"),
}  # DESIGN §4.2, as far as practice goes


class Refused(Exception):
    """A refusal with its code in API.md, its name, and whether it is kept on record."""

    def __init__(self, code: int, reason: str = "", *, is_kept: bool = True) -> None:
        super().__init__(f"{code} {reason}")
        self.code, self.reason, self.is_kept = code, reason, is_kept


@dataclass
class Order:
    """An order; `side` is +1 or -1."""

    number: int
    client_order_id: str
    request: Mapping[str, Any]
    market: str
    side: int
    type: str
    tif: str
    quantity: Fraction
    price: Fraction | None
    trigger_price: Fraction | None
    trigger_by: str | None
    post_only: bool
    reduce_only: bool
    leverage: int
    take_profit: Fraction | None
    stop_loss: Fraction | None
    expires_at: int | None
    created: int  # counts over all orders of the venue
    status: str = "new"
    reason: str = ""
    filled: Fraction = ZERO
    notional: Fraction = ZERO
    fee: Fraction = ZERO
    fills: int = 0
    version: int = 0
    role: str | None = None
    parent: int | None = None  # number of the order it came with
    protects: Fraction = ZERO
    admitted_sequence: int = 0
    admitted_at: int = 0
    ahead: Fraction | None = None
    traded: Fraction = ZERO  # at its price since `ahead` was counted
    transitions: tuple[tuple[str, str, str], ...] = ()

    @property
    def remaining(self) -> Fraction:
        return self.quantity - self.filled

    @property
    def is_live(self) -> bool:
        return self.status in LIVE

    @property
    def is_resting(self) -> bool:
        return self.status in RESTING

    @property
    def binds_margin(self) -> bool:
        """Neither what only reduces nor what waits for its trigger does."""
        return self.is_resting and not self.reduce_only

    def is_expired(self, now: int) -> bool:
        return self.expires_at is not None and now >= self.expires_at


@dataclass
class Position:
    """One market's net exposure: signed quantity and the exact notional at which what is open was entered."""

    quantity: Fraction = ZERO
    entry: Fraction = ZERO
    opened: Fraction = ZERO
    opened_notional: Fraction = ZERO
    closed_notional: Fraction = ZERO
    realized: Fraction = ZERO
    fees: Fraction = ZERO
    funding: Fraction = ZERO
    opened_at: int = 0
    take_profit: Fraction | None = None
    stop_loss: Fraction | None = None
    book: int = 0
    taken: Mapping[int, Fraction] = field(default_factory=dict)  # from that book, by the taker's side

    def taken_by(self, side: int, sequence: int) -> Fraction:
        """What the account took from a book already."""
        return self.taken.get(side, ZERO) if self.book == sequence else ZERO

    def take(self, side: int, quantity: Fraction, sequence: int) -> None:
        """Note that it took more."""
        before = self.taken if self.book == sequence else {}
        self.book, self.taken = sequence, {**before, side: before.get(side, ZERO) + quantity}

    def fill(
        self, side: int, *, price: Fraction, quantity: Fraction, fee: Fraction, now: int
    ) -> tuple[Fraction, dict[str, Any] | None]:
        """Net an execution; returns what it realised and the position that it ended, if one."""
        closing = min(abs(self.quantity), quantity) if self.quantity * side < 0 else ZERO
        realized, ended = ZERO, None
        closing_fee = fee if closing == quantity else cash_up(fee * closing / quantity)
        if closing:
            is_last = closing == abs(self.quantity)
            released = self.entry if is_last else cash_down(self.entry * closing / abs(self.quantity))
            realized = (price * closing - released) * -side
            self.quantity += side * closing
            self.entry -= released
            self.closed_notional += price * closing
            self.realized += realized
            self.fees += closing_fee
            if is_last:
                self.take_profit = self.stop_loss = None
                ended = self._history(-side, now=now)
        if closing < quantity:
            self._open(side, quantity - closing, price=price, fee=fee - closing_fee, now=now)
        return realized, ended

    def _open(self, side: int, quantity: Fraction, *, price: Fraction, fee: Fraction, now: int) -> None:
        if not self.quantity:
            self.opened_at = now
            self.opened = self.opened_notional = self.closed_notional = ZERO
            self.realized = self.fees = self.funding = ZERO
        self.quantity += side * quantity
        self.entry += price * quantity
        self.opened += quantity
        self.opened_notional += price * quantity
        self.fees += fee

    def _history(self, side: int, *, now: int) -> dict[str, Any]:
        return {
            "side": side,
            "quantity": self.opened,
            "entry": self.opened_notional,
            "exit": self.closed_notional,
            "realized": self.realized,
            "fees": self.fees,
            "funding": self.funding,
            "opened_at": self.opened_at,
            "closed_at": now,
        }


@dataclass
class Account:
    """One trading account; records are tuples, so that a copy costs little."""

    simulator: str
    max_leverage: int
    max_daily_loss: Fraction | None
    max_daily_notional: Fraction | None
    cash: Fraction = ZERO
    deposits: Fraction = ZERO
    traded: Fraction = ZERO
    leverage: dict[str, int] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    fills: list[dict[str, Any]] = field(default_factory=list)
    closed: list[dict[str, Any]] = field(default_factory=list)
    journal: list[tuple[str, Fraction]] = field(default_factory=list)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    funded: list[tuple[str, int, Fraction]] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    fires_at: int | None = None

    def saved(self) -> "Account":
        """As it is now, to go back to."""
        kept = copy(self)
        kept.leverage, kept.orders = dict(self.leverage), [copy(order) for order in self.orders]
        kept.positions = {symbol: copy(position) for symbol, position in self.positions.items()}
        for name in ("fills", "closed", "journal", "events", "funded", "refusals"):
            setattr(kept, name, list(getattr(self, name)))
        return kept

    def restore(self, kept: "Account") -> None:
        """Back to what was saved."""
        self.__dict__.update(kept.__dict__)

    def leverage_on(self, symbol: str) -> int:
        return self.leverage.get(symbol, 1)

    def held(self, symbol: str) -> Fraction:
        position = self.positions.get(symbol)
        return position.quantity if position else ZERO

    def position(self, symbol: str) -> Position:
        return self.positions.setdefault(symbol, Position())

    def order(self, number: int) -> Order:
        """An order by its number; refuses with 1002."""
        if not 0 < number <= len(self.orders):
            raise Refused(1002, is_kept=False)
        return self.orders[number - 1]

    def live(self, symbol: str | None = None, side: int | None = None) -> Iterator[Order]:
        """Live orders, oldest first, of a market or side or all."""
        for order in self.orders:
            if order.is_live and symbol in (None, order.market) and side in (None, order.side):
                yield order

    def resting(self, symbol: str, side: int) -> Iterator[Order]:
        """Its resting orders of one side, oldest first."""
        return (order for order in self.live(symbol, side) if order.is_resting)

    def waiting(self, symbol: str, side: int) -> list[Order]:
        """Orders that bind margin, of one market and side."""
        return [order for order in self.resting(symbol, side) if order.binds_margin]

    def reducible(self, order: Order) -> Fraction:
        """How much of a reduce-only order stands against the position."""
        held = self.held(order.market)
        return min(order.remaining, abs(held)) if held * order.side < 0 else ZERO


@dataclass(frozen=True)
class Worth:
    """What an account is worth at the present marks, and what of it is bound."""

    balance: Fraction
    unrealized: Fraction
    initial: Fraction

    @property
    def equity(self) -> Fraction:
        return self.balance + self.unrealized


def worth_of(account: Account, markets: Mapping[str, Market]) -> Worth:
    """Cross margin: of each market the worst of no, all buying or all selling orders filled, by its leverage."""
    unrealized = initial = ZERO
    for symbol, market in markets.items():
        position = account.positions.get(symbol) or Position()
        exposure = position.quantity * market.mark
        unrealized += exposure - position.entry * (1 if position.quantity > 0 else -1)
        buys, sells = (
            sum((order.remaining * (order.price or ZERO) for order in account.waiting(symbol, side)), ZERO)
            for side in (BUY, -BUY)
        )
        worst = max(abs(exposure), abs(exposure + buys), abs(exposure - sells))
        initial += worst / account.leverage_on(symbol)
    return Worth(account.cash, unrealized, initial)
