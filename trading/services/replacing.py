"""Replace an order's price or quantity, keeping its identity (DESIGN §4.1). Prices are read before the lock."""

from dataclasses import asdict
from typing import Any

from astrade.core import errors
from astrade.core.errors import AstradeError
from marketdata.selectors import MarketInfo, markets_by_id
from trading import selectors
from trading.domain import replacing as decide
from trading.domain.lifecycle import Side
from trading.domain.margin import Board
from trading.domain.replacing import Changes
from trading.loading import AccountRef, OrderRef
from trading.models import Order
from trading.services.bookings import booking, order_body_of
from trading.services.orders import keep_refusal, limits, market_view, own_orders_facing
from trading.services.risk_days import opens_risk_day
from trading.services.venue_changes import succeed
from trading.services.venue_orders import ToSend, send


@opens_risk_day
def replace_order(
    *, account: AccountRef, order: OrderRef, changes: Changes, version: int | None = None
) -> dict[str, Any]:
    """Change an order and return it; what its new price reaches is filled before this returns.

    At a venue a new order takes its place (`trading.services.venue_changes`) and is returned, with the old one's id in
    `replaces`; it raises as `place_order` does there.
    `version` is the one the caller saw. A refusal (OrderNotOpen, VersionConflict or any of a new order's) leaves the
    order as it was and one `OrderRefusal`. Raises NotFound. Locks the account.
    """
    row = selectors.order_by_ref(account, order)
    terms = markets_by_id()[row.market_id]
    try:
        try:
            body, outgoing = _replace(row, terms, changes, version=version)
        except errors.MarketDataStale:  # prices may have aged while it waited for the lock
            body, outgoing = _replace(row, terms, changes, version=version)
    except AstradeError as refusal:
        keep_refusal(
            refusal,
            account_id=row.account_id,
            market_id=terms.id,
            client_order_id=row.client_order_id,
            request={"replaces": str(row.uuid), "version": version} | asdict(changes),
        )
        raise
    return body if outgoing is None else {**send(outgoing), "replaces": body["id"]}


@opens_risk_day
def _replace(
    row: Order, terms: MarketInfo, changes: Changes, *, version: int | None
) -> tuple[dict[str, Any], ToSend | None]:
    view, quotes, _ = market_view(terms.symbol)
    price = row.price if changes.price is None else changes.price
    facing = own_orders_facing(terms, view, side=Side(row.side), limit=price)
    named = OrderRef(order_id=row.pk)
    owner = AccountRef(account_id=row.account_id)
    with booking(owner, market_id=terms.id, order=named, orders=facing) as batch:
        order = batch.account.order
        if order is None:
            raise errors.NotFound
        board, outgoing = Board(markets=markets_by_id(), quotes=quotes), None
        if batch.account.is_live:
            outgoing = succeed(batch, order, changes, version=version, terms=terms, view=view, board=board)
        else:
            decide.replace_order(
                batch, order, changes, version=version, terms=terms, view=view, board=board, limits=limits()
            )
        return order_body_of(batch.account, order), outgoing
