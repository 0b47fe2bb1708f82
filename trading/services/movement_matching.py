"""Which payment of ours a line of the venue's history of funds is of: by the venue's id, or by amount and time one
whose id was never learnt.

Payments of one account and kind go out one by one, so at most one waits for its id; one that was called failed as not
found may have arrived late. Of one made elsewhere for the same amount at that time it can't be told apart, and each
line is booked once whichever of them it is taken for: withdrawals are all paid to the same linked wallet, and of
transfers the venue names the account at the other end.
"""

from datetime import timedelta
from decimal import Decimal

from django.db.models import QuerySet

from trading.domain.payments import ARRIVES_WITHIN, UNANSWERED, PaymentState
from trading.domain.reports import MovementKind, MovementStatus, ShownMovement
from trading.models import VenueMovement, VenueTransfer, Withdrawal
from trading.services.payments import NOT_FOUND, P, Payment

CLOCKS_DIFFER_BY = timedelta(minutes=5)


def payment_of(account_id: int, shown: ShownMovement) -> Payment | None:
    """The payment of this account that a line is of."""
    if shown.kind is MovementKind.WITHDRAWAL:
        paid = Withdrawal.objects.filter(account_id=account_id).select_related(*Withdrawal.shown_with)
        return _named(paid, shown) or _waiting(paid, shown)
    if shown.kind is not MovementKind.TRANSFER or shown.amount > 0:
        return None
    sent = VenueTransfer.objects.filter(account_id=account_id).select_related(*VenueTransfer.shown_with)
    return _named(sent, shown) or _waiting(_at_other_end(sent, shown, end="transfer__to_account"), shown)


def arrival_of(account_id: int, shown: ShownMovement, *, row: VenueMovement) -> VenueTransfer | None:
    """The transfer to this account that a line is the arrival of: the one it was known as (`row`), else one that has
    not arrived yet.
    """
    if shown.kind is not MovementKind.TRANSFER or shown.amount < 0 or shown.status is MovementStatus.REJECTED:
        return None
    if row.transfer is not None:
        return row.transfer
    arriving = VenueTransfer.objects.filter(transfer__to_account_id=account_id, arrival=None)
    sent = UNANSWERED | {PaymentState.SENT, PaymentState.SETTLED}
    alike = _at_that_time(_at_other_end(arriving, shown, end="account"), shown, amount=shown.amount)
    return _named(arriving, shown) or _likeliest(alike, states=sent)


def _named(payments: QuerySet[P], shown: ShownMovement) -> P | None:
    return payments.filter(venue_movement_id=shown.movement_id).first()


def _waiting(payments: QuerySet[P], shown: ShownMovement) -> P | None:
    nameless = _at_that_time(payments.filter(venue_movement_id=None), shown, amount=-shown.amount)
    return _likeliest(nameless, states=UNANSWERED)


def _at_other_end(payments: QuerySet[VenueTransfer], shown: ShownMovement, *, end: str) -> QuerySet[VenueTransfer]:
    """Those whose account at that end is the one that the venue names, if it names one."""
    if shown.counterparty is None:
        return payments
    return payments.filter(**{f"{end}__credential__venue_account_id": shown.counterparty})


def _at_that_time(payments: QuerySet[P], shown: ShownMovement, *, amount: Decimal) -> QuerySet[P]:
    return payments.filter(
        amount=amount, signed_at__lte=shown.at + CLOCKS_DIFFER_BY, deadline_at__gte=shown.at - ARRIVES_WITHIN
    )


def _likeliest(payments: QuerySet[P], *, states: frozenset[PaymentState]) -> P | None:
    """The oldest in one of the states, else of those that were not found."""
    waiting = payments.filter(state__in=sorted(states)).order_by("pk").first()
    return waiting or payments.filter(state=PaymentState.FAILED, reason=NOT_FOUND).order_by("pk").first()
