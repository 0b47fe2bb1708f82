"""What becomes of an order when its trigger price is reached. Pure, built on `booking`."""

import re
from dataclasses import asdict

from astrade.core.errors import AstradeError, MarketDataStale, json_safe
from astrade.core.messages import MarketView
from trading.domain import admission, booking, filling, protection
from trading.domain.admission import Limits
from trading.domain.batch import Batch
from trading.domain.ending import EXPIRED, announce, end_order
from trading.domain.lifecycle import OrderStatus, OrderType
from trading.domain.margin import Board, summarise
from trading.domain.shapes import Terms
from trading.domain.state import OrderRequest, OrderState

NOTHING_TO_REDUCE = "nothing_to_reduce"


def trigger(batch: Batch, order: OrderState, *, terms: Terms, view: MarketView, board: Board, limits: Limits) -> bool:
    """Let an untriggered order become a market order (immediate or cancel, on the present book: a gap fills at the
    worse price) or a limit order; False if nothing happens.

    Nothing happens to an order that no longer waits, on prices that are stale or older than its admission. What may not
    be placed now ends as `rejected` with the refusal's name, what has nothing left to reduce as `cancelled`. A
    protective order is never given up: one that is refused or finds no liquidity waits for the next tick.
    """
    if order.status is not OrderStatus.UNTRIGGERED or not _is_current(batch, order, view, limits):
        return False
    if order.is_expired(batch.now):
        end_order(batch, order, to=OrderStatus.EXPIRED, board=board, reason=EXPIRED)
        return True
    if order.reduce_only and not _cut_to_position(batch, order):
        end_order(batch, order, to=OrderStatus.CANCELLED, board=board, reason=NOTHING_TO_REDUCE)
        return True
    refusal = _refusal(batch, order, terms=terms, view=view, board=board, limits=limits)
    if order.role is not None and (refusal or not filling.offered(batch, order, terms=terms, view=view)):
        return False
    if refusal:
        end_order(batch, order, to=OrderStatus.REJECTED, board=board, reason=refusal)
        return True
    _enter(batch, order, terms=terms, view=view, board=board, limits=limits)
    if order.role is not None:
        protection.filled(batch, order, terms)
    announce(batch, order, board=board, summary=summarise(batch.account, board))
    return True


def as_placed(order: OrderState) -> OrderRequest:
    """The market or limit order that a triggered one is."""
    return OrderRequest(
        side=order.side,
        type=OrderType.MARKET if order.price is None else OrderType.LIMIT,
        quantity=order.quantity,
        price=order.price,
        time_in_force=order.time_in_force,
        expires_at=order.expires_at,
        post_only=order.post_only,
        reduce_only=order.reduce_only,
        source=order.source,
    )


def reason_of(refusal: AstradeError) -> str:
    """A refusal's name as an order's reason: `InsufficientMargin` is `insufficient_margin`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(refusal).__name__).lower()


def end_refused(
    batch: Batch, order: OrderState, request: OrderRequest, refusal: AstradeError, *, to: OrderStatus, board: Board
) -> None:
    """End a live order for what refused it, or the part of it that `request` is; its figures stay as an
    `OrderRefusal`.
    """
    row = {"account_id": batch.account.id, "market_id": order.market_id, "client_order_id": request.client_order_id}
    told = {"code": refusal.code, "message": str(refusal)[:200], "figures": refusal.details}
    batch.insert("refusal", row | told | {"request": json_safe(asdict(request))})
    end_order(batch, order, to=to, board=board, reason=reason_of(refusal))


def _is_current(batch: Batch, order: OrderState, view: MarketView, limits: Limits) -> bool:
    try:
        admission.check_fresh(view, now=batch.now, stale_after_s=limits.stale_after_s)
    except MarketDataStale:
        return False
    return view.book.sequence >= order.admitted_sequence


def _cut_to_position(batch: Batch, order: OrderState) -> bool:
    """Make a reduce-only order no larger than what there is to reduce; False if that is nothing."""
    quantity = filling.reducible(batch.account, order)
    if quantity and quantity < order.quantity:
        change = {"quantity": [str(order.quantity), str(quantity)]}
        order.quantity = quantity
        batch.note_change(order, change, reason="cut_to_position")
    return bool(quantity)


def _refusal(batch: Batch, order: OrderState, *, terms: Terms, view: MarketView, board: Board, limits: Limits) -> str:
    """Why the order may not be placed now, tried on a copy; empty if it may."""
    trial, copied = batch.rehearsal(order)
    try:
        _enter(trial, copied, terms=terms, view=view, board=board, limits=limits)
    except AstradeError as refusal:
        return reason_of(refusal)
    return ""


def _enter(batch: Batch, order: OrderState, *, terms: Terms, view: MarketView, board: Board, limits: Limits) -> None:
    """Place it: take what the book has, and let the rest wait or end. Only a reduction needs no margin."""
    account, request = batch.account, as_placed(order)
    account.orders_on(terms.id).add(order, sign=-1)
    leverage = account.leverage_on(terms.id)
    booking.check_request(
        batch, request, open_part=request, terms=terms, view=view, board=board, leverage=leverage, limits=limits
    )
    before = summarise(account, board)
    order.admitted_sequence, order.admitted_at, order.rules_id = view.book.sequence, batch.now, terms.rules_id
    filling.take(batch, order, terms=terms, view=view)
    booking.settle(batch, order)
    if not order.reduce_only:
        admission.check_margin(before, summarise(account, board))
