"""Orders: place, fill what rests, cancel (DESIGN §4.1). Prices are read before the account is locked: Redis is
network.
"""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

from django.conf import settings

from astrade.core import errors
from astrade.core.errors import AstradeError, json_safe
from astrade.core.messages import BookSnapshot, MarketView, Quote
from astrade.core.money import plain
from marketdata import live
from marketdata.selectors import MarketInfo, market_by_symbol, markets_by_id
from trading import selectors
from trading.domain import admission, bodies
from trading.domain import booking as decide
from trading.domain.admission import Limits
from trading.domain.lifecycle import Side
from trading.domain.margin import Board
from trading.domain.state import AccountState, OrderRequest, OrderState
from trading.loading import AccountRef, OrderRef
from trading.models import OrderRefusal
from trading.services.bookings import booking, present_board


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An order as the caller is told of it; `replayed` if the client order id had made it before."""

    body: dict[str, Any]
    replayed: bool


def limits() -> Limits:
    """The platform's limits from settings."""
    return Limits(open_orders_max=settings.MAX_OPEN_ORDERS, stale_after_s=settings.FEED_STALE_AFTER_S)


def place_order(*, account: AccountRef, symbol: str, request: OrderRequest) -> Placed:
    """Place an order on a practice account; what it gets at once is filled before this returns.

    The same `client_order_id` with the same request returns the first order; with another one DuplicateClientOrderId is
    raised. Locks the account. A refusal rolls everything back, is kept as one `OrderRefusal` and raised as its error.
    """
    terms = market_by_symbol(symbol)
    request = replace(request, client_order_id=request.client_order_id or uuid.uuid4().hex)
    try:
        admission.check_offered(request)
        try:
            return _place(account, terms, request)
        except errors.MarketDataStale:
            return _place(account, terms, request)  # prices may have aged while it waited for the lock: read again once
    except AstradeError as refusal:
        _keep_refusal(account, terms, request, refusal)
        raise


def _place(account: AccountRef, terms: MarketInfo, request: OrderRequest) -> Placed:
    view, quotes, missing = _market_view(terms.symbol)
    board = Board(markets=markets_by_id(), quotes=quotes)
    fingerprint = fingerprint_of(terms, request)
    named = OrderRef(client_order_id=request.client_order_id)
    with booking(account, market_id=terms.id, order=named) as batch:
        known = batch.account.order
        if known is not None:
            return _replay(batch.account, known, fingerprint=fingerprint)
        if view is None:
            raise missing or errors.MarketDataStale
        order = decide.admit(
            batch, request, terms=terms, view=view, board=board, limits=limits(), fingerprint=fingerprint
        )
        return Placed(body=_body(batch.account, order), replayed=False)


def _market_view(symbol: str) -> tuple[MarketView | None, Mapping[str, Quote], errors.MarketDataStale | None]:
    """View and quotes, or the error that says why not: a repeated order is answered even without prices."""
    try:
        view, quotes = live.view_of(symbol)
    except errors.MarketDataStale as exc:
        return None, {}, exc
    return view, quotes, None


def _replay(account: AccountState, known: OrderState, *, fingerprint: str) -> Placed:
    if known.fingerprint != fingerprint:
        raise errors.DuplicateClientOrderId(details={"client_order_id": known.client_order_id, "number": known.number})
    return Placed(body=_body(account, known), replayed=True)


def _body(account: AccountState, order: OrderState) -> dict[str, Any]:
    symbol = markets_by_id()[order.market_id].symbol
    return bodies.order_body(order, account=account.uuid, venue=account.venue, symbol=symbol)


def fingerprint_of(terms: MarketInfo, request: OrderRequest) -> str:
    """SHA-256 of what was asked for, spelled one way: `0.10` and `0.1` are the same quantity."""
    parts = (f"{name}={_spelled(getattr(request, name))}" for name in OrderRequest.__slots__ if name != "source")
    text = "|".join([terms.symbol, *parts])
    return hashlib.sha256(text.encode()).hexdigest()


def _spelled(value: object) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)


def _keep_refusal(account: AccountRef, terms: MarketInfo, request: OrderRequest, refusal: AstradeError) -> None:
    account_id = selectors.account_id_of(account)
    if account_id is None:
        return
    OrderRefusal.objects.create(
        account_id=account_id,
        market_id=terms.id,
        client_order_id=request.client_order_id,
        code=refusal.code,
        message=str(refusal)[:200],
        request=json_safe(asdict(request)),
        figures=refusal.details,
    )


def fill_resting_order(
    *, account_id: int, order_id: int, book: BookSnapshot, quotes: Mapping[str, Quote], traded_through: bool
) -> bool:
    """Give a resting order what `book` (or a price that traded through it) offers; False if that is nothing.

    Order and status are read again under the account's lock, so a late or doubled call books nothing twice.
    """
    board, market = Board(markets=markets_by_id(), quotes=quotes), market_by_symbol(book.symbol)
    named = OrderRef(order_id=order_id)
    with booking(AccountRef(account_id=account_id), market_id=market.id, order=named) as batch:
        order = batch.account.order
        if order is None:
            return False
        return decide.fill_resting(batch, order, board=board, book=book, traded_through=traded_through)


def cancel_order(*, account: AccountRef, order: OrderRef, reason: str = "requested") -> dict[str, Any]:
    """Cancel one open order and return it; raises NotFound or OrderNotOpen. Works without market data."""
    board = present_board()
    with booking(account, order=order) as batch:
        found = batch.account.order
        if found is None:
            raise errors.NotFound
        decide.cancel(batch, found, board=board, reason=reason)
        return _body(batch.account, found)


def cancel_orders(
    *, account: AccountRef, symbol: str | None = None, side: Side | None = None, reason: str = "requested"
) -> list[dict[str, Any]]:
    """Cancel all open orders of an account, or those of a market or side; returns what was cancelled.

    One transaction each: an order that fills meanwhile is left out, the others go.
    """
    market_id = market_by_symbol(symbol).id if symbol else None
    cancelled = []
    for order_id in selectors.live_order_ids(account, market_id=market_id, side=side):
        try:
            cancelled.append(cancel_order(account=account, order=OrderRef(order_id=order_id), reason=reason))
        except errors.OrderNotOpen:
            continue
    return cancelled
