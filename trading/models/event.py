"""Account events: the spine that every reader follows (DESIGN §4.6)."""

from django.db import models

from trading.models.account import TradingAccount
from trading.models.base import BookedModel, CurrentTransaction


class Event(BookedModel):
    """Something that happened on an account. `sequence` is gapless per account; `data` is the socket frame's data.

    A public contract, never edited. Readers over all accounts page by `(xid, id)` below the oldest running transaction.
    """

    account = models.ForeignKey(
        TradingAccount, models.PROTECT, related_name="events", db_constraint=False, db_index=False
    )
    sequence = models.BigIntegerField()
    kind = models.CharField(max_length=32)
    schema = models.PositiveSmallIntegerField(default=1)
    data = models.JSONField()
    at = models.DateTimeField()
    xid = models.BigIntegerField(db_default=CurrentTransaction())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "sequence"], name="event_sequence_once")]
        indexes = [models.Index(fields=["xid", "id"], name="event_by_transaction")]

    def __str__(self) -> str:
        return f"{self.sequence} {self.kind}"


class ReaderPosition(models.Model):
    """How far a reader over all accounts has come; stored in the same transaction as the reader's effects."""

    name = models.CharField(max_length=64, unique=True)
    xid = models.BigIntegerField(default=0)
    row_id = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return self.name
