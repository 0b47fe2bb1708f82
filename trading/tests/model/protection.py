"""Take profits and stop losses of the model: reduce-only orders that follow the position they close.

Those of an order (its `parent`) close at most what it opened; those of a position are always as large as it is.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from trading.tests.model.account import Account, Order
from trading.tests.model.checks import check_levels
from trading.tests.model.exact import ZERO
from trading.tests.model.market import Market
from trading.tests.model.record import Record

ROLES = ("take_profit", "stop_loss")
TYPES = {"take_profit": "take_profit", "stop_loss": "stop"}


def waiting(account: Account, symbol: str) -> list[Order]:
    """Protective orders of a market that wait for their trigger, oldest first."""
    return [order for order in account.live(symbol) if order.role is not None and order.status == "untriggered"]


def siblings(account: Account, symbol: str, parent: int | None) -> list[Order]:
    """Those that came with one order, or belong to the position."""
    return [leg for leg in waiting(account, symbol) if leg.parent == parent]


def levels(account: Account, symbol: str) -> dict[str, Fraction | None]:
    """Where a position is protected: by its own, else by the one that is reached first."""
    position, found = account.positions[symbol], dict[str, Fraction | None]()
    for role in ROLES:
        prices = [leg.trigger_price for leg in waiting(account, symbol) if leg.role == role and leg.trigger_price]
        nearest = max if (position.quantity > 0) == (role == "stop_loss") else min
        found[role] = getattr(position, role) or (nearest(prices) if prices else None)
    return found


def attach(record: Record, parent: Order, quantity: Fraction) -> None:
    """What an order brought protects what its fill opened."""
    held = record.account.held(parent.market)
    opened = min(quantity, abs(held)) if held * parent.side > 0 else ZERO
    for role in ROLES:
        price = getattr(parent, role)
        if price is None or not opened:
            continue
        legs = [leg for leg in siblings(record.account, parent.market, parent.number) if leg.role == role]
        if legs:
            legs[0].protects += opened
            tell_later(record, legs[0])
        else:
            market = record.markets[parent.market]
            new_leg(record, market, role, price, opened, by=parent.trigger_by or "mark", parent=parent.number)


def follow(record: Record, symbol: str) -> None:
    """Never larger than the position, ended where there is none."""
    position = record.account.positions.get(symbol)
    if position is None:
        return
    held = abs(position.quantity)
    for leg in waiting(record.account, symbol):
        needed = held if leg.parent is None else min(leg.protects, held)
        if position.quantity * leg.side >= 0 or not needed:
            cancel_leg(record, leg, "position_closed")
        elif needed != leg.quantity:
            leg.quantity = needed
            tell_later(record, leg)
    for role in ROLES:
        own = (leg for leg in siblings(record.account, symbol, None) if leg.role == role)
        price = getattr(position, role)
        if price is not None and next(own, None) is None:
            new_leg(record, record.markets[symbol], role, price, held)


def filled(record: Record, leg: Order) -> None:
    """One cancels the other; what found nobody to trade with stays protected."""
    others = siblings(record.account, leg.market, leg.parent)
    if not leg.remaining:
        for other in others:
            cancel_leg(record, other, "other_side_filled")
    elif leg.parent is not None and leg.role is not None and leg.trigger_price is not None:
        for other in others:
            other.protects -= leg.filled
            tell_later(record, other)
        market, by = record.markets[leg.market], leg.trigger_by or "mark"
        new_leg(record, market, leg.role, leg.trigger_price, leg.protects - leg.filled, by=by, parent=leg.parent)


def protect(record: Record, market: Market, wanted: Mapping[str, Fraction | None]) -> bool:
    """Protect a whole position; orders that protected a part of it give way. Returns whether anything changed."""
    account, position = record.account, record.account.positions[market.symbol]
    present = levels(account, market.symbol)
    changes = {
        role: price
        for role, price in wanted.items()
        if price != (present[role] if price is None else getattr(position, role))
    }
    asked: dict[str, Any] = {role: changes.get(role) for role in ROLES}
    check_levels(market, 1 if position.quantity > 0 else -1, market.mark, **asked)
    for role, price in changes.items():
        for leg in waiting(account, market.symbol):
            if leg.role == role:
                cancel_leg(record, leg, "removed" if price is None else "replaced")
        setattr(record.position(market.symbol), role, price)
        if price is not None:
            new_leg(record, market, role, price, abs(position.quantity))
    return bool(changes)


def new_leg(
    record: Record,
    market: Market,
    role: str,
    price: Fraction,
    quantity: Fraction,
    *,
    by: str = "mark",
    parent: int | None = None,
) -> None:
    """A protective order that waits from now on."""
    account = record.account
    leg = Order(
        number=len(account.orders) + 1,
        client_order_id="",
        request={},
        market=market.symbol,
        side=-1 if account.held(market.symbol) > 0 else 1,
        type=TYPES[role],
        tif="IOC",
        quantity=quantity,
        price=None,
        trigger_price=price,
        trigger_by=by,
        post_only=False,
        reduce_only=True,
        leverage=account.leverage_on(market.symbol),
        take_profit=None,
        stop_loss=None,
        expires_at=None,
        created=record.next_created(),
        role=role,
        parent=parent,
        protects=quantity,
        admitted_sequence=market.sequence,
        admitted_at=record.now,
    )
    account.orders.append(leg)
    record.move(leg, "untriggered")
    tell_later(record, leg)


def cancel_leg(record: Record, leg: Order, reason: str) -> None:
    record.move(leg, "cancelled", reason)
    tell_later(record, leg)


def tell_later(record: Record, leg: Order) -> None:
    """With the next announcement."""
    record.touch(leg)
    record.untold[leg.number] = leg
