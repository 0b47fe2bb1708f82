"""Withdrawals that come with their user's signature, which waits beside them until they are sent.

Here is the part inside the withdrawal's own booking; `trading.services.prepared_withdrawals` prepares.
"""

import hashlib
from datetime import datetime

from accounts.stark import as_hex
from astrade.core.errors import NotFound
from astrade.core.money import plain
from trading.models import PreparedWithdrawal, Withdrawal
from trading.services.signatures import Signed, check_signed


def fingerprint_of(row: Withdrawal) -> str:
    """SHA-256 of what was asked for, spelled one way: to which address how much goes."""
    return hashlib.sha256(f"{row.address.uuid}|{row.asset}|{plain(row.amount)}".encode()).hexdigest()


def save_signed(made: Withdrawal, signed: Signed, *, public_key: str, now: datetime) -> None:
    """Write a new withdrawal with the prepared values that it is sent with; from then on they are spent.

    The caller holds the account's lock. Raises NotFound, and as `check_signed`.
    """
    row = PreparedWithdrawal.objects.filter(account_id=made.account_id, uuid=signed.prepared).first()
    if row is None:
        raise NotFound("No such prepared withdrawal")
    check_signed(row, signed.signature, fingerprint=fingerprint_of(made), public_key=public_key, now=now)
    made.stark_public_key, made.nonce = row.stark_public_key, row.nonce
    made.save(force_insert=True)
    row.withdrawal = made
    row.signature_r, row.signature_s = as_hex(signed.signature.r), as_hex(signed.signature.s)
    row.save(update_fields=["withdrawal", "signature_r", "signature_s"])
