"""Orders at a venue: what is sent, what the venue says of it, and what that changes here (DESIGN §4.2). Pure.

An order is `submitted` with its margin reserved before anything is sent. Afterwards only the venue's evidence moves it:
its answer, an order it shows, a trade it made. Evidence may come late, twice and in any order; what says nothing new
changes nothing. A trade is never refused: one that exceeds the order, or belongs to one called rejected, is booked, and
returned as an anomaly for somebody to look at.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from astrade.core.money import ZERO, plain
from trading.domain import filling
from trading.domain.batch import Batch
from trading.domain.ending import announce, end_order
from trading.domain.lifecycle import LIVE, OrderSource, OrderStatus
from trading.domain.margin import Board, summarise
from trading.domain.reports import ShownOrder, VenueTrade
from trading.domain.simulator import Execution
from trading.domain.state import OrderState

NOT_FOUND = "not_found_at_venue"
UNANSWERED = frozenset({OrderStatus.SUBMITTED, OrderStatus.UNKNOWN})
OVERFILLED, FILLED_AFTER_REJECTION, REVIVED = "overfilled", "filled_after_rejection", "alive_after_rejection"
CUT = "cut_to_position"
_ENDED = frozenset({OrderStatus.CANCELLED, OrderStatus.EXPIRED})
_ADOPTED_AS = {OrderStatus.PARTIALLY_FILLED: OrderStatus.OPEN, OrderStatus.FILLED: OrderStatus.OPEN}  # by its trades


@dataclass(frozen=True, slots=True)
class Told:
    """What a report changed: whether anything, and an anomaly if it is one (`OVERFILLED`, …)."""

    changed: bool
    anomaly: str | None = None


UNCHANGED = Told(changed=False)


def lose(batch: Batch, order: OrderState, *, board: Board, reason: str) -> Told:
    """Nobody knows what became of it: `unknown`, its margin still held. Only where it is still `submitted`."""
    if order.status is not OrderStatus.SUBMITTED:
        return UNCHANGED
    return _move(batch, order, OrderStatus.UNKNOWN, board=board, reason=reason)


def refuse(batch: Batch, order: OrderState, *, board: Board, reason: str) -> Told:
    """The venue did not take it, or never had it."""
    if order.status not in UNANSWERED:
        return UNCHANGED
    end_order(batch, order, to=OrderStatus.REJECTED, board=board, reason=reason)
    return Told(changed=True)


def take_answer(batch: Batch, order: OrderState, *, board: Board) -> Told:
    """The venue took it; what waits for a trigger is `untriggered` then."""
    waits = order.trigger_price is not None
    return acknowledge(batch, order, board=board, to=OrderStatus.UNTRIGGERED if waits else OrderStatus.OPEN)


def acknowledge(batch: Batch, order: OrderState, *, board: Board, to: OrderStatus = OrderStatus.OPEN) -> Told:
    """The venue has it: `open`, or `untriggered` until it fires. One called rejected lives again, an anomaly."""
    if order.status in UNANSWERED or (order.status is OrderStatus.UNTRIGGERED and to is OrderStatus.OPEN):
        return _move(batch, order, to, board=board)
    if order.status is OrderStatus.REJECTED:
        _move(batch, order, OrderStatus.OPEN, board=board, reason=REVIVED)
        return Told(changed=True, anomaly=REVIVED)
    return UNCHANGED


def _move(batch: Batch, order: OrderState, to: OrderStatus, *, board: Board, reason: str = "") -> Told:
    sums = batch.account.orders_on(order.market_id)
    if order.is_live:
        sums.add(order, sign=-1)
    batch.move(order, to, reason=reason)
    if order.is_live:
        sums.add(order)
    show(batch, order, board=board)
    return Told(changed=True)


def show(batch: Batch, order: OrderState, *, board: Board) -> None:
    """Tell of the order as it is now, and of the money it binds."""
    announce(batch, order, board=board, summary=summarise(batch.account, board))


def apply_order(batch: Batch, order: OrderState, shown: ShownOrder, *, board: Board) -> Told:
    """Follow the order as the venue shows it. Fills are booked by their trades alone: an order that is shown as filled
    is acknowledged, and becomes `filled` with its last trade. What closes a position has its size once it is triggered.
    """
    resized = _resize(batch, order, shown)
    told = _follow_status(batch, order, shown, board=board)
    if resized and not told.changed:
        show(batch, order, board=board)
    return replace(told, changed=True) if resized else told


def _resize(batch: Batch, order: OrderState, shown: ShownOrder) -> bool:
    """Reduce-only orders bind no margin, so that no sum changes. Its trades may have been booked before its size."""
    if order.role is None or shown.quantity in (ZERO, order.quantity) or shown.quantity < order.filled_quantity:
        return False
    change = {"quantity": [plain(order.quantity), plain(shown.quantity)]}
    order.quantity = shown.quantity
    batch.note_change(order, change, reason=CUT)
    if not order.remaining and order.status is not OrderStatus.FILLED:
        if order.is_live:
            batch.account.orders_on(order.market_id).add(order, sign=-1)
        batch.move(order, OrderStatus.FILLED)
    return True


def _follow_status(batch: Batch, order: OrderState, shown: ShownOrder, *, board: Board) -> Told:
    match shown.status:
        case OrderStatus.OPEN | OrderStatus.PARTIALLY_FILLED | OrderStatus.FILLED:
            return acknowledge(batch, order, board=board)
        case OrderStatus.UNTRIGGERED:
            return acknowledge(batch, order, board=board, to=OrderStatus.UNTRIGGERED)
        case OrderStatus.REJECTED if order.status is OrderStatus.PARTIALLY_FILLED:
            return _end(batch, order, to=OrderStatus.CANCELLED, board=board, reason=shown.reason)
        case _:
            return _end(batch, order, to=shown.status, board=board, reason=shown.reason)


def _end(batch: Batch, order: OrderState, *, to: OrderStatus, board: Board, reason: str) -> Told:
    if order.status not in LIVE:
        return UNCHANGED
    end_order(batch, order, to=to, board=board, reason=reason)
    return Told(changed=True)


def book_trade(batch: Batch, order: OrderState, trade: VenueTrade, *, board: Board) -> Told:
    """Book a trade of the order that was not booked yet; the caller has looked, under the account's lock.

    A trade beyond the order's quantity shows that the venue holds it for more: the quantity follows. That is no anomaly
    of what closes a position, whatever its size.
    """
    account, terms = batch.account, board.markets[order.market_id]
    anomaly = FILLED_AFTER_REJECTION if order.status is OrderStatus.REJECTED else None
    was_live = order.is_live
    if was_live:
        account.orders_on(terms.id).add(order, sign=-1)
    surplus = trade.quantity - order.remaining
    if surplus > 0:
        before = order.quantity
        order.quantity += surplus
        batch.note_change(order, {"quantity": [str(before), str(order.quantity)]}, reason=OVERFILLED)
        anomaly = anomaly if order.role is not None else OVERFILLED
    filling.execute(
        batch,
        order,
        Execution(price=trade.price, quantity=trade.quantity, fee=trade.fee),
        terms=terms,
        book_sequence=0,
        is_taker=trade.is_taker,
        basis=None,
        trade_id=trade.trade_id,
        at=trade.at,
    )
    _follow_fill(batch, order)
    if order.is_live:
        account.orders_on(terms.id).add(order)
    show(batch, order, board=board)
    return Told(changed=True, anomaly=anomaly)


def _follow_fill(batch: Batch, order: OrderState) -> None:
    if not order.remaining:
        if order.status is not OrderStatus.FILLED:
            batch.move(order, OrderStatus.FILLED)
    elif order.status not in _ENDED:  # a part that overtook a cancel is booked, and the status stays
        batch.move(order, OrderStatus.PARTIALLY_FILLED)


def adopt(
    batch: Batch,
    shown: ShownOrder,
    *,
    board: Board,
    market_id: int,
    rules_id: int,
    name: str | None = None,
    parent: tuple[int, UUID] | None = None,
) -> OrderState:
    """An order that the venue shows and nobody here made. Its fills follow by their trades. Its client order id is
    `name`, else made of the venue's id. `parent` names the order of ours that brought it along,
    if one did.

    What closes whatever the position then is shows no quantity: it is the position's now, or, where none is open, a
    step.
    """
    account = batch.account
    account.order_count += 1
    parent_id, parent_uuid = parent or (None, None)
    order = OrderState(
        id=batch.next_id(),
        uuid=batch.new_uuid(),
        market_id=market_id,
        rules_id=rules_id,
        number=account.order_count,
        client_order_id=name or f"venue:{shown.venue_order_id}",
        fingerprint="",
        side=shown.side,
        type=shown.type,
        time_in_force=shown.time_in_force,
        quantity=shown.quantity or _held(batch, market_id) or board.markets[market_id].step_size,
        price=shown.price,
        post_only=shown.post_only,
        reduce_only=shown.reduce_only,
        leverage=account.leverage_on(market_id),
        tag="",
        source=OrderSource.EXTERNAL if parent is None else OrderSource.APP,
        status=OrderStatus.NEW,
        reason="",
        filled_quantity=ZERO,
        filled_notional=ZERO,
        fee=ZERO,
        fill_count=0,
        admitted_sequence=0,
        admitted_at=batch.now,
        expires_at=shown.expires_at,
        version=0,
        created_at=min(shown.at, batch.now),
        updated_at=batch.now,
        venue_order_id=shown.venue_order_id,
        trigger_price=shown.trigger_price,
        trigger_by=shown.trigger_by,
        take_profit=shown.take_profit,
        role=shown.role,
        parent_id=parent_id,
        parent_uuid=parent_uuid,
    )
    batch.touch(order)
    batch.move(order, _ADOPTED_AS.get(shown.status, shown.status), reason=shown.reason)
    if order.is_live:
        account.orders_on(market_id).add(order)
    show(batch, order, board=board)
    return order


def _held(batch: Batch, market_id: int) -> Decimal:
    position = batch.account.positions.get(market_id)
    return ZERO if position is None else abs(position.quantity)
