"""Orders that come with their user's signature: held against what was prepared, once (DESIGN §6, `user_signed`).

Here is the part inside the order's own booking; `trading.services.prepared_orders` prepares.
"""

from dataclasses import dataclass
from uuid import UUID

from accounts.models import Signing
from astrade.core.errors import NotFound, OrderTypeNotOffered, ValidationFailed
from astrade.venues.errors import InvalidSignature
from astrade.venues.extended.signing import Signature, verifies
from trading.domain.batch import Batch
from trading.domain.state import AccountState, OrderRequest, OrderState
from trading.models import PreparedOrder


@dataclass(frozen=True, slots=True)
class Signed:
    """Which prepared order is placed, and its user's signature."""

    prepared: UUID
    signature: Signature


def check_user_signs(account: AccountState, request: OrderRequest) -> None:
    """Raises OrderTypeNotOffered for an account whose orders nobody signs, and for what takes more than one signature:
    an order with its own take profit or stop loss, or with slices.
    """
    if not account.is_live:
        raise OrderTypeNotOffered("Orders on this account are not signed", details={"venue": account.venue})
    several = [name for name in ("take_profit", "stop_loss", "twap") if getattr(request, name) is not None]
    if several:
        raise OrderTypeNotOffered(details={"signing": Signing.USER_SIGNED, "not_offered": several})


def take_prepared(batch: Batch, order: OrderState, signed: Signed, *, public_key: str) -> PreparedOrder:
    """The prepared values that this order is sent with; from then on they are spent.

    The caller holds the account's lock. Raises NotFound, ValidationFailed for one that was placed, has expired or is
    not what is placed now, and InvalidSignature, verified with the key that the account is connected by.
    """
    row = PreparedOrder.objects.filter(account_id=batch.account.id, uuid=signed.prepared).first()
    if row is None:
        raise NotFound("No such prepared order")
    if row.order_id is not None:
        raise _refused("It was placed before.")
    if batch.now > row.submit_before:
        raise _refused("It has expired: prepare it again.")
    if row.fingerprint != order.fingerprint or row.stark_public_key != public_key:
        raise _refused("Not what was prepared.")
    if not verifies(int(public_key, 16), int(row.hash, 16), signed.signature):
        raise InvalidSignature(details={"fields": {"signature": ["Not your key's signature of the prepared hash."]}})
    row.order_id = order.id
    row.save(update_fields=["order"])
    return row


def _refused(message: str) -> ValidationFailed:
    return ValidationFailed(details={"fields": {"prepared": [message]}})
