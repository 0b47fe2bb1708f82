"""What a payment is sent with, and what keeps it from being sent: who signs, where to, by which keys."""

from dataclasses import dataclass
from datetime import datetime

from accounts.models import CredentialState, Signing, UserState, VenueCredential
from accounts.stark import from_hex
from astrade.venues.extended.signing import Signature
from trading.domain.batch import Batch
from trading.models import PreparedWithdrawal, TradingAccount, VenueTransfer, Withdrawal
from trading.selectors import signing_of
from trading.services.payments import Payment
from trading.venues.base import OutgoingTransfer, OutgoingWithdrawal

OutgoingPayment = OutgoingWithdrawal | OutgoingTransfer
EXPIRED = "signature_expired"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why it isn't sent: `reason` for its history, `message` for its owner."""

    reason: str
    message: str = ""


def obstacle_to(batch: Batch, row: Payment) -> Obstacle | None:
    """Whether a payment can be sent any more, under its account's lock."""
    if batch.account.user_state != UserState.ACTIVE or batch.account.state != TradingAccount.State.ACTIVE:
        return Obstacle("account_not_active")
    public_key, signing = signing_of(row.account_id)
    if public_key is None:
        return Obstacle("not_connected")
    if isinstance(row, VenueTransfer):
        return _obstacle_to_transfer(row, signing=signing)
    if row.address.removed_at is not None:
        return Obstacle("address_removed")
    prepared = _prepared_for(row)
    if prepared is None:
        return None if signing == Signing.DELEGATED else Obstacle("not_connected")
    if prepared.stark_public_key != public_key:
        return Obstacle("not_connected", "It was signed with another key.")
    if batch.now >= prepared.send_before:
        return Obstacle(EXPIRED, "What was signed expired before it could be sent: prepare it again.")
    return None


def _obstacle_to_transfer(row: VenueTransfer, *, signing: str) -> Obstacle | None:
    if signing != Signing.DELEGATED or _receiver_of(row) is None:
        return Obstacle("not_connected")
    return None


def outgoing_of(row: Payment, *, now: datetime) -> OutgoingPayment:
    """As it goes out; nothing stands in its way, and its nonce is committed with `now`."""
    assert row.nonce is not None
    if isinstance(row, VenueTransfer):
        receiver = _receiver_of(row)
        assert receiver is not None
        return OutgoingTransfer(
            vault=receiver.vault,
            public_key=int(receiver.stark_key.public_key, 16),
            amount=row.amount,
            nonce=row.nonce,
            signed_at=now,
        )
    prepared = _prepared_for(row)
    return OutgoingWithdrawal(
        recipient=int(row.address.address, 16),
        amount=row.amount,
        nonce=row.nonce,
        signed_at=now if prepared is None else prepared.prepared_at,
        signature=None if prepared is None else signature_of(prepared),
    )


def signature_of(row: PreparedWithdrawal) -> Signature:
    """What its user signed it with."""
    r, s = from_hex(row.signature_r or ""), from_hex(row.signature_s or "")
    assert r is not None and s is not None
    return Signature(r, s)


def _prepared_for(row: Withdrawal) -> PreparedWithdrawal | None:
    return PreparedWithdrawal.objects.filter(withdrawal=row).first()


def _receiver_of(row: VenueTransfer) -> VenueCredential | None:
    """By what the receiving account is connected."""
    connected = VenueCredential.objects.filter(trading_accounts=row.transfer.to_account_id)
    return connected.filter(state=CredentialState.ACTIVE).select_related("stark_key").first()
