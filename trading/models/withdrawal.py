"""Money on its way out of a live account: where it may go, each withdrawal, and the venue's history of funds."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from accounts.models.venue import NETWORKS
from astrade.core.fields import AmountField, public_id
from astrade.core.money import plain
from astrade.venues.extended.profiles import Network
from trading.domain.lifecycle import EntryKind, LedgerAccount
from trading.domain.payments import PaymentState
from trading.domain.reports import MovementKind, MovementStatus
from trading.models.account import TradingAccount
from trading.models.base import choices_of
from trading.models.funds import VenueTransfer
from trading.models.ledger import JournalEntry
from trading.models.payment import VenuePayment, payment_indexes, payment_rules
from trading.models.prepared import Prepared, prepared_rules


class WithdrawalAddress(models.Model):
    """A Starknet address that a user's withdrawals may go to, from `usable_at` until it is removed.

    The row stays when it is removed: withdrawals name it. Closing the user empties the label.
    """

    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    network = models.CharField(max_length=8, choices=NETWORKS)
    address = models.CharField(max_length=66)  # `0x`, lower case, no leading zero
    label = models.CharField(max_length=80)
    added_at = models.DateTimeField()
    usable_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "network", "address"],
                condition=Q(removed_at__isnull=True),
                name="withdrawal_address_once",
            ),
            models.CheckConstraint(
                condition=Q(address__regex=r"^0x[1-9a-f][0-9a-f]{0,62}$"), name="withdrawal_address_canonical"
            ),
            models.CheckConstraint(condition=Q(network__in=list(Network)), name="withdrawal_address_network_known"),
        ]

    def __str__(self) -> str:
        return self.address


class Withdrawal(VenuePayment):
    """A payment to one of its user's addresses. `fee` is a part of the amount."""

    kind = EntryKind.WITHDRAWAL
    against = LedgerAccount.EXTERNAL
    shown_with = ("account", "address")

    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="withdrawals", db_index=False)
    address = models.ForeignKey(WithdrawalAddress, models.PROTECT, related_name="withdrawals", db_index=False)
    asset = models.CharField(max_length=16)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    requested_at = models.DateTimeField()
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    fee = AmountField(null=True, blank=True)
    entry = models.OneToOneField(JournalEntry, models.PROTECT, null=True, blank=True, related_name="withdrawal")

    class Meta:
        constraints = [
            *payment_rules("withdrawal"),
            models.CheckConstraint(
                condition=~Q(decided_by=F("requested_by")), name="withdrawal_decided_by_somebody_else"
            ),
            models.CheckConstraint(
                condition=~Q(state=PaymentState.CANCELLED) | Q(signed_at=None),
                name="withdrawal_cancelled_was_not_sent",
            ),
            models.CheckConstraint(
                condition=~Q(state=PaymentState.APPROVED) | Q(decided_by__isnull=False),
                name="withdrawal_approved_by_somebody",
            ),
        ]
        indexes = payment_indexes("withdrawal")

    def __str__(self) -> str:
        return f"{plain(self.amount)} {self.asset} ({self.state})"


class PreparedWithdrawal(Prepared):
    """A withdrawal that its user signs; once asked for, `withdrawal` with the signature it is sent with.

    `prepared_at` is signed, with the instant that follows from it; what isn't sent before `send_before` the venue would
    refuse (extended-api.md §8, 1604).
    """

    spent_by = "withdrawal"

    prepared_at = models.DateTimeField()
    send_before = models.DateTimeField()
    withdrawal = models.OneToOneField(Withdrawal, models.PROTECT, null=True, related_name="prepared")
    signature_r = models.CharField(max_length=66, null=True)  # noqa: DJ001 - not signed yet
    signature_s = models.CharField(max_length=66, null=True)  # noqa: DJ001 - not signed yet

    class Meta:
        constraints = [
            *prepared_rules("prepared_withdrawal"),
            models.CheckConstraint(
                condition=Q(withdrawal=None, signature_r=None, signature_s=None)
                | Q(withdrawal__isnull=False, signature_r__isnull=False, signature_s__isnull=False),
                name="prepared_withdrawal_is_signed",
            ),
        ]


class VenueMovement(models.Model):
    """One line of the venue's history of funds, as it was shown last; booked once, by `entry`.

    What was there when the books began `is_opening`: it is in the opening balance and never booked. `transfer` is the
    one of ours that arrives with it; each arrives once.
    """

    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="+", db_index=False)
    movement_id = models.CharField(max_length=128)
    kind = models.CharField(max_length=16, choices=choices_of(MovementKind))
    status = models.CharField(max_length=16, choices=choices_of(MovementStatus))
    amount = AmountField()
    fee = AmountField(null=True, blank=True)
    at = models.DateTimeField()
    is_opening = models.BooleanField(default=False)
    entry = models.OneToOneField(JournalEntry, models.PROTECT, null=True, blank=True, related_name="+")
    transfer = models.OneToOneField(VenueTransfer, models.PROTECT, null=True, blank=True, related_name="arrival")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "movement_id"], name="venue_movement_once"),
            models.CheckConstraint(
                condition=Q(entry=None) | Q(status=MovementStatus.COMPLETED, is_opening=False),
                name="venue_movement_booked_when_completed",
            ),
        ]
        indexes = [
            models.Index(fields=["account"], condition=Q(status=MovementStatus.PENDING), name="venue_movement_pending")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {plain(self.amount)} ({self.status})"
