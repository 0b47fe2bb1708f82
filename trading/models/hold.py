"""Money that waits for a decision: held, then settled or released, once (DESIGN §4.3)."""

from django.db import models
from django.db.models import Q

from astrade.core.fields import AmountField, public_id
from astrade.core.money import plain
from trading.domain.lifecycle import HoldPurpose, HoldState
from trading.models.account import TradingAccount
from trading.models.base import BookedModel, choices_of
from trading.models.ledger import JournalEntry


class Hold(BookedModel):
    """An amount of an account's cash that can't leave or bind new risk while it is held (`trading.domain.holds`).

    `reference` names what it belongs to, as a journal entry's does; `entry` is the one that took a settled hold's
    amount. A trigger lets a row change once, from held to how it ended, and never be removed.
    """

    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="holds", db_index=False)
    asset = models.CharField(max_length=16)
    amount = AmountField()
    purpose = models.CharField(max_length=16, choices=choices_of(HoldPurpose))
    reference = models.CharField(max_length=100)
    state = models.CharField(max_length=16, choices=choices_of(HoldState), default=HoldState.HELD)
    held_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    entry = models.OneToOneField(JournalEntry, models.PROTECT, null=True, related_name="settled_hold")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "reference"], name="hold_once_a_reference"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="hold_binds_something"),
            models.CheckConstraint(
                condition=Q(state=HoldState.HELD, ended_at=None, entry=None)
                | Q(state=HoldState.RELEASED, ended_at__isnull=False, entry=None)
                | Q(state=HoldState.SETTLED, ended_at__isnull=False, entry__isnull=False),
                name="hold_ended_as_its_state_says",
            ),
        ]
        indexes = [models.Index(fields=["account"], condition=Q(state=HoldState.HELD), name="hold_in_force")]

    def __str__(self) -> str:
        return f"{plain(self.amount)} {self.asset} ({self.state})"
