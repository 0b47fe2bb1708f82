"""Change what stands at a venue: an order's price or quantity, what protects a position (DESIGN §4.2).

An order at a venue can't be changed, only replaced: a new one takes the old one's place. The two are a pair: the old
one stays as it is here until the venue says that it ended, and the new one is placed like any other, committed before
it is sent. So whatever is lost on the way, or if the venue ends both, each is found again by its own id.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import uuid4

from astrade.core.errors import MarketDataStale
from astrade.core.messages import MarketView
from marketdata.selectors import MarketInfo
from trading.domain import booking as decide
from trading.domain import protection
from trading.domain.admission import check_account, check_fresh
from trading.domain.batch import Batch
from trading.domain.lifecycle import OrderRole, OrderSource, Side
from trading.domain.margin import Board
from trading.domain.protection import LEG_TYPE
from trading.domain.replacing import Changes, successor_of
from trading.domain.state import OrderRequest, OrderState, PositionState
from trading.loading import AccountRef, OrdersRef
from trading.models import VenueOrder
from trading.services.bookings import booking
from trading.services.orders import limits
from trading.services.venue_orders import ToSend, prepare, request_cancel, send_cancel

Levels = Mapping[OrderRole, Decimal | None]


def succeed(
    batch: Batch,
    order: OrderState,
    changes: Changes,
    *,
    version: int | None,
    terms: MarketInfo,
    view: MarketView | None,
    board: Board,
) -> ToSend | None:
    """Admit the order that is to take another's place, with what is left of its quantity; None where nothing changes.

    The old one's margin is free for the new one. Raises as `replacing.replace_order`.
    """
    request = successor_of(order, changes, version=version, client_order_id=uuid4().hex, now=batch.now)
    if request is None:
        return None
    if view is None:
        raise MarketDataStale(details={"symbol": terms.symbol})
    sums = batch.account.orders_on(terms.id)
    sums.add(order, sign=-1)
    new = decide.admit(batch, request, terms=terms, view=view, board=board, limits=limits(), fingerprint="")
    sums.add(order)
    return prepare(batch, new, terms=terms, view=view, board=board, replaces=_external_id(order))


def protect(
    batch: Batch,
    position: PositionState,
    wanted: Levels,
    *,
    terms: MarketInfo,
    view: MarketView,
    board: Board,
) -> tuple[ToSend | None, Sequence[int]]:
    """Admit the order that protects the whole position from now on, in place of the one that does; returns it, and the
    orders that are then to end. Removing all levels ends those that are there.
    """
    check_account(batch.account)
    check_fresh(view, now=batch.now, stale_after_s=limits().stale_after_s)
    legs = [leg for leg in batch.account.protective if leg.market_id == terms.id]
    present = protection.levels(position, legs)
    levels = {role: wanted.get(role, present[role.value]) for role in OrderRole}
    if all(levels[role] == present[role.value] for role in OrderRole):
        return None, ()
    side = Side.BUY if position.quantity > 0 else Side.SELL
    protection.check_levels(terms, side=side, entry=view.quote.mark, **{role.value: levels[role] for role in OrderRole})
    request = _protective(position, levels)
    if request is None:
        return None, [leg.id for leg in legs]
    whole = next((leg for leg in legs if leg.parent_id is None), None)
    order = decide.admit(batch, request, terms=terms, view=view, board=board, limits=limits(), fingerprint="")
    replaces = _external_id(whole) if whole else None
    outgoing = prepare(batch, order, terms=terms, view=view, board=board, replaces=replaces)
    return outgoing, [leg.id for leg in legs if leg is not whole]


def _protective(position: PositionState, levels: Levels) -> OrderRequest | None:
    stop_loss, take_profit = levels[OrderRole.STOP_LOSS], levels[OrderRole.TAKE_PROFIT]
    role = OrderRole.TAKE_PROFIT if stop_loss is None else OrderRole.STOP_LOSS
    if levels[role] is None:
        return None
    return OrderRequest(
        side=Side.SELL if position.quantity > 0 else Side.BUY,
        type=LEG_TYPE[role],
        quantity=abs(position.quantity),
        reduce_only=True,
        client_order_id=uuid4().hex,
        source=OrderSource.APP,
        trigger_price=levels[role],
        take_profit=None if role is OrderRole.TAKE_PROFIT else take_profit,
        role=role,
    )


def end(account: AccountRef, order_ids: Sequence[int]) -> None:
    """Ask for the end of these orders. Call it outside any transaction."""
    if not order_ids:
        return
    with booking(account, orders=OrdersRef(order_ids=tuple(order_ids))) as batch:
        wanted = request_cancel(batch, batch.account.orders)
    send_cancel(batch.account.id, wanted)


def _external_id(order: OrderState) -> str:
    return VenueOrder.objects.values_list("external_id", flat=True).get(order_id=order.id)
