"""Orders that come with their user's signature: held against what was prepared, once (DESIGN §6, `user_signed`).

Here is the part inside the order's own booking; `trading.services.prepared_orders` prepares.
"""

from accounts.models import Signing
from astrade.core.errors import NotFound, OrderTypeNotOffered
from trading.domain.batch import Batch
from trading.domain.state import AccountState, OrderRequest, OrderState
from trading.models import PreparedOrder
from trading.services.signatures import Signed, check_signed


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
    check_signed(row, signed.signature, fingerprint=order.fingerprint, public_key=public_key, now=batch.now)
    row.order_id = order.id
    row.save(update_fields=["order"])
    return row
