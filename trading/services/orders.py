"""Orders: place, fill what rests, cancel (DESIGN §4.1). Prices are read before the account is locked: Redis is
network.
"""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from operator import attrgetter
from typing import Any

from django.conf import settings

from accounts.models import Signing
from astrade.core import errors
from astrade.core.errors import AstradeError, json_safe
from astrade.core.messages import BookSnapshot, MarketView, Quote
from astrade.core.money import plain
from marketdata import live
from marketdata.selectors import MarketInfo, market_by_symbol, markets_by_id
from trading import selectors
from trading.domain import admission
from trading.domain import booking as decide
from trading.domain.admission import Limits
from trading.domain.lifecycle import Side
from trading.domain.margin import Board
from trading.domain.matching import Reached
from trading.domain.queues import Traded
from trading.domain.state import AccountState, OrderRequest, OrderState
from trading.loading import ORDERS_AT_ONCE, AccountRef, OrderRef, OrdersRef
from trading.models import OrderRefusal
from trading.services.bookings import booking, order_body_of, present_board
from trading.services.risk_days import opens_risk_day
from trading.services.signatures import Signed
from trading.services.signed_orders import check_user_signs
from trading.services.venue_orders import ToSend, cancel_all, prepare, request_cancel, send, send_cancel, signing_venue

_ASKED = tuple(name for name in OrderRequest.__slots__ if name not in ("source", "role"))
_asked = attrgetter(*_ASKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An order as the caller is told of it; `replayed` if the client order id had made it before. `outgoing`: it was
    committed, and is to be sent to its venue.
    """

    body: Mapping[str, Any]
    replayed: bool
    outgoing: ToSend | None = None


def limits() -> Limits:
    """The platform's limits from settings."""
    return Limits(open_orders_max=settings.MAX_OPEN_ORDERS, stale_after_s=settings.FEED_STALE_AFTER_S)


def place_order(
    *, account: AccountRef, symbol: str, request: OrderRequest, travels: bool = True, signed: Signed | None = None
) -> Placed:
    """Place an order; on a practice account what it gets at once is filled before this returns.

    On an account with simulated latency it is on its way then (`submitted`), unless it doesn't travel. On an account at
    a venue it is committed, then sent, and returned as the venue answered; raises Unknown where it did not. `signed`
    where the user signs for it (`trading.services.prepared_orders`). Call it outside any transaction.
    The same `client_order_id` with the same request returns the first order; with another one DuplicateClientOrderId is
    raised. Locks the account. A refusal rolls everything back, is kept as one `OrderRefusal` and raised as its error.
    """
    terms = market_by_symbol(symbol)
    if not request.client_order_id:
        request = replace(request, client_order_id=uuid.uuid4().hex)
    try:
        admission.check_offered(request)
        try:
            placed = commit_order(account, terms, request, travels=travels, signed=signed)
        except errors.MarketDataStale:  # prices may have aged while it waited for the lock: read again once
            placed = commit_order(account, terms, request, travels=travels, signed=signed)
    except AstradeError as refusal:
        _keep_refusal(account, terms, request, refusal)
        raise
    return placed if placed.outgoing is None else Placed(body=send(placed.outgoing), replayed=False)


@opens_risk_day
def commit_order(
    account: AccountRef,
    terms: MarketInfo,
    request: OrderRequest,
    *,
    travels: bool = True,
    signed: Signed | None = None,
) -> Placed:
    """`place_order` up to its commit: an order that goes to a venue is `outgoing` then, and was not sent yet."""
    view, quotes, missing = market_view(terms.symbol)
    board = Board(markets=markets_by_id(), quotes=quotes)
    fingerprint = fingerprint_of(terms, request)
    named = OrderRef(client_order_id=request.client_order_id)
    facing = own_orders_facing(terms, view, side=request.side, limit=request.price)
    with booking(account, market_id=terms.id, order=named, orders=facing) as batch:
        known = batch.account.order
        if known is not None:
            return _replay(batch.account, known, fingerprint=fingerprint)
        if view is None:
            raise missing or errors.MarketDataStale
        if signed is not None:
            check_user_signs(batch.account, request)
        order = decide.admit(
            batch,
            request,
            terms=terms,
            view=view,
            board=board,
            limits=limits(),
            fingerprint=fingerprint,
            travels=travels,
        )
        outgoing = None
        if batch.account.is_live and order.twap is None:
            outgoing = prepare(batch, order, terms=terms, view=view, board=board, signed=signed)
        elif batch.account.is_live:
            signing_venue(batch.account, by=Signing.DELEGATED)  # its slices are sent
        return Placed(body=batch.told[order.id], replayed=False, outgoing=outgoing)


def own_orders_facing(
    terms: MarketInfo, view: MarketView | None, *, side: Side, limit: Decimal | None
) -> OrdersRef | None:
    """The account's resting orders that an arriving order could trade with; without a limit it goes as far as the
    price band.
    """
    if limit is None and view is not None:
        low, high = admission.band_of(terms, view.quote)
        limit = high if side is Side.BUY else low
    return None if limit is None else OrdersRef(market_id=terms.id, side=side.opposite, within_reach=limit)


def market_view(symbol: str) -> tuple[MarketView | None, Mapping[str, Quote], errors.MarketDataStale | None]:
    """View and quotes, or the error that says why not: a repeated order is answered even without prices."""
    try:
        view, quotes = live.view_of(symbol)
    except errors.MarketDataStale as exc:
        return None, {}, exc
    return view, quotes, None


def _replay(account: AccountState, known: OrderState, *, fingerprint: str) -> Placed:
    if known.fingerprint != fingerprint:
        raise errors.DuplicateClientOrderId(details={"client_order_id": known.client_order_id, "number": known.number})
    return Placed(body=order_body_of(account, known), replayed=True)


def fingerprint_of(terms: MarketInfo, request: OrderRequest) -> str:
    """SHA-256 of what was asked for, spelled one way: `0.10` and `0.1` are the same quantity."""
    values = zip(_ASKED, _asked(request), strict=True)
    parts = [f"{name}={plain(value) if type(value) is Decimal else value}" for name, value in values]
    return hashlib.sha256("|".join([terms.symbol, *parts]).encode()).hexdigest()


def _keep_refusal(account: AccountRef, terms: MarketInfo, request: OrderRequest, refusal: AstradeError) -> None:
    account_id = selectors.account_id_of(account)
    if account_id is None:
        return
    keep_refusal(
        refusal,
        account_id=account_id,
        market_id=terms.id,
        client_order_id=request.client_order_id,
        request=asdict(request),
    )


def keep_refusal(
    refusal: AstradeError, *, account_id: int, market_id: int, client_order_id: str, request: Mapping[str, Any]
) -> None:
    """The one row that is left of what was refused, in a transaction of its own."""
    OrderRefusal.objects.create(
        account_id=account_id,
        market_id=market_id,
        client_order_id=client_order_id,
        code=refusal.code,
        message=str(refusal)[:200],
        request=json_safe(request),
        figures=refusal.details,
    )


@opens_risk_day
def fill_resting_order(
    *,
    account_id: int,
    order_id: int,
    book: BookSnapshot,
    quotes: Mapping[str, Quote],
    traded_through: bool,
    admitted: tuple[Decimal, int] | None = None,
    traded: Traded | None = None,
) -> bool:
    """Give a resting order what `book` (or a price that traded through it) offers; False if that is nothing.

    Order and status are read again under the account's lock, so a late or doubled call books nothing twice. `admitted`
    is the price and book sequence of the order that was reached: one that was replaced meanwhile was not. `traded` is
    what takers traded at its price; of two calls that begin at the same sequence only the first counts it.
    """
    board, market = Board(markets=markets_by_id(), quotes=quotes), market_by_symbol(book.symbol)
    named = OrderRef(order_id=order_id)
    with booking(AccountRef(account_id=account_id), market_id=market.id, order=named) as batch:
        order = batch.account.order
        if order is None or admitted not in (None, (order.price, order.admitted_sequence)):
            return False
        return decide.fill_resting(batch, order, board=board, book=book, traded_through=traded_through, traded=traded)


@opens_risk_day
def fill_resting_orders(
    *, account_id: int, reached: Sequence[Reached], book: BookSnapshot, quotes: Mapping[str, Quote]
) -> int:
    """`fill_resting_order` for several orders of one account and market, one after the other in one booking; returns
    how many were given something.

    What one raises undoes all of them.
    """
    board, market = Board(markets=markets_by_id(), quotes=quotes), market_by_symbol(book.symbol)
    named, filled = OrdersRef(order_ids=tuple(hit.order.order_id for hit in reached)), 0
    with booking(AccountRef(account_id=account_id), market_id=market.id, orders=named) as batch:
        waiting = {order.id: order for order in batch.account.orders}
        for hit in reached:
            order, reached_at = waiting.get(hit.order.order_id), (hit.order.price, hit.order.admitted_sequence)
            if order is None or (order.price, order.admitted_sequence) != reached_at:
                continue
            batch.next_decision()
            filled += decide.fill_resting(
                batch, order, board=board, book=book, traded_through=hit.traded_through, traded=hit.traded
            )
    return filled


def cancel_order(*, account: AccountRef, order: OrderRef, reason: str = "requested") -> dict[str, Any]:
    """Cancel one open order and return it; raises NotFound or OrderNotOpen. Works without market data.

    One at a venue is asked for there, after the commit: it is returned as it is, and ends when the venue says so.
    """
    board, wanted = present_board(), list[str]()
    with booking(account, order=order) as batch:
        found = batch.account.order
        if found is None:
            raise errors.NotFound
        if batch.account.is_live and found.twap is None:
            decide.check_open(found)
            wanted = request_cancel(batch, [found])
        else:
            decide.cancel(batch, found, board=board, reason=reason)
        body = order_body_of(batch.account, found)
    send_cancel(batch.account.id, wanted)
    return body


def cancel_orders(
    *, account: AccountRef, symbol: str | None = None, side: Side | None = None, reason: str = "requested"
) -> list[dict[str, Any]]:
    """Cancel all open orders of an account, or those of a market or side; returns what was cancelled.

    Waiting for a trigger is open too. All of them go in one transaction, or in as few as their number takes; works
    without market data. Those at a venue are asked for there, the first `ORDERS_AT_ONCE` of them. Raises NotFound.
    """
    named = OrdersRef(market_id=market_by_symbol(symbol).id if symbol else None, side=side)
    board, cancelled = present_board(), list[dict[str, Any]]()
    while True:
        with booking(account, orders=named) as batch:
            found = batch.account.orders
            ended, wanted = cancel_all(batch, found, board=board, reason=reason)
            cancelled += [order_body_of(batch.account, order) for order in ended]
        send_cancel(batch.account.id, wanted)
        if wanted or len(found) < ORDERS_AT_ONCE:
            return cancelled
