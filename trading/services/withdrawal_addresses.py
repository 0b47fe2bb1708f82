"""Where a user's withdrawals may go: added with a second factor, usable a day later, removed at once."""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.services import two_factor
from accounts.services.locks import locked_user
from astrade.core import audit
from astrade.core.errors import NotFound, ValidationFailed, VersionConflict
from astrade.venues.extended.profiles import Network
from trading import selectors
from trading.domain.withdrawals import starknet_address
from trading.models import WithdrawalAddress

ADDRESSES_MAX = 50  # of one user on one network


def add_address(
    user_id: int, *, network: Network, address: str, label: str, code: str | None, now: datetime
) -> WithdrawalAddress:
    """A new address, usable after the cool-down (`WITHDRAWAL_ADDRESS_COOL_DOWN_H`). Locks the user.

    Spends the second factor's `code`, whether or not the address comes to be. Raises TwoFactorRequired,
    TwoFactorInvalid, ValidationFailed for what is no address of a contract on Starknet or one too many,
    VersionConflict where it is listed already.
    """
    value = starknet_address(address)
    if value is None:
        raise ValidationFailed(details={"fields": {"address": ["Not an address on Starknet."]}})
    two_factor.require_fresh(user_id, code=code, now=now)
    try:
        with transaction.atomic():
            user = locked_user(user_id)
            if selectors.withdrawal_addresses_of(user_id).filter(network=network).count() >= ADDRESSES_MAX:
                raise ValidationFailed(details={"fields": {"address": [f"At most {ADDRESSES_MAX} on one network."]}})
            row = WithdrawalAddress.objects.create(
                user=user,
                network=network,
                address=hex(value),
                label=label,
                added_at=now,
                usable_at=now + timedelta(hours=settings.WITHDRAWAL_ADDRESS_COOL_DOWN_H),
            )
            after = {"network": row.network, "address": row.address}
            audit.record("withdrawal_address.added", actor_id=user_id, subject=row, after=after)
    except IntegrityError as exc:
        raise VersionConflict("This address is listed already", details={"address": hex(value)}) from exc
    return row


@transaction.atomic
def remove_address(user_id: int, *, address: UUID, now: datetime) -> WithdrawalAddress:
    """Take an address off the list at once; a withdrawal to it that was not sent yet will fail. Locks the user.

    Raises NotFound.
    """
    locked_user(user_id)
    row = selectors.withdrawal_addresses_of(user_id).filter(uuid=address).first()
    if row is None:
        raise NotFound
    row.removed_at = now
    row.save(update_fields=["removed_at"])
    after = {"network": row.network, "address": row.address}
    audit.record("withdrawal_address.removed", actor_id=user_id, subject=row, after=after)
    return row
