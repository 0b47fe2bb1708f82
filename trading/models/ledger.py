"""The double-entry ledger: append-only, balanced and hash-chained (DESIGN §4.3); triggers hold it in the database."""

from django.db import models
from django.db.models import Q

from astrade.core.fields import AmountField, public_id
from astrade.core.money import plain
from trading.domain.lifecycle import EntryKind, LedgerAccount
from trading.models.account import TradingAccount
from trading.models.base import BookedModel, choices_of


class JournalEntry(BookedModel):
    """One economic fact on one trading account. `number` has no gap; `hash` covers the canonical text of
    `trading.domain.ledger.canonical_text`, which includes `previous_hash`."""

    uuid = models.UUIDField(default=public_id, editable=False)
    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="entries", db_index=False)
    number = models.BigIntegerField()
    kind = models.CharField(max_length=16, choices=choices_of(EntryKind))
    reference = models.CharField(max_length=100)
    at = models.DateTimeField()
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        verbose_name_plural = "journal entries"
        constraints = [
            models.UniqueConstraint(fields=["account", "number"], name="entry_number_once"),
            models.UniqueConstraint(
                fields=["account", "reference"], condition=Q(kind=EntryKind.ADJUSTMENT), name="entry_adjustment_once"
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.number} {self.kind}"


class Posting(BookedModel):
    """One signed line of an entry. `running_balance` is the cash balance after it; platform accounts keep none."""

    entry = models.ForeignKey(JournalEntry, models.PROTECT, related_name="postings", db_index=False)
    line = models.PositiveSmallIntegerField()
    ledger_account = models.CharField(max_length=16, choices=choices_of(LedgerAccount))
    asset = models.CharField(max_length=16)
    amount = AmountField()
    running_balance = AmountField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["entry", "line"], name="posting_line_once"),
            models.UniqueConstraint(
                fields=["entry", "asset"], condition=Q(ledger_account=LedgerAccount.CASH), name="posting_one_cash_line"
            ),
            models.CheckConstraint(condition=~Q(amount=0), name="posting_moves_something"),
            models.CheckConstraint(
                condition=Q(ledger_account=LedgerAccount.CASH, running_balance__isnull=False)
                | (~Q(ledger_account=LedgerAccount.CASH) & Q(running_balance__isnull=True)),
                name="posting_running_balance_on_cash_only",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.ledger_account} {plain(self.amount)} {self.asset}"
