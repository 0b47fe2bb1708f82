"""Corrections of the ledger by staff: one proposes, another one decides."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from astrade.core.fields import AmountField, public_id
from astrade.core.money import plain
from trading.models.account import TradingAccount
from trading.models.ledger import JournalEntry


class AdjustmentProposal(models.Model):
    """An amount to be booked on an account's cash, or the reversal of what an entry did to it; `amount` is signed.

    Booked once, when approved by somebody else than who proposed it: `entry` is the journal entry that came of it.
    `may_overdraw` says that cash may become negative by it. What it would take is held (`trading.domain.holds`) until
    it is decided, its proposer withdraws it, or `expires_at` is over.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        APPROVED = "approved"
        REJECTED = "rejected"
        WITHDRAWN = "withdrawn"
        EXPIRED = "expired"

    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="adjustment_proposals", db_index=False)
    reverses = models.ForeignKey(JournalEntry, models.PROTECT, null=True, related_name="reversals", db_index=False)
    amount = AmountField()
    reason = models.CharField(max_length=500)
    may_overdraw = models.BooleanField(default=False)
    state = models.CharField(max_length=16, choices=State.choices, default=State.PENDING)
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)
    proposed_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+", db_index=False
    )
    decided_at = models.DateTimeField(null=True)
    entry = models.OneToOneField(JournalEntry, models.PROTECT, null=True, related_name="adjustment")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["reverses"],
                condition=Q(state__in=["pending", "approved"]),
                name="adjustment_one_reversal_an_entry",
            ),
            models.CheckConstraint(
                condition=~Q(decided_by=F("proposed_by")), name="adjustment_decided_by_somebody_else"
            ),
            models.CheckConstraint(
                condition=Q(state="pending", decided_by=None, decided_at=None, entry=None)
                | Q(state="rejected", decided_by__isnull=False, decided_at__isnull=False, entry=None)
                | Q(state__in=["withdrawn", "expired"], decided_by=None, decided_at__isnull=False, entry=None)
                | Q(state="approved", decided_by__isnull=False, decided_at__isnull=False, entry__isnull=False),
                name="adjustment_decided_as_its_state_says",
            ),
            models.CheckConstraint(condition=~Q(amount=0) & ~Q(reason=""), name="adjustment_moves_something"),
        ]
        indexes = [
            models.Index(fields=["account", "-id"], name="adjustment_by_account"),
            models.Index(fields=["expires_at"], condition=Q(state="pending"), name="adjustment_by_expiry"),
        ]

    def __str__(self) -> str:
        return f"{plain(self.amount)} ({self.state})"
