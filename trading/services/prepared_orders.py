"""Orders for their users to sign: decided as if they were placed, kept with all that is signed, and placed once.

body = prepare_order(account=…, symbol=…, request=…)        values and hash; nothing is reserved or sent
place_order(…, signed=Signed(prepared, signature))          the same request, within `SUBMITTED_WITHIN`
"""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction

from accounts.models import Signing
from astrade.core.clock import to_ms
from astrade.core.money import plain
from trading.domain.admission import check_offered
from trading.domain.state import OrderRequest
from trading.loading import AccountRef
from trading.models import PreparedOrder, VenueOrder
from trading.services.orders import fingerprint_of
from trading.services.previews import draft_of
from trading.services.risk_days import opens_risk_day
from trading.services.signed_orders import check_user_signs
from trading.services.venue_orders import DRAWS_MAX, new_nonce, outgoing_of, signing_venue, values_to_sign
from trading.venues.base import Outgoing, SigningRequest, VenueAccount

SUBMITTED_WITHIN = timedelta(seconds=60)
KEPT = timedelta(days=1)  # after its end; nothing was sent with it


@opens_risk_day
def prepare_order(
    *, account: AccountRef, symbol: str, request: OrderRequest, draw: Callable[[], int] = new_nonce
) -> dict[str, Any]:
    """What the user signs for an order, as it would be admitted now; raises the refusal that it would get.

    Nothing is reserved: it is admitted again when it is placed. Each call takes another nonce. Asks the venue for the
    market's terms where they aren't known. Call it outside any transaction.
    """
    number = uuid.uuid4()
    if not request.client_order_id:
        request = replace(request, client_order_id=number.hex)
    check_offered(request)
    draft = draft_of(account, symbol, request)
    batch = draft.batch
    check_user_signs(batch.account, request)
    venue = signing_venue(batch.account, by=Signing.USER_SIGNED)
    order = draft.admit(request)
    values = values_to_sign(order, terms=draft.terms, view=draft.view, now=batch.now)
    row = PreparedOrder(
        uuid=number,
        account_id=batch.account.id,
        stark_public_key=venue.public_key,
        fingerprint=fingerprint_of(draft.terms, request),
        price=values.price,
        fee_rate=values.fee_rate,
        expires_at=values.expires_at,
        submit_before=batch.now + SUBMITTED_WITHIN,
    )
    outgoing = outgoing_of(order, values, terms=draft.terms, nonce=0)
    wanted = _keep(row, outgoing, venue, draw=draw)
    return _body(row, replace(outgoing, nonce=row.nonce), wanted, client_order_id=request.client_order_id)


def _keep(row: PreparedOrder, outgoing: Outgoing, venue: VenueAccount, *, draw: Callable[[], int]) -> SigningRequest:
    """Write the row with a nonce that its key never signed with, and was never asked to; drawn again while it was."""
    for _ in range(DRAWS_MAX):
        row.nonce = draw()
        wanted = venue.to_sign(replace(outgoing, nonce=row.nonce))
        row.hash = hex(wanted.hash)
        if VenueOrder.objects.filter(stark_public_key=row.stark_public_key, nonce=row.nonce).exists():
            continue
        try:
            with transaction.atomic():
                _forget_old(row)
                row.save(force_insert=True)
        except IntegrityError:
            continue
        return wanted
    raise IntegrityError(f"{DRAWS_MAX} nonces were all used before")


def _forget_old(row: PreparedOrder) -> None:
    unplaced = PreparedOrder.objects.filter(account_id=row.account_id, order=None)
    unplaced.filter(submit_before__lt=row.submit_before - KEPT).delete()


def _body(row: PreparedOrder, order: Outgoing, wanted: SigningRequest, *, client_order_id: str) -> dict[str, Any]:
    return {
        "prepared": row.uuid,
        "submit_before": to_ms(row.submit_before),
        "client_order_id": client_order_id,
        "symbol": order.symbol,
        "side": order.side,
        "type": order.type,
        "quantity": plain(order.quantity),
        "price": plain(order.price),
        "fee_rate": plain(order.fee_rate),
        "nonce": str(order.nonce),
        "expires_at": to_ms(order.expires_at),
        "stark_public_key": row.stark_public_key,
        "domain": wanted.domain,
        "message": {name: str(value) for name, value in wanted.message.items()},
        "hash": row.hash,
    }
