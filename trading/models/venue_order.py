"""Dealings with a venue: how an order was sent, what came that can't be placed yet, and what somebody must look at."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from astrade.core.fields import AmountField
from trading.models.account import TradingAccount
from trading.models.order import Order


class VenueOrder(models.Model):
    """How an order stands with its venue; one row for each order of an account that isn't practice.

    Written with the order before anything is sent, changed under the account's lock. `price` and `fee_rate` are what
    was signed (a market order's worst price, the highest fee), `nonce` is the signature's salt, drawn once and never
    again for that key. `deadline_at`: whoever sends it has an answer or has given up by then. `replaces` is the
    external id of the order whose place it takes. `shown_at` is the venue's own time of what it showed last. `lookups`
    count the answers "not found" in a row (DESIGN §4.2).
    """

    order = models.OneToOneField(Order, models.PROTECT, primary_key=True, related_name="at_venue")
    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="+", db_index=False)
    external_id = models.CharField(max_length=128)
    stark_public_key = models.CharField(max_length=66, null=True)  # noqa: DJ001 - not signed by us
    nonce = models.BigIntegerField(null=True)
    price = AmountField(null=True)
    fee_rate = AmountField(null=True)
    expires_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    replaces = models.CharField(max_length=128, null=True)  # noqa: DJ001 - takes no other's place
    shown_at = models.DateTimeField(null=True)
    lookups = models.PositiveSmallIntegerField(default=0)
    first_lookup_at = models.DateTimeField(null=True)
    last_lookup_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "external_id"], name="venue_order_external_id_once"),
            models.UniqueConstraint(
                fields=["stark_public_key", "nonce"],
                condition=Q(nonce__isnull=False),
                name="venue_order_nonce_once",
            ),
        ]

    def __str__(self) -> str:
        return self.external_id


class VenueMessage(models.Model):
    """What a venue told that could not be placed yet, as a trade of an order nobody knows: kept until it can."""

    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=16)
    key = models.CharField(max_length=64)
    body = models.JSONField()
    received_at = models.DateTimeField(db_default=Now())
    understood_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "kind", "key"], name="venue_message_once")]
        indexes = [
            models.Index(
                fields=["account", "id"], condition=Q(understood_at__isnull=True), name="venue_message_waiting"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class Case(models.Model):
    """Something that staff must look at: a difference between a venue and our books, an order nobody can place.

    Open cases are one for each account, kind and subject; what is found again is the same case.
    """

    class Kind(models.TextChoices):
        OVERFILLED = "overfilled"
        FILLED_AFTER_REJECTION = "filled_after_rejection"
        ALIVE_AFTER_REJECTION = "alive_after_rejection"
        UNKNOWN_ORDER = "unknown_order"
        BALANCE_DIFFERS = "balance_differs"
        POSITION_DIFFERS = "position_differs"
        UNPLACED_TRADE = "unplaced_trade"
        PROTECTION_LOST = "protection_lost"
        UNKNOWN_WITHDRAWAL = "unknown_withdrawal"
        SETTLED_AFTER_FAILURE = "settled_after_failure"
        WITHDRAWAL_DIFFERS = "withdrawal_differs"
        UNKNOWN_TRANSFER = "unknown_transfer"
        TRANSFER_DIFFERS = "transfer_differs"

    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="cases")
    kind = models.CharField(max_length=32, choices=Kind.choices)
    subject = models.CharField(max_length=128)  # an order's uuid, a symbol, a trade's id
    figures = models.JSONField(default=dict)
    opened_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    note = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "kind", "subject"], condition=Q(closed_at__isnull=True), name="case_open_once"
            )
        ]
        indexes = [models.Index(fields=["-id"], condition=Q(closed_at__isnull=True), name="case_open")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
