"""Money that moved by itself: transfers between a user's accounts, and deposits. The ledger holds the entries."""

from django.db import models
from django.db.models import F, Q

from astrade.core.fields import AmountField, public_id
from astrade.core.money import plain
from trading.domain.lifecycle import EntryKind, LedgerAccount
from trading.models.account import TradingAccount
from trading.models.ledger import JournalEntry
from trading.models.payment import VenuePayment, payment_indexes, payment_rules


class Transfer(models.Model):
    """Cash from one account to another; its two entries have the reference `transfer:<uuid>`. Between live accounts
    `at_venue` tells what became of it.
    """

    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    from_account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="transfers_out", db_index=False)
    to_account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="transfers_in", db_index=False)
    asset = models.CharField(max_length=16)
    amount = AmountField()
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="transfer_moves_something"),
            models.CheckConstraint(condition=~Q(from_account=F("to_account")), name="transfer_between_two_accounts"),
        ]
        indexes = [
            models.Index(fields=["from_account", "-id"], name="transfer_by_sender"),
            models.Index(fields=["to_account", "-id"], name="transfer_by_receiver"),
        ]

    def __str__(self) -> str:
        return f"{plain(self.amount)} {self.asset}"


class VenueTransfer(VenuePayment):
    """A transfer on its way at a venue, with the id of its `transfer`; `account` is the sender's. It is settled once it
    has left; what arrives is booked by the receiver's history (`trading.models.VenueMovement`).
    """

    kind = EntryKind.TRANSFER
    against = LedgerAccount.CLEARING
    shown_with = ("account", "transfer__from_account", "transfer__to_account")

    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="venue_transfers", db_index=False)
    transfer = models.OneToOneField(Transfer, models.PROTECT, related_name="at_venue")
    entry = models.OneToOneField(JournalEntry, models.PROTECT, null=True, blank=True, related_name="venue_transfer")

    class Meta:
        constraints = payment_rules("venue_transfer")
        indexes = payment_indexes("venue_transfer")

    def __str__(self) -> str:
        return f"{plain(self.amount)} ({self.state})"


class Deposit(models.Model):
    """Money put into an account by its user; its entry has the reference `faucet:<uuid>`, or `deposit:<uuid>` for what
    came at a venue.

    The balance an account was opened with is an entry only, so that it doesn't count as the user's asking.
    """

    class Source(models.TextChoices):
        FAUCET = "faucet"
        VENUE = "venue"
        CLAIM = "claim"  # test money of the venue's

    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="deposits", db_index=False)
    source = models.CharField(max_length=16, choices=Source.choices)
    asset = models.CharField(max_length=16)
    amount = AmountField()
    at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="deposit_moves_something")]
        indexes = [models.Index(fields=["account", "at"], name="deposit_by_account")]

    def __str__(self) -> str:
        return f"{plain(self.amount)} {self.asset}"
