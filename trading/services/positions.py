"""Close a position, whole or in part: a reduce-only market order the other way."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from uuid import UUID

from astrade.core.errors import DuplicateClientOrderId, NotFound, ReduceOnlyWouldIncrease, VersionConflict
from astrade.core.messages import MarketView
from marketdata import live
from marketdata.selectors import MarketInfo, market_by_symbol, markets_by_id
from trading import selectors
from trading.domain import protection
from trading.domain.admission import check_account, check_fresh
from trading.domain.batch import Batch
from trading.domain.bodies import Body, order_body
from trading.domain.ending import tell_position, tell_protective
from trading.domain.lifecycle import OrderRole, OrderSource, OrderType, Side
from trading.domain.margin import Board, summarise
from trading.domain.state import OrderRequest, PositionState
from trading.loading import AccountRef, read_account
from trading.services import venue_changes
from trading.services.bookings import booking
from trading.services.orders import Placed, limits, place_order
from trading.services.venue_orders import send
from trading.valuation import open_positions


def close_position(
    *,
    account: AccountRef,
    position_uuid: UUID | None = None,
    symbol: str | None = None,
    quantity: Decimal | None = None,
    client_order_id: str = "",
    source: OrderSource = OrderSource.APP,
    travels: bool = True,
) -> Placed:
    """Close `quantity` base units of a position, all of it unless said, at market; returns the order that does.

    Raises NotFound where nothing is open, ReduceOnlyWouldIncrease for more than is held. If the position shrinks before
    the order is decided, that is a refusal too: nothing is ever opened the other way. The same `client_order_id`
    returns the first order, or raises DuplicateClientOrderId if that was for something else. Takes the account's
    simulated latency unless it doesn't travel.
    """
    if client_order_id and (placed := _placed_before(account, client_order_id, symbol=symbol, quantity=quantity)):
        return placed
    state = read_account(account)
    position = _open_position(state.positions.values(), position_uuid=position_uuid, symbol=symbol)
    held = abs(position.quantity)
    if quantity is not None and quantity > held:
        raise ReduceOnlyWouldIncrease(details={"position": position.quantity, "quantity": quantity})
    request = OrderRequest(
        side=Side.SELL if position.quantity > 0 else Side.BUY,
        type=OrderType.MARKET,
        quantity=quantity or held,
        reduce_only=True,
        client_order_id=client_order_id,
        source=source,
    )
    symbol = markets_by_id()[position.market_id].symbol
    return place_order(account=account, symbol=symbol, request=request, travels=travels)


def protect_position(
    *,
    account: AccountRef,
    position_uuid: UUID,
    wanted: Mapping[OrderRole, Decimal | None],
    version: int | None = None,
) -> Body:
    """Set, change or remove (None) the stop loss and take profit of a whole position; returns the position.

    Prices are held against the present mark. At a venue one order of the venue's protects the whole position, whatever
    its size; it is sent after the commit, and Unknown raised where nobody knows whether it arrived. Raises NotFound
    where nothing is open, VersionConflict, MarketDataStale, ValidationFailed or PriceOffTick. Locks the account.
    """
    found = _open_position(read_account(account).positions.values(), position_uuid=position_uuid, symbol=None)
    terms = markets_by_id()[found.market_id]
    view, quotes = live.view_of(terms.symbol)
    board = Board(markets=markets_by_id(), quotes=quotes)
    with booking(account, market_id=terms.id) as batch:
        position = batch.account.positions.get(terms.id)
        if position is None or not position.quantity or position.uuid != position_uuid:
            raise NotFound
        if version is not None and version != position.version:
            raise VersionConflict(details={"version": position.version})
        if not batch.account.is_live:
            _protect_here(batch, position, wanted, terms=terms, view=view, board=board)
            (body,) = open_positions(batch.account, board, market_id=terms.id)
            return body
        outgoing, superseded = venue_changes.protect(batch, position, wanted, terms=terms, view=view, board=board)
    owner = AccountRef(account_id=batch.account.id)
    if outgoing is not None:
        send(outgoing)
    venue_changes.end(owner, superseded)  # once the new one stands
    (body,) = open_positions(read_account(owner), board, market_id=terms.id)
    return body


def _protect_here(
    batch: Batch,
    position: PositionState,
    wanted: Mapping[OrderRole, Decimal | None],
    *,
    terms: MarketInfo,
    view: MarketView,
    board: Board,
) -> None:
    check_account(batch.account)
    check_fresh(view, now=batch.now, stale_after_s=limits().stale_after_s)
    protection.protect(batch, terms, wanted, view=view)
    if batch.positions:
        tell_protective(batch, terms)
        tell_position(batch, position, board=board, summary=summarise(batch.account, board))


def _placed_before(
    account: AccountRef, client_order_id: str, *, symbol: str | None, quantity: Decimal | None
) -> Placed | None:
    """The closing order of this id: what it closed is no longer open, so the position can't tell of it."""
    owner = selectors.account_by_ref(account)
    order = selectors.orders_of(owner.pk).filter(client_order_id=client_order_id).first()
    if order is None:
        return None
    is_same = order.type == OrderType.MARKET and order.reduce_only and quantity in (None, order.quantity)
    if not is_same or (symbol and market_by_symbol(symbol).id != order.market_id):
        raise DuplicateClientOrderId(details={"client_order_id": client_order_id, "number": order.number})
    body = order_body(order, account=owner.uuid, venue=owner.venue, symbol=markets_by_id()[order.market_id].symbol)
    return Placed(body=body, replayed=True)


def _open_position(
    positions: Iterable[PositionState], *, position_uuid: UUID | None, symbol: str | None
) -> PositionState:
    market_id = market_by_symbol(symbol).id if symbol else None
    for position in positions:
        if position.quantity and (position.uuid == position_uuid or position.market_id == market_id):
            return position
    raise NotFound
