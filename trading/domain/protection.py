"""Take profits and stop losses: reduce-only orders that wait, and follow the position they close. Pure.

At a venue it is the venue that keeps them so: nothing of this happens to an account there, whose protective orders
follow what the venue shows of them (`trading.domain.live`).

They come with an order (`attach`: they live from its first fill on, and close at most what it opened) or belong to a
position (`Position.stop_loss`, `Position.take_profit`: without a parent, always as large as the position). After
whatever changed a position, `follow` makes them what they must be: ended when there is nothing left to close, never
larger than the position. When one of a pair fills, the other ends in the same booking (`filled`); what the market
could not take of the first stays protected by both.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from astrade.core.errors import PriceOffTick, ValidationFailed
from astrade.core.messages import MarketView
from astrade.core.money import ZERO, is_multiple
from trading.domain.batch import Batch
from trading.domain.lifecycle import OrderRole, OrderSource, OrderStatus, OrderType, Side, TimeInForce, TriggerBy
from trading.domain.shapes import Terms
from trading.domain.state import OrderState, PositionState

POSITION_CLOSED, OTHER_FILLED, REPLACED, REMOVED = "position_closed", "other_side_filled", "replaced", "removed"
LEG_TYPE = {OrderRole.TAKE_PROFIT: OrderType.TAKE_PROFIT, OrderRole.STOP_LOSS: OrderType.STOP}


def check_levels(
    terms: Terms, *, side: Side, entry: Decimal, stop_loss: Decimal | None, take_profit: Decimal | None
) -> None:
    """A stop loss lies on the losing side of `entry`, a take profit on the winning one; `side` is the opening's.

    extended-api.md §7.2: of a buy entry, stop loss trigger < entry price < take profit trigger. Raises ValidationFailed
    with the field, or PriceOffTick.
    """
    for field, price, wins in (("stop_loss", stop_loss, False), ("take_profit", take_profit, True)):
        if price is None:
            continue
        if price <= 0 or not is_multiple(price, of=terms.tick_size):
            raise PriceOffTick(details={field: price, "tick_size": terms.tick_size})
        if (price - entry) * side.sign * (1 if wins else -1) <= 0:
            where = "above" if (side is Side.BUY) == wins else "below"
            raise ValidationFailed(details={"fields": {field: [f"Must lie {where} {entry:f}."]}})


def price_of(position: PositionState, role: OrderRole) -> Decimal | None:
    """What the position as a whole is protected at."""
    return position.stop_loss if role is OrderRole.STOP_LOSS else position.take_profit


def levels(position: PositionState, protective: Iterable[OrderState]) -> dict[str, Decimal | None]:
    """Stop loss and take profit of a position: its own, else the one of its orders that is reached first."""
    waiting = list(_waiting(protective, position.market_id))
    found: dict[str, Decimal | None] = {}
    for role in OrderRole:
        nearest = max if (position.quantity > 0) == (role is OrderRole.STOP_LOSS) else min
        prices = [price for leg in waiting if (price := _level(leg, role)) is not None]
        found[role.value] = price_of(position, role) or nearest(prices, default=None)
    return found


def _level(leg: OrderState, role: OrderRole) -> Decimal | None:
    if leg.role is role:
        return leg.trigger_price
    return leg.take_profit if role is OrderRole.TAKE_PROFIT else None  # the other of a venue's pair


def attach(batch: Batch, parent: OrderState, *, quantity: Decimal, terms: Terms, sequence: int) -> None:
    """Let what `parent` brought along protect the `quantity` it just filled at book `sequence`, as far as that opened a
    position.
    """
    if batch.account.is_live:
        return
    held = batch.account.positions[terms.id].quantity
    opened = min(quantity, abs(held)) if held * parent.side.sign > 0 else ZERO
    for role, price in ((OrderRole.TAKE_PROFIT, parent.take_profit), (OrderRole.STOP_LOSS, parent.stop_loss)):
        if price is None or not opened:
            continue
        leg = next((leg for leg in _pair(batch, parent.id, terms.id) if leg.role is role), None)
        if leg is None:
            by = parent.trigger_by or TriggerBy.MARK
            plan = _Plan(role, price=price, by=by, parent_id=parent.id, parent_uuid=parent.uuid)
            _new_leg(batch, plan, quantity=opened, terms=terms, sequence=sequence)
        else:
            leg.protected_quantity += opened
            _note(batch, leg)


def follow(batch: Batch, terms: Terms) -> None:
    """Make the protective orders of a market what its position needs."""
    position = batch.account.positions.get(terms.id)
    if position is None or batch.account.is_live:
        return
    for leg in list(_waiting(batch.account.protective, terms.id)):
        quantity = _needed(leg, position)
        if not quantity:
            _end(batch, leg, reason=POSITION_CLOSED)
        elif quantity != leg.quantity:
            leg.quantity = quantity
            _note(batch, leg)
    for role in OrderRole:
        price = price_of(position, role)
        if price is not None and all(leg.role is not role for leg in _pair(batch, None, terms.id)):
            plan, sequence = _Plan(role, price=price), position.book_sequence
            _new_leg(batch, plan, quantity=abs(position.quantity), terms=terms, sequence=sequence)


def filled(batch: Batch, leg: OrderState, terms: Terms) -> None:
    """One cancels the other, in the booking that filled `leg`, which has ended.

    What it could not close for want of liquidity stays protected: by the other for that much less, and by a new order
    in its place.
    """
    others = list(_pair(batch, leg.parent_id, terms.id))
    if not leg.remaining:
        for other in others:
            _end(batch, other, reason=OTHER_FILLED)
    elif leg.parent_id is not None and leg.role and leg.trigger_price is not None:
        for other in others:
            other.protected_quantity -= leg.filled_quantity
            _note(batch, other)
        plan = _Plan(
            leg.role,
            price=leg.trigger_price,
            by=leg.trigger_by or TriggerBy.MARK,
            parent_id=leg.parent_id,
            parent_uuid=leg.parent_uuid,
        )
        left = leg.protected_quantity - leg.filled_quantity
        _new_leg(batch, plan, quantity=left, terms=terms, sequence=leg.admitted_sequence)


def protect(batch: Batch, terms: Terms, wanted: Mapping[OrderRole, Decimal | None], *, view: MarketView) -> None:
    """Set, change or remove (None) what protects the whole open position of a market; orders that protected part of it
    give way. What is so already is left alone.

    Held against the mark: a long's stop loss lies below it, its take profit above. Raises as `check_levels`.
    """
    position = batch.account.positions[terms.id]
    present = levels(position, batch.account.protective)
    as_is = {role: present[role] if price is None else price_of(position, role) for role, price in wanted.items()}
    changes = {role: price for role, price in wanted.items() if price != as_is[role]}
    side = Side.BUY if position.quantity > 0 else Side.SELL
    prices = {role.value: changes.get(role) for role in OrderRole}
    check_levels(terms, side=side, entry=view.quote.mark, **prices)
    for role, price in changes.items():
        _protect(batch, terms, role, price, sequence=view.book.sequence)
    if changes:
        position.version += 1


def _protect(batch: Batch, terms: Terms, role: OrderRole, price: Decimal | None, *, sequence: int) -> None:
    position = batch.position_on(terms.id)
    for leg in list(_waiting(batch.account.protective, terms.id)):
        if leg.role is role:
            _end(batch, leg, reason=REMOVED if price is None else REPLACED)
    _set_price(position, role, price)
    if price is not None:
        _new_leg(batch, _Plan(role, price=price), quantity=abs(position.quantity), terms=terms, sequence=sequence)


def forget(batch: Batch, leg: OrderState) -> None:
    """A position whose own protective order is cancelled is no longer protected by it."""
    if batch.account.is_live or leg.role is None or leg.parent_id is not None:
        return
    position = batch.account.positions.get(leg.market_id)
    if position is not None and position.quantity:
        batch.position_on(leg.market_id)
        _set_price(position, leg.role, None)
        position.version += 1


@dataclass(frozen=True, slots=True)
class _Plan:
    role: OrderRole
    price: Decimal
    by: TriggerBy = TriggerBy.MARK
    parent_id: int | None = None
    parent_uuid: UUID | None = None


def _needed(leg: OrderState, position: PositionState) -> Decimal:
    if position.quantity * leg.side.sign >= 0:
        return ZERO
    held = abs(position.quantity)
    return held if leg.parent_id is None else min(leg.protected_quantity, held)


def _set_price(position: PositionState, role: OrderRole, price: Decimal | None) -> None:
    if role is OrderRole.STOP_LOSS:
        position.stop_loss = price
    else:
        position.take_profit = price


def _waiting(protective: Iterable[OrderState], market_id: int) -> Iterable[OrderState]:
    return (leg for leg in protective if leg.market_id == market_id and leg.status is OrderStatus.UNTRIGGERED)


def _pair(batch: Batch, parent_id: int | None, market_id: int) -> Sequence[OrderState]:
    return [leg for leg in _waiting(batch.account.protective, market_id) if leg.parent_id == parent_id]


def _new_leg(batch: Batch, plan: _Plan, *, quantity: Decimal, terms: Terms, sequence: int) -> None:
    account, uuid = batch.account, batch.new_uuid()
    position = account.positions[terms.id]
    account.order_count += 1
    leg = OrderState(
        id=batch.next_id(),
        uuid=uuid,
        market_id=terms.id,
        rules_id=terms.rules_id,
        number=account.order_count,
        client_order_id=uuid.hex,
        fingerprint="",
        side=Side.SELL if position.quantity > 0 else Side.BUY,
        type=LEG_TYPE[plan.role],
        time_in_force=TimeInForce.IOC,
        quantity=quantity,
        price=None,
        post_only=False,
        reduce_only=True,
        leverage=account.leverage_on(terms.id),
        tag="",
        source=OrderSource.APP,
        status=OrderStatus.NEW,
        reason="",
        filled_quantity=ZERO,
        filled_notional=ZERO,
        fee=ZERO,
        fill_count=0,
        admitted_sequence=sequence,
        admitted_at=batch.now,
        expires_at=None,
        version=0,
        created_at=batch.now,
        updated_at=batch.now,
        trigger_price=plan.price,
        trigger_by=plan.by,
        role=plan.role,
        parent_id=plan.parent_id,
        parent_uuid=plan.parent_uuid,
        protected_quantity=quantity,
    )
    batch.move(leg, OrderStatus.UNTRIGGERED)
    account.orders_on(terms.id).add(leg)
    account.protective.append(leg)
    _note(batch, leg)


def _end(batch: Batch, leg: OrderState, *, reason: str) -> None:
    batch.account.orders_on(leg.market_id).add(leg, sign=-1)
    batch.move(leg, OrderStatus.CANCELLED, reason=reason)
    _note(batch, leg)


def _note(batch: Batch, leg: OrderState) -> None:
    """To be written, and told of at the next announcement."""
    batch.touch(leg)
    batch.untold[leg.id] = leg
