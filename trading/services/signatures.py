"""What comes with its user's signature: held against what was prepared, once (DESIGN §6, `user_signed`).

The checks inside a request's own booking; `trading.services.preparing` hands out what is signed.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from astrade.core.errors import ValidationFailed
from astrade.venues.errors import InvalidSignature
from astrade.venues.extended.signing import Signature, verifies
from trading.models.prepared import Prepared


@dataclass(frozen=True, slots=True)
class Signed:
    """Which prepared request this is, and its user's signature."""

    prepared: UUID
    signature: Signature


def check_signed(row: Prepared, signature: Signature, *, fingerprint: str, public_key: str, now: datetime) -> None:
    """Whether the request that has this fingerprint is what was prepared and signed, with the key that the account is
    connected by. The caller holds the account's lock, and marks the row as spent.

    Raises ValidationFailed for one that was placed, has expired or is not what is asked for now, and InvalidSignature.
    """
    if row.is_spent:
        raise _refused("It was placed before.")
    if now > row.submit_before:
        raise _refused("It has expired: prepare it again.")
    if row.fingerprint != fingerprint or row.stark_public_key != public_key:
        raise _refused("Not what was prepared.")
    if not verifies(int(public_key, 16), int(row.hash, 16), signature):
        raise InvalidSignature(details={"fields": {"signature": ["Not your key's signature of the prepared hash."]}})


def _refused(message: str) -> ValidationFailed:
    return ValidationFailed(details={"fields": {"prepared": [message]}})
