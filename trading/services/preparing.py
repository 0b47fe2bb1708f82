"""Handing out what users sign: kept with a nonce that their key never signed such a thing with, for a minute."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, models, transaction

from astrade.core.clock import to_ms
from trading.models.prepared import Prepared
from trading.services.venue_orders import DRAWS_MAX
from trading.venues.base import SigningRequest

SUBMITTED_WITHIN = timedelta(seconds=60)
KEPT = timedelta(days=1)  # after its end; nothing was sent with it


def keep_prepared(
    row: Prepared,
    to_sign: Callable[[int], SigningRequest],
    *,
    signed_before: models.QuerySet[Any],
    draw: Callable[[], int],
) -> SigningRequest:
    """Write the row with a nonce that its key never signed with (`signed_before`), and was never asked to; drawn again
    while it was. `to_sign` makes of a nonce what is signed.
    """
    for _ in range(DRAWS_MAX):
        row.nonce = draw()
        wanted = to_sign(row.nonce)
        row.hash = hex(wanted.hash)
        if signed_before.filter(stark_public_key=row.stark_public_key, nonce=row.nonce).exists():
            continue
        try:
            with transaction.atomic():
                _forget_old(row)
                row.save(force_insert=True)
        except IntegrityError:
            continue
        return wanted
    raise IntegrityError(f"{DRAWS_MAX} nonces were all used before")


def _forget_old(row: Prepared) -> None:
    unspent = type(row)._default_manager.filter(account_id=row.account_id, **{row.spent_by: None})
    unspent.filter(submit_before__lt=row.submit_before - KEPT).delete()


def signing_body(row: Prepared, wanted: SigningRequest) -> dict[str, Any]:
    """What the user's client is shown of it, whatever it is."""
    return {
        "prepared": row.uuid,
        "submit_before": to_ms(row.submit_before),
        "nonce": str(row.nonce),
        "stark_public_key": row.stark_public_key,
        "domain": wanted.domain,
        "message": {name: str(value) for name, value in wanted.message.items()},
        "hash": row.hash,
    }
