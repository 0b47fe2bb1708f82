"""What the platform published of all balances: one root a day, and the tree under it (docs/proofs.md). Append-only."""

from django.db import models
from django.db.models import Q

from trading.models.account import TradingAccount


class BalanceRoot(models.Model):
    """The Merkle root over all accounts' balances at one midnight UTC: of what was booked before `at`.

    `hash` covers the row and `previous_hash`, the one before's; `salt` is secret: with it leaves could be guessed.
    """

    number = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField(unique=True)
    accounts = models.PositiveIntegerField()
    root = models.CharField(max_length=64)
    salt = models.BinaryField(max_length=32)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(number__gte=1, accounts__gte=1), name="balance_root_counts")]

    def __str__(self) -> str:
        return f"#{self.number} of {self.at:%Y-%m-%d}"


class BalanceLeaf(models.Model):
    """Where an account stands in a root's tree, and the number of its last journal entry there."""

    pk = models.CompositePrimaryKey("root_id", "account_id")
    root = models.ForeignKey(BalanceRoot, models.PROTECT, related_name="leaves", db_index=False)
    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="+", db_index=False)
    position = models.PositiveIntegerField()
    entry_number = models.BigIntegerField()

    def __str__(self) -> str:
        return f"leaf {self.position} of root {self.root_id}"


class BalanceTreeLevel(models.Model):
    """One level of a root's tree, the leaves being level 0: its hashes side by side, 32 bytes each."""

    pk = models.CompositePrimaryKey("root_id", "level")
    root = models.ForeignKey(BalanceRoot, models.PROTECT, related_name="levels", db_index=False)
    level = models.PositiveSmallIntegerField()
    hashes = models.BinaryField()

    def __str__(self) -> str:
        return f"level {self.level} of root {self.root_id}"
