"""Money that a live account pays out by a signature: withdrawals, and transfers to another account of its user. Their
states, and what the venue's history may mean. Pure: no database, no clock, no network.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from astrade.core.clock import to_ms
from astrade.core.money import ZERO

ARRIVES_WITHIN = timedelta(hours=1)  # of its deadline: later nothing of a request is on its way any more
ON_THE_WAY_MAX = 12  # amounts that `possible_sums` looks at: 4,096 sums


class PaymentState(StrEnum):
    """`requested` needs nobody's approval; with `approved` it waits to be sent, or is being sent. A transfer is never
    one for approval or to be cancelled.
    """

    REQUESTED = "requested"
    AWAITING_APPROVAL = "awaiting_approval"
    APPROVED = "approved"
    SENT = "sent"
    UNKNOWN = "unknown"
    SETTLED = "settled"
    FAILED = "failed"
    CANCELLED = "cancelled"


S = PaymentState
_ENDS = frozenset({S.SENT, S.UNKNOWN, S.SETTLED, S.FAILED})
TRANSITIONS: Mapping[PaymentState, frozenset[PaymentState]] = {
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


class IllegalPaymentMove(ValueError):
    """A move that the table doesn't have."""


def advance(current: str, to: PaymentState) -> PaymentState:
    """`to`, if the table lets a payment get there; raises IllegalPaymentMove."""
    if to not in TRANSITIONS[PaymentState(current)]:
        raise IllegalPaymentMove(f"{current} to {to}")
    return to


def possible_sums(amounts: Iterable[Decimal]) -> set[Decimal]:
    """What of these amounts may have left, any of them or none: the venue's balance shows each at its own moment."""
    sums = {ZERO}
    for amount in sorted(amounts)[:ON_THE_WAY_MAX]:
        sums |= {total + amount for total in sums}
    return sums


def moment(at: datetime | None) -> int | None:
    """Milliseconds, if it has come to that."""
    return None if at is None else to_ms(at)
