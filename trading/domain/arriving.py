"""Orders of an account with simulated latency: on their way first, decided on the market of their arrival. Pure.

Such an order is checked when it is sent, on the market of then, and stored as `submitted` with the margin it needs
reserved (a market order's at the mark). It meets the market it arrives at, and passes every check of a new order once
more: what may not be placed any more ends as `rejected` with the refusal's name. It can be cancelled on its way, but
not replaced; a cancel itself takes no time. TWAP orders are not delayed: their slices are timed by the venue.
"""

from dataclasses import fields
from datetime import timedelta

from astrade.core.errors import AstradeError
from astrade.core.messages import MarketView
from trading.domain import admission, booking
from trading.domain.admission import Limits
from trading.domain.batch import Batch
from trading.domain.conditional import end_refused
from trading.domain.ending import EXPIRED, announce, end_order
from trading.domain.lifecycle import OrderStatus
from trading.domain.margin import Board, summarise
from trading.domain.shapes import Terms
from trading.domain.state import OrderRequest, OrderState


def arrive(batch: Batch, order: OrderState, *, terms: Terms, view: MarketView, board: Board, limits: Limits) -> bool:
    """Decide an order that has arrived on `view`; False if it is not on its way or not there yet, or prices are stale.

    A refusal's figures are kept as one `OrderRefusal`.
    """
    if order.status is not OrderStatus.SUBMITTED or order.arrives_at is None or batch.now < order.arrives_at:
        return False
    if order.is_expired(batch.now):
        end_order(batch, order, to=OrderStatus.EXPIRED, board=board, reason=EXPIRED)
        return True
    if batch.now - view.quote.at > timedelta(seconds=limits.stale_after_s):
        return False
    trial, copied = batch.rehearsal(order)
    try:
        _enter(trial, copied, terms=terms, view=view, board=board, limits=limits)
    except AstradeError as refusal:
        end_refused(batch, order, as_sent(order), refusal, to=OrderStatus.REJECTED, board=board)
        return True
    _enter(batch, order, terms=terms, view=view, board=board, limits=limits)
    announce(batch, order, board=board, summary=summarise(batch.account, board))
    return True


def as_sent(order: OrderState) -> OrderRequest:
    """The order as it was asked for."""
    return OrderRequest(**{field.name: getattr(order, field.name) for field in fields(OrderRequest)})


def _enter(batch: Batch, order: OrderState, *, terms: Terms, view: MarketView, board: Board, limits: Limits) -> None:
    account, request = batch.account, as_sent(order)
    account.orders_on(terms.id).add(order, sign=-1)
    leverage = account.leverage_on(terms.id)
    booking.check_request(
        batch, request, open_part=request, terms=terms, view=view, board=board, leverage=leverage, limits=limits
    )
    before = summarise(account, board)
    order.admitted_sequence, order.admitted_at, order.rules_id = view.book.sequence, batch.now, terms.rules_id
    booking.enter(batch, order, terms=terms, view=view)
    admission.check_margin(before, summarise(account, board))
