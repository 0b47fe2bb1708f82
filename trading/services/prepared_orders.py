"""Orders for their users to sign: decided as if they were placed, kept with all that is signed, and placed once.

body = prepare_order(account=…, symbol=…, request=…)        values and hash; nothing is reserved or sent
place_order(…, signed=Signed(prepared, signature))          the same request, within `SUBMITTED_WITHIN`
"""

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from accounts.models import Signing
from astrade.core.clock import to_ms
from astrade.core.money import plain
from trading.domain.admission import check_offered
from trading.domain.state import OrderRequest
from trading.loading import AccountRef
from trading.models import PreparedOrder, VenueOrder
from trading.services.orders import fingerprint_of
from trading.services.preparing import SUBMITTED_WITHIN, keep_prepared, signing_body
from trading.services.previews import draft_of
from trading.services.risk_days import opens_risk_day
from trading.services.signed_orders import check_user_signs
from trading.services.venue_orders import new_nonce, outgoing_of, signing_venue, values_to_sign
from trading.venues.base import Outgoing, SigningRequest


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
    wanted = keep_prepared(
        row,
        lambda nonce: venue.to_sign(replace(outgoing, nonce=nonce)),
        signed_before=VenueOrder.objects.all(),
        draw=draw,
    )
    return _body(row, outgoing, wanted, client_order_id=request.client_order_id)


def _body(row: PreparedOrder, order: Outgoing, wanted: SigningRequest, *, client_order_id: str) -> dict[str, Any]:
    return signing_body(row, wanted) | {
        "client_order_id": client_order_id,
        "symbol": order.symbol,
        "side": order.side,
        "type": order.type,
        "quantity": plain(order.quantity),
        "price": plain(order.price),
        "fee_rate": plain(order.fee_rate),
        "expires_at": to_ms(order.expires_at),
    }
