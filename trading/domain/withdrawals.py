"""Withdrawals from live accounts: the rules of asking for one, and what their owners are shown.

Pure: no database, no clock, no network. The venue pays on Starknet only (extended-api.md §8).
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from accounts.stark import from_hex
from astrade.core import errors
from astrade.core.clock import to_ms
from astrade.core.money import plain
from trading.domain.admission import check_account
from trading.domain.batch import Batch
from trading.domain.bodies import Body, text_of
from trading.domain.funds import check_withdrawable, tell_balance
from trading.domain.holds import place_hold
from trading.domain.lifecycle import HoldPurpose
from trading.domain.margin import Board
from trading.domain.payments import PaymentState, moment

STARKNET_ADDRESS_BELOW = 2**251 - 256  # of a contract; 0 and 1 are the network's own
ADDRESS_MIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalRules:
    """Amounts in the account's currency: the least of one, the most a user and UTC day, and what a day may come to
    before staff has to approve.
    """

    minimum: Decimal
    daily_max: Decimal
    approval_above: Decimal


def admit(
    batch: Batch,
    *,
    amount: Decimal,
    asked_today: Decimal,
    rules: WithdrawalRules,
    board: Board,
    stale_after_s: float,
    reference: str,
) -> PaymentState:
    """Hold a withdrawal's amount and say how it begins. `asked_today`: what the user asked for before on this UTC day.

    Raises UserFrozen or AccountFrozen, AmountBelowMinimum, FundsLimitExceeded, MarketDataStale where a position can't
    be valued, InsufficientWithdrawable.
    """
    check_account(batch.account)
    if amount < rules.minimum:
        raise errors.AmountBelowMinimum(details={"amount": amount, "min": rules.minimum})
    if asked_today + amount > rules.daily_max:
        figures = {"amount": amount, "asked_today": asked_today, "max_a_day": rules.daily_max}
        raise errors.FundsLimitExceeded(details=figures)
    check_withdrawable(batch, amount=amount, board=board, stale_after_s=stale_after_s)
    place_hold(batch, amount=amount, purpose=HoldPurpose.WITHDRAWAL, reference=reference)
    tell_balance(batch, board)
    needs_approval = asked_today + amount > rules.approval_above
    return PaymentState.AWAITING_APPROVAL if needs_approval else PaymentState.REQUESTED


def starknet_address(text: str) -> int | None:
    """The address that hexadecimal text with `0x` names; None for what is no address of a contract."""
    value = from_hex(text) if text.startswith(("0x", "0X")) else None
    return value if value is not None and ADDRESS_MIN <= value < STARKNET_ADDRESS_BELOW else None


class WithdrawalLike(Protocol):
    """What a body shows of a withdrawal."""

    @property
    def uuid(self) -> UUID: ...
    @property
    def state(self) -> str: ...
    @property
    def amount(self) -> Decimal: ...
    @property
    def asset(self) -> str: ...
    @property
    def fee(self) -> Decimal | None: ...
    @property
    def reason(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def venue_movement_id(self) -> str | None: ...
    @property
    def requested_at(self) -> datetime: ...
    @property
    def signed_at(self) -> datetime | None: ...
    @property
    def ended_at(self) -> datetime | None: ...


def withdrawal_body(row: WithdrawalLike, *, account: UUID, address_id: UUID, address: str) -> Body:
    """A withdrawal as its owner sees it. `message` is the venue's own words where it refused."""
    return {
        "id": str(row.uuid),
        "account": str(account),
        "address_id": str(address_id),
        "address": address,
        "asset": row.asset,
        "amount": plain(row.amount),
        "fee": text_of(row.fee),
        "status": str(row.state),
        "reason": row.reason,
        "message": row.message,
        "venue_withdrawal_id": row.venue_movement_id,
        "created_at": to_ms(row.requested_at),
        "sent_at": moment(row.signed_at),
        "ended_at": moment(row.ended_at),
    }
