"""Extended's deposits, withdrawals and transfers as trading sees them (extended-api.md §6, §8).

What is paid out has no id of ours at the venue: what is sent is told from others by its nonce, whose settlement the
venue carries out once, and found again in the account's operations by the venue's id, or by amount and time where that
was lost. On Starknet the venue pays to the wallet linked with the account alone and refuses every other address (1608).
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta

from accounts.services.stark_keys import signer_of
from accounts.services.venue_connections import VenueAccess
from astrade.core.clock import from_ms, to_ms
from astrade.venues.errors import InvalidSignature, Unavailable, Unknown
from astrade.venues.extended import account_calls, account_wire, order_calls
from astrade.venues.extended.client import client_of
from astrade.venues.extended.funds import (
    COLLATERAL_ID,
    WITHDRAWAL_SETTLES_AFTER_S,
    WITHDRAWAL_SETTLES_WITHIN_S,
    UnsignedTransfer,
    UnsignedWithdrawal,
    unsigned_transfer,
    unsigned_withdrawal,
)
from astrade.venues.extended.profiles import profile_of
from astrade.venues.extended.signing import Signature, verifies
from astrade.venues.extended.tickets import Signer
from astrade.venues.extended.wire import OperationStatus, OperationType
from trading.domain.reports import MovementKind, MovementStatus, ShownMovement
from trading.venues.base import DepositChain, OutgoingTransfer, OutgoingWithdrawal, SigningRequest

logger = logging.getLogger(__name__)
PAGE = 50
CLOCKS_DIFFER_BY = timedelta(minutes=1)
KINDS = {
    OperationType.DEPOSIT: MovementKind.DEPOSIT,
    OperationType.CLAIM: MovementKind.CLAIM,
    OperationType.TRANSFER: MovementKind.TRANSFER,
    OperationType.WITHDRAWAL: MovementKind.WITHDRAWAL,
    OperationType.FAST_WITHDRAWAL: MovementKind.WITHDRAWAL,
    OperationType.SLOW_WITHDRAWAL: MovementKind.WITHDRAWAL,
}
SIGNS = {MovementKind.DEPOSIT: 1, MovementKind.CLAIM: 1, MovementKind.WITHDRAWAL: -1}
STATUSES = {
    OperationStatus.COMPLETED: MovementStatus.COMPLETED,
    OperationStatus.PROCESSED: MovementStatus.COMPLETED,
    OperationStatus.REJECTED: MovementStatus.REJECTED,
}  # all else is on its way


class ExtendedFunds:
    """`VenueFunds` at Extended, by a connection that the server signs for, or its user."""

    def __init__(self, access: VenueAccess) -> None:
        self._access = access
        self._profile = profile_of(access.network)
        self._client = client_of(self._profile)
        self._signer = Signer(access.vault, access.public_key, self._profile.domain)

    def movements_since(self, since: datetime) -> Sequence[ShownMovement]:
        """All pages; movements of other assets than the collateral are left out."""
        found: list[account_wire.Operation] = []
        cursor: int | None = None
        while True:
            call = account_calls.operations(from_ms=to_ms(since), cursor=cursor, limit=PAGE)
            page = self._client.send(call, self._access.access)
            found += page.rows
            if page.cursor is None or not page.rows:
                break
            cursor = page.cursor
        shown = [movement_of(row) for row in found if row.asset in (None, COLLATERAL_ID)]
        return sorted(shown, key=lambda movement: movement.at)

    def withdraw(self, withdrawal: OutgoingWithdrawal) -> str:
        """What keeps it from being signed is Unavailable: nothing left. The user's own signature is verified first."""
        unsigned = self._unsigned(withdrawal)
        signature = withdrawal.signature
        if signature is None:
            signature = self._signed(unsigned)
        elif not verifies(self._access.public_key, unsigned.hash, signature):
            raise InvalidSignature
        return str(self._client.send(order_calls.withdraw(unsigned.body(signature)), self._access.access))

    def transfer(self, transfer: OutgoingTransfer) -> str:
        """As `withdraw`. Taken without an id it is Unknown."""
        with _nothing_left():
            unsigned = unsigned_transfer(
                signer=self._signer,
                recipient_vault=transfer.vault,
                recipient_key=transfer.public_key,
                amount=transfer.amount,
                nonce=transfer.nonce,
                now=transfer.signed_at,
            )
        call = order_calls.transfer(unsigned.body(self._signed(unsigned)))
        taken = self._client.send(call, self._access.access)
        if taken.id is None:
            raise Unknown("no id")
        return str(taken.id)

    def to_sign(self, withdrawal: OutgoingWithdrawal) -> SigningRequest:
        """The message of the settlement with its hash (extended-api.md §11.2, §11.8)."""
        unsigned = self._unsigned(withdrawal)
        return SigningRequest(
            hash=unsigned.hash,
            message=asdict(unsigned.message),
            domain=asdict(self._profile.domain),
            public_key=self._access.public_key,
        )

    def sendable_before(self, signed_at: datetime) -> datetime:
        """A day later, less what clocks may differ by (extended-api.md §8, §11.5)."""
        return (
            signed_at + timedelta(seconds=WITHDRAWAL_SETTLES_WITHIN_S - WITHDRAWAL_SETTLES_AFTER_S) - CLOCKS_DIFFER_BY
        )

    def _unsigned(self, withdrawal: OutgoingWithdrawal) -> UnsignedWithdrawal:
        with _nothing_left():
            return unsigned_withdrawal(
                signer=self._signer,
                account_id=self._access.account_id,
                recipient=withdrawal.recipient,
                amount=withdrawal.amount,
                nonce=withdrawal.nonce,
                now=withdrawal.signed_at,
            )

    def _signed(self, unsigned: UnsignedWithdrawal | UnsignedTransfer) -> Signature:
        with _nothing_left(), signer_of(self._access.stark_key) as signer:
            return signer.sign(unsigned.hash)

    def claim(self) -> str:
        """1,000 an hour for a wallet, on the testnet; what is too early the venue refuses with its own words."""
        return str(self._client.send(order_calls.claim(), self._access.access).id)

    def deposit_chains(self) -> Sequence[DepositChain]:
        """From the bridge's configuration; from Starknet itself money comes by the user's own contract call."""
        config = self._client.send(account_calls.bridge_config(), self._access.access)
        return [DepositChain(chain=one.chain, contract=one.contract_address) for one in config.chains]


@contextmanager
def _nothing_left() -> Iterator[None]:
    """What can't be signed is Unavailable."""
    try:
        yield
    except ValueError as exc:
        logger.exception("payment_not_signed")
        raise Unavailable("not signed") from exc


def movement_of(row: account_wire.Operation) -> ShownMovement:
    """An operation in our words. Which sign an outflow has is known from a sample only, so its type decides."""
    kind = KINDS.get(row.type, MovementKind.OTHER)
    sign = SIGNS.get(kind)
    return ShownMovement(
        movement_id=str(row.id),
        kind=kind,
        status=STATUSES.get(row.status, MovementStatus.PENDING),
        amount=row.amount if sign is None else sign * abs(row.amount),
        fee=row.fee,
        at=from_ms(row.time),
        counterparty=None if row.counterparty_account_id is None else str(row.counterparty_account_id),
    )
