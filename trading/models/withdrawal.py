"""Money on its way out of a live account: where it may go, each withdrawal, and the venue's history of funds."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from accounts.models.venue import NETWORKS
from astrade.core.fields import AmountField, public_id
from astrade.core.money import plain
from astrade.venues.extended.profiles import Network
from trading.domain.reports import MovementKind, MovementStatus
from trading.domain.withdrawals import OPEN, UNANSWERED, WithdrawalState
from trading.models.account import TradingAccount
from trading.models.base import choices_of
from trading.models.ledger import JournalEntry


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


class Withdrawal(models.Model):
    """Collateral that leaves a live account for one of its user's addresses; changed under the account's lock.

    Its amount is held under `withdrawal:<uuid>` from the request until it is settled (`entry` took it) or ended.
    `nonce` is the signature's salt, `signed_at` the instant that was signed: both are committed before anything is
    sent, and what was signed is sent once or not at all. `deadline_at`: whoever sends it has an answer or has given up
    by then. `lookups` count the answers "not found" (DESIGN §4.2).
    """

    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="withdrawals", db_index=False)
    address = models.ForeignKey(WithdrawalAddress, models.PROTECT, related_name="withdrawals", db_index=False)
    asset = models.CharField(max_length=16)
    amount = AmountField()
    state = models.CharField(max_length=20, choices=choices_of(WithdrawalState), default=WithdrawalState.REQUESTED)
    reason = models.CharField(max_length=64, blank=True, default="")
    message = models.CharField(max_length=300, blank=True, default="")  # the venue's own words
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    requested_at = models.DateTimeField()
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    stark_public_key = models.CharField(max_length=66, null=True, blank=True)  # noqa: DJ001 - not signed yet
    nonce = models.BigIntegerField(null=True, blank=True)
    signed_at = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)
    venue_withdrawal_id = models.CharField(max_length=128, null=True, blank=True)  # noqa: DJ001 - not answered yet
    fee = AmountField(null=True, blank=True)
    lookups = models.PositiveSmallIntegerField(default=0)
    first_lookup_at = models.DateTimeField(null=True, blank=True)
    last_lookup_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    entry = models.OneToOneField(JournalEntry, models.PROTECT, null=True, blank=True, related_name="withdrawal")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="withdrawal_moves_something"),
            models.CheckConstraint(
                condition=~Q(decided_by=F("requested_by")), name="withdrawal_decided_by_somebody_else"
            ),
            models.UniqueConstraint(
                fields=["stark_public_key", "nonce"], condition=Q(nonce__isnull=False), name="withdrawal_nonce_once"
            ),
            models.UniqueConstraint(
                fields=["account", "venue_withdrawal_id"],
                condition=Q(venue_withdrawal_id__isnull=False),
                name="withdrawal_venue_id_once",
            ),
            models.UniqueConstraint(
                fields=["account"],
                condition=Q(state__in=sorted(UNANSWERED), signed_at__isnull=False, venue_withdrawal_id__isnull=True),
                name="withdrawal_one_unanswered_an_account",
            ),
            models.CheckConstraint(
                condition=Q(state=WithdrawalState.SETTLED, entry__isnull=False)
                | (~Q(state=WithdrawalState.SETTLED) & Q(entry=None)),
                name="withdrawal_settled_by_an_entry",
            ),
            models.CheckConstraint(
                condition=~Q(state=WithdrawalState.CANCELLED) | Q(signed_at=None),
                name="withdrawal_cancelled_was_not_sent",
            ),
            models.CheckConstraint(
                condition=~Q(state=WithdrawalState.APPROVED) | Q(decided_by__isnull=False),
                name="withdrawal_approved_by_somebody",
            ),
        ]
        indexes = [
            models.Index(fields=["account", "-id"], name="withdrawal_by_account"),
            models.Index(
                fields=["id"],
                condition=Q(state__in=sorted(OPEN)),
                name="withdrawal_under_way",
            ),
        ]

    def __str__(self) -> str:
        return f"{plain(self.amount)} {self.asset} ({self.state})"


class VenueMovement(models.Model):
    """One line of the venue's history of funds, as it was shown last; booked once, by `entry`.

    What was there when the books began `is_opening`: it is in the opening balance and never booked.
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
