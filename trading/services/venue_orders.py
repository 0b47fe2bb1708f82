"""Orders at a venue: the row beside the order, sending it after the commit, asking for its end (DESIGN §4.2).

Nothing is sent that was not committed before, and nothing is sent twice: whoever placed an order sends it, once and at
once, or nobody does. What becomes of it, `trading.services.venue_reports` books.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from time import monotonic
from typing import Any, Protocol

from django.db import IntegrityError, transaction

from accounts.models import Signing
from accounts.services.terms import has_accepted_terms
from astrade.core.errors import AstradeError, OrderTypeNotOffered, TermsNotAccepted
from astrade.core.messages import MarketView
from astrade.venues.errors import AlreadyThere, Unavailable, Unknown, VenueError
from trading.domain.batch import Batch
from trading.domain.ending import end_orders
from trading.domain.lifecycle import OrderRole, OrderStatus, Side, TimeInForce, TriggerBy
from trading.domain.margin import Board
from trading.domain.shapes import Terms
from trading.domain.state import AccountState, OrderState
from trading.models import VenueOrder
from trading.pipeline import run_together
from trading.services.signatures import Signed
from trading.services.signed_orders import take_prepared
from trading.services.venue_reports import lose_order, note_answer, refuse_order
from trading.venues.base import Outgoing, OutgoingLeg, VenueAccount
from trading.venues.choice import venue_account
from trading.venues.extended_tickets import worst_price, worst_price_at

logger = logging.getLogger(__name__)
NONCE_BELOW = 2**31  # 1 … 2**31 - 1, extended-api.md §11.5
DRAWS_MAX = 5
SENT_WITHIN_S = 3.0  # of its commit; later it isn't sent any more
ANSWERED_WITHIN = timedelta(seconds=20)  # of its admission: longer than the way out and the call's own timeouts take
LASTS_AT_MOST = timedelta(days=27)  # the testnet takes 28 days, the mainnet 90 (extended-api.md §4, 1135)
IOC_LASTS = timedelta(hours=1)
_USED = "SELECT 'used' FROM trading_venueorder WHERE stark_public_key = $1 AND nonce = $2"
Body = Mapping[str, Any]


class SignedValues(Protocol):
    """Worst price, highest fee and end of an order, as they are signed; `trading.models.PreparedOrder` has them too."""

    @property
    def price(self) -> Decimal: ...
    @property
    def fee_rate(self) -> Decimal: ...
    @property
    def expires_at(self) -> datetime: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuesToSign:
    """`SignedValues` that were just decided."""

    price: Decimal
    fee_rate: Decimal
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ToSend:
    """An order on its way out; `since` is when it was admitted, by the monotonic clock, `board` what it was admitted
    on, which is what its money is shown at with the venue's answer.
    """

    account_id: int
    order_id: int
    order: Outgoing
    venue: VenueAccount
    since: float
    board: Board


def new_nonce() -> int:
    """1 … 2**31 - 1, evenly."""
    return 1 + secrets.randbelow(NONCE_BELOW - 1)


def prepare(
    batch: Batch,
    order: OrderState,
    *,
    terms: Terms,
    view: MarketView,
    board: Board,
    replaces: str | None = None,
    signed: Signed | None = None,
    draw: Callable[[], int] = new_nonce,
) -> ToSend:
    """Write what the order is to be sent with beside it, in the booking's own transaction. `replaces` is the external
    id of the order whose place it takes; `signed` is there where the user signs for it.

    Raises as `signing_venue`, and as `take_prepared`.
    """
    venue = signing_venue(batch.account, by=Signing.DELEGATED if signed is None else Signing.USER_SIGNED)
    prepared = None if signed is None else take_prepared(batch, order, signed, public_key=venue.public_key)
    values = prepared or values_to_sign(order, terms=terms, view=view, now=batch.now)
    nonce = _fresh_nonce(venue.public_key, draw) if prepared is None else prepared.nonce
    outgoing = outgoing_of(order, values, terms=terms, nonce=nonce, replaces=replaces)
    if signed is not None:
        outgoing = replace(outgoing, signature=signed.signature)
    row = {
        "order_id": order.id,
        "account_id": batch.account.id,
        "external_id": outgoing.external_id,
        "stark_public_key": venue.public_key,
        "nonce": nonce,
        "price": values.price,
        "fee_rate": values.fee_rate,
        "expires_at": values.expires_at,
        "deadline_at": batch.now + ANSWERED_WITHIN,
        "replaces": replaces,
        "lookups": 0,
    }
    batch.insert("venue_order", row)
    return ToSend(batch.account.id, order.id, outgoing, venue, monotonic(), board)


def signing_venue(account: AccountState, *, by: Signing) -> VenueAccount:
    """The account at its venue, whose orders are signed in this way.

    Raises TermsNotAccepted, InvalidVenueCredentials where the account isn't connected any more, and OrderTypeNotOffered
    where somebody else signs for it.
    """
    if not has_accepted_terms(account.user_id):
        raise TermsNotAccepted
    venue = venue_account(account.id)
    if venue.signing != by:
        raise OrderTypeNotOffered(details={"signing": venue.signing})
    return venue


def values_to_sign(order: OrderState, *, terms: Terms, view: MarketView, now: datetime) -> SignedValues:
    """What is signed besides what was asked for. Raises MarketDataStale where the book shows no price."""
    price = _signed_price(order, terms, view)
    return ValuesToSign(price=price, fee_rate=terms.taker_fee_rate, expires_at=_expiry(order, now=now))


def _signed_price(order: OrderState, terms: Terms, view: MarketView) -> Decimal:
    """Its own, or the worst one of what trades at market, at once or at its trigger."""
    if order.price is not None:
        return order.price
    if order.trigger_price is not None:
        return worst_price_at(order.trigger_price, order.side, tick=terms.tick_size)
    return worst_price(order.side, view.book, tick=terms.tick_size)


def outgoing_of(
    order: OrderState, values: SignedValues, *, terms: Terms, nonce: int, replaces: str | None = None
) -> Outgoing:
    """The order as it goes out. One that protects a position is sent as its levels, for whatever the position is."""
    closes, take_profit, stop_loss = order.role is not None, order.take_profit, order.stop_loss
    if order.role is OrderRole.TAKE_PROFIT:
        take_profit = order.trigger_price
    elif order.role is OrderRole.STOP_LOSS:
        stop_loss = order.trigger_price
    leg_side = order.side if closes else order.side.opposite
    return Outgoing(
        external_id=str(order.uuid),
        symbol=terms.symbol,
        side=order.side,
        type=order.type,
        time_in_force=TimeInForce.IOC if _is_at_once(order) else TimeInForce.GTT,
        quantity=order.quantity,
        price=values.price,
        post_only=order.post_only,
        reduce_only=order.reduce_only,
        fee_rate=values.fee_rate,
        nonce=nonce,
        expires_at=values.expires_at,
        trigger_price=order.trigger_price,
        trigger_by=order.trigger_by or TriggerBy.MARK,
        closes_position=closes,
        replaces=replaces,
        take_profit=_leg(take_profit, leg_side, terms),
        stop_loss=_leg(stop_loss, leg_side, terms),
    )


def _leg(price: Decimal | None, side: Side, terms: Terms) -> OutgoingLeg | None:
    if price is None:
        return None
    return OutgoingLeg(trigger_price=price, price=worst_price_at(price, side, tick=terms.tick_size))


def _is_at_once(order: OrderState) -> bool:
    return order.time_in_force is TimeInForce.IOC and order.trigger_price is None


def _expiry(order: OrderState, *, now: datetime) -> datetime:
    if _is_at_once(order):
        return now + IOC_LASTS
    latest = now + LASTS_AT_MOST
    return latest if order.expires_at is None else min(order.expires_at, latest)


def _fresh_nonce(public_key: str, draw: Callable[[], int]) -> int:
    """A nonce that the key never signed with. Should another process have drawn the same a moment before, the
    database's constraint refuses the booking, and nothing is sent.
    """
    for _ in range(DRAWS_MAX):
        nonce = draw()
        (used,) = run_together((_USED, [public_key, nonce]))
        if used is None:
            return nonce
    raise IntegrityError(f"{DRAWS_MAX} nonces were all used before")


def send(outgoing: ToSend) -> Body:
    """Send an order that was committed, once; returns it as it is after the venue's answer.

    Raises Unknown where nobody knows whether it arrived; the venue's refusal or what kept it from being sent,
    with the order, which is then `rejected`, in its details. Raises RuntimeError inside a transaction: nothing is sent
    that isn't committed.
    """
    if transaction.get_connection().in_atomic_block:
        raise RuntimeError("an order is sent after its commit")
    account_id, order_id = outgoing.account_id, outgoing.order_id
    try:
        if monotonic() - outgoing.since > SENT_WITHIN_S:
            raise Unavailable("not sent in time")
        venue_order_id = outgoing.venue.place(outgoing.order)
    except (Unknown, AlreadyThere) as lost:
        body = lose_order(account_id, order_id, reason=reason_of(lost))
        raise _with_order(Unknown(reason_of(lost)), body) from lost
    except AstradeError as refusal:  # the venue's, or from before anything left
        body = refuse_order(account_id, order_id, reason=reason_of(refusal))
        raise _with_order(refusal, body) from None
    except Exception:
        lose_order(account_id, order_id, reason="failed_while_sending")
        raise
    return note_answer(account_id, order_id, venue_order_id=venue_order_id, board=outgoing.board)


def _with_order(error: AstradeError, body: Body) -> AstradeError:
    error.details = {**error.details, "order": body}
    return error


def reason_of(error: AstradeError) -> str:
    """What an order's history calls a venue's refusal or silence."""
    cause = getattr(error, "cause", None) or getattr(error, "venue_code", None) or type(error).__name__
    return f"venue:{cause}"[:64]


def request_cancel(batch: Batch, orders: Iterable[OrderState]) -> list[str]:
    """Note in the booking's transaction that these live orders are to end; returns what `send_cancel` then takes."""
    wanted = VenueOrder.objects.filter(order_id__in=[order.id for order in orders if order.is_live])
    wanted.filter(cancel_requested_at=None).update(cancel_requested_at=batch.now)
    return list(wanted.order_by("pk").values_list("external_id", flat=True))


def cancel_all(
    batch: Batch, orders: Sequence[OrderState], *, board: Board, reason: str
) -> tuple[Sequence[OrderState], list[str]]:
    """Cancel orders: those that are decided here end, for those at a venue it is noted that they are to. Returns the
    orders, and what `send_cancel` then takes.
    """
    here = [order for order in orders if order.twap or not batch.account.is_live]
    ended = end_orders(batch, here, to=OrderStatus.CANCELLED, board=board, reason=reason)
    if batch.account.is_live:
        return orders, request_cancel(batch, orders)
    return ended, []


def send_cancel(account_id: int, external_ids: Sequence[str]) -> None:
    """Ask the venue for the orders' end; its reports tell what came of it. Call it outside any transaction.

    A cancel may be sent any number of times, so nothing that happens to it here matters: `reconciling.sync_account`
    repeats it while the order lives, also where it overtook the order itself.
    """
    if not external_ids:
        return
    try:
        venue_account(account_id).cancel(external_ids)
    except VenueError as error:
        logger.warning("cancel_to_be_repeated", extra={"account": account_id, "reason": reason_of(error)})
