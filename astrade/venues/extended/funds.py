"""Transfers and withdrawals of collateral from wish to body (extended-api.md §8, §11.5, §11.7, §11.8). Pure.

unsigned = unsigned_transfer(…, now=clock())        raises Unsignable of `signing`
body = unsigned.body(sign(key, unsigned.hash))      for order_calls.transfer, order_calls.withdraw
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from astrade.core.clock import to_us
from astrade.core.money import plain
from astrade.venues.extended.signing import (
    Signature,
    TransferMessage,
    Unsignable,
    WithdrawalMessage,
    hash_of,
    scaled,
)
from astrade.venues.extended.tickets import Signer

Body = dict[str, Any]
COLLATERAL, COLLATERAL_ID, COLLATERAL_RESOLUTION = "USD", 1, 1_000_000
DAY_S = 86_400
TRANSFER_SETTLES_WITHIN_S = 21 * DAY_S
WITHDRAWAL_SETTLES_WITHIN_S = 15 * DAY_S
WITHDRAWAL_SETTLES_AFTER_S = 14 * DAY_S  # what is signed has to hold for so long yet when it arrives (1604)
STARKNET = "STRK"


@dataclass(frozen=True, slots=True)
class UnsignedTransfer:
    """A transfer whose signature, the sender's, is still to come."""

    message: TransferMessage
    signer: Signer
    recipient_key: int
    amount: Decimal

    @property
    def hash(self) -> int:
        """What is signed. Raises Unsignable."""
        return hash_of(self.message, public_key=self.signer.public_key, domain=self.signer.domain)

    def body(self, signature: Signature) -> Body:
        """What is posted."""
        message = self.message
        return {
            "fromVault": message.sender_position_id,
            "toVault": message.recipient_position_id,
            "amount": plain(self.amount),
            "transferredAsset": hex(message.collateral_id),
            "settlement": {
                "amount": message.amount,
                "assetId": hex(message.collateral_id),
                "expirationTimestamp": message.expiration_s,
                "nonce": message.salt,
                "receiverPositionId": message.recipient_position_id,
                "receiverPublicKey": hex(self.recipient_key),
                "senderPositionId": message.sender_position_id,
                "senderPublicKey": hex(self.signer.public_key),
                "signature": _signature(signature),
            },
        }


@dataclass(frozen=True, slots=True)
class UnsignedWithdrawal:
    """A withdrawal whose signature is still to come."""

    message: WithdrawalMessage
    signer: Signer
    account_id: int
    amount: Decimal
    chain: str
    quote_id: str | None

    @property
    def hash(self) -> int:
        """What is signed. Raises Unsignable."""
        return hash_of(self.message, public_key=self.signer.public_key, domain=self.signer.domain)

    def body(self, signature: Signature) -> Body:
        """What is posted, nulls included."""
        message = self.message
        return {
            "accountId": self.account_id,
            "amount": plain(self.amount),
            "description": None,
            "settlement": {
                "recipient": hex(message.recipient),
                "positionId": message.position_id,
                "collateralId": hex(message.collateral_id),
                "amount": message.amount,
                "expiration": {"seconds": message.expiration_s},
                "salt": message.salt,
                "signature": _signature(signature),
            },
            "chainId": self.chain,
            "quoteId": self.quote_id,
            "asset": COLLATERAL,
        }


def unsigned_transfer(
    *, signer: Signer, recipient_vault: int, recipient_key: int, amount: Decimal, nonce: int, now: datetime
) -> UnsignedTransfer:
    """Collateral from the signer's vault to another of the same client. Raises Unsignable."""
    message = TransferMessage(
        recipient_position_id=recipient_vault,
        sender_position_id=signer.vault,
        collateral_id=COLLATERAL_ID,
        amount=_quanta(amount),
        expiration_s=_expiration_s(now, within_s=TRANSFER_SETTLES_WITHIN_S),
        salt=nonce,
    )
    return UnsignedTransfer(message, signer, recipient_key, amount)


def unsigned_withdrawal(
    *,
    signer: Signer,
    account_id: int,
    recipient: int,
    amount: Decimal,
    nonce: int,
    now: datetime,
    chain: str = STARKNET,
    quote_id: str | None = None,
) -> UnsignedWithdrawal:
    """Collateral to a linked address: on Starknet the client's wallet, on another chain (with a committed quote) the
    account's bridge address. Raises Unsignable.
    """
    message = WithdrawalMessage(
        recipient=recipient,
        position_id=signer.vault,
        collateral_id=COLLATERAL_ID,
        amount=_quanta(amount),
        expiration_s=_expiration_s(now, within_s=WITHDRAWAL_SETTLES_WITHIN_S),
        salt=nonce,
    )
    return UnsignedWithdrawal(message, signer, account_id, amount, chain, quote_id)


def _quanta(amount: Decimal) -> int:
    """The amount in the collateral's units, of which it must be a whole number above 0."""
    units = scaled(amount, COLLATERAL_RESOLUTION, rounding="ROUND_FLOOR")
    if units <= 0 or Decimal(units) != amount * COLLATERAL_RESOLUTION:
        raise Unsignable("an amount is not a whole number of millionths above 0")
    return units


def _expiration_s(now: datetime, *, within_s: int) -> int:
    return -(-to_us(now) // 1_000_000) + within_s


def _signature(signature: Signature) -> Body:
    return {"r": hex(signature.r), "s": hex(signature.s)}
