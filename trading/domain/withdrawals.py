"""Withdrawals from live accounts: their states, the rules of asking for one, and what the venue's history may mean.

Pure: no database, no clock, no network. The venue pays on Starknet only (extended-api.md §8).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from accounts.stark import from_hex
from astrade.core import errors
from astrade.core.clock import to_ms
from astrade.core.money import ZERO, floor_cash, plain
from trading.domain.admission import check_account
from trading.domain.batch import Batch
from trading.domain.bodies import Body, text_of
from trading.domain.funds import check_valued, tell_balance
from trading.domain.holds import place_hold
from trading.domain.lifecycle import HoldPurpose
from trading.domain.margin import Board, summarise

STARKNET_ADDRESS_BELOW = 2**251 - 256  # of a contract; 0 and 1 are the network's own
ADDRESS_MIN = 2
ON_THE_WAY_MAX = 12  # amounts that `possible_sums` looks at: 4,096 sums


class WithdrawalState(StrEnum):
    """`requested` needs nobody's approval; with `approved` it waits to be sent, or is being sent."""

    REQUESTED = "requested"
    AWAITING_APPROVAL = "awaiting_approval"
    APPROVED = "approved"
    SENT = "sent"
    UNKNOWN = "unknown"
    SETTLED = "settled"
    FAILED = "failed"
    CANCELLED = "cancelled"


S = WithdrawalState
_ENDS = frozenset({S.SENT, S.UNKNOWN, S.SETTLED, S.FAILED})
TRANSITIONS: Mapping[WithdrawalState, frozenset[WithdrawalState]] = {
    S.REQUESTED: _ENDS | {S.CANCELLED},
    S.AWAITING_APPROVAL: frozenset({S.APPROVED, S.FAILED, S.CANCELLED}),
    S.APPROVED: _ENDS | {S.CANCELLED},
    S.SENT: frozenset({S.SETTLED, S.FAILED}),
    S.UNKNOWN: frozenset({S.SENT, S.SETTLED, S.FAILED}),  # the answer was lost; only the venue can end this
    S.FAILED: frozenset({S.SETTLED}),  # on the venue's evidence only, and opens a case
    S.SETTLED: frozenset(),
    S.CANCELLED: frozenset(),
}
TO_BE_SENT = frozenset({S.REQUESTED, S.APPROVED})
UNANSWERED = TO_BE_SENT | {S.UNKNOWN}  # once it was signed, and until the venue gave it an id
OPEN = UNANSWERED | {S.AWAITING_APPROVAL, S.SENT}


class IllegalWithdrawalMove(ValueError):
    """A move that the table doesn't have."""


def advance(current: str, to: WithdrawalState) -> WithdrawalState:
    """`to`, if the table lets a withdrawal get there; raises IllegalWithdrawalMove."""
    if to not in TRANSITIONS[WithdrawalState(current)]:
        raise IllegalWithdrawalMove(f"{current} to {to}")
    return to


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
) -> WithdrawalState:
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
    check_valued(batch.account, board, now=batch.now, stale_after_s=stale_after_s)
    withdrawable = floor_cash(summarise(batch.account, board).withdrawable)
    if amount > withdrawable:
        raise errors.InsufficientWithdrawable(details={"amount": amount, "withdrawable": withdrawable})
    place_hold(batch, amount=amount, purpose=HoldPurpose.WITHDRAWAL, reference=reference)
    tell_balance(batch, board)
    needs_approval = asked_today + amount > rules.approval_above
    return S.AWAITING_APPROVAL if needs_approval else S.REQUESTED


def starknet_address(text: str) -> int | None:
    """The address that hexadecimal text with `0x` names; None for what is no address of a contract."""
    value = from_hex(text) if text.startswith(("0x", "0X")) else None
    return value if value is not None and ADDRESS_MIN <= value < STARKNET_ADDRESS_BELOW else None


def possible_sums(amounts: Iterable[Decimal]) -> set[Decimal]:
    """What of these amounts may have left, any of them or none: the venue's balance shows each at its own moment."""
    sums = {ZERO}
    for amount in sorted(amounts)[:ON_THE_WAY_MAX]:
        sums |= {total + amount for total in sums}
    return sums


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
    def venue_withdrawal_id(self) -> str | None: ...
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
        "venue_withdrawal_id": row.venue_withdrawal_id,
        "created_at": to_ms(row.requested_at),
        "sent_at": None if row.signed_at is None else to_ms(row.signed_at),
        "ended_at": None if row.ended_at is None else to_ms(row.ended_at),
    }
