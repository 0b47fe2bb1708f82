"""Accounts: who may call, and what they hold, free and locked (binance-api.md §7). Times are epoch milliseconds."""

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal

from astrade.core.money import ZERO
from astrade.emulators.binance.orders import Order, Status
from astrade.emulators.binance.refusals import order_rejected
from astrade.emulators.binance.symbols import UNIT

INSUFFICIENT = "Account has insufficient balance for requested action."


@dataclass(slots=True)
class Balance:
    """Of one asset."""

    free: Decimal = ZERO
    locked: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """An account's execution; the commission is of the asset it received."""

    id: int
    order: Order
    price: Decimal
    quantity: Decimal
    commission: Decimal
    commission_asset: str
    is_maker: bool
    at_ms: int

    @property
    def value(self) -> Decimal:
        """In quote."""
        return self.price * self.quantity


@dataclass(slots=True, kw_only=True)
class Account:
    """One spot account with two API keys: one signs with HMAC, the other with Ed25519."""

    id: int
    api_key: str
    api_secret: str
    ed25519_api_key: str
    ed25519_private_key: str  # PEM, so that whoever tries the emulator can sign
    balances: dict[str, Balance]
    updated_ms: int
    orders: dict[int, Order] = field(default_factory=dict)
    open: dict[int, Order] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)

    def balance(self, asset: str) -> Balance:
        """Of an asset, also one that it never had."""
        return self.balances.setdefault(asset, Balance())

    def lock(self, order: Order, asset: str, amount: Decimal) -> None:
        """Bind so much for an order. Raises Refused -2010 and binds nothing if less is free."""
        balance = self.balance(asset)
        if amount > balance.free:
            raise order_rejected(INSUFFICIENT)
        balance.free -= amount
        balance.locked += amount
        order.locked += amount

    def release(self, order: Order, asset: str, amount: Decimal) -> None:
        """Give back so much of what an order binds."""
        balance = self.balance(asset)
        balance.locked -= amount
        balance.free += amount
        order.locked -= amount

    def exchange(self, *, paid: str, amount: Decimal, received: str, proceeds: Decimal) -> None:
        """Pay out of what is free, and receive."""
        self.balance(paid).free -= amount
        self.balance(received).free += proceeds

    def add_order(self, order: Order) -> None:
        """Keep a new order."""
        self.orders[order.id] = self.open[order.id] = order

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Oldest first."""
        return [order for order in self.open.values() if symbol in (None, order.symbol)]

    def find(self, symbol: str, *, order_id: int | None, client_order_id: str | None) -> Order | None:
        """By either name, by both if both are given; of a client's name that was used again, the newest."""
        found = (
            order
            for order in reversed(self.orders.values())
            if order.symbol == symbol
            and order_id in (None, order.id)
            and client_order_id in (None, order.client_order_id)
        )
        return next(found, None)

    def end(self, order: Order, status: Status, *, asset: str, now_ms: int) -> None:
        """An order ends; what it still binds of `asset` is free again."""
        order.status, order.updated_ms = status, now_ms
        self.open.pop(order.id, None)
        self.release(order, asset, order.locked)


def commission_of(received: Decimal, *, rate: Decimal) -> Decimal:
    """Rounded up at the exchange's precision; no direction is published."""
    return (received * rate).quantize(UNIT, ROUND_CEILING)
