"""What a live account pays out by a signature of its key, whatever it is."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from astrade.core.fields import AmountField, public_id
from trading.domain.lifecycle import EntryKind, LedgerAccount
from trading.domain.payments import OPEN, UNANSWERED, PaymentState
from trading.models.base import choices_of


class VenuePayment(models.Model):
    """Collateral on its way out of a live `account`; changed under the account's lock.

    Its amount is held under `reference` from the request until it is settled (`entry` took it) or ended. `nonce` is the
    signature's salt, committed before anything is sent; from `signed_at` on it is sent, once or not at all.
    `deadline_at`: whoever sends it has an answer or has given up by then. `lookups` count the answers "not found"
    (DESIGN §4.2). `shown_with` is what its body is made of besides.
    """

    kind: ClassVar[EntryKind]
    against: ClassVar[LedgerAccount]
    shown_with: ClassVar[tuple[str, ...]]

    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    amount = AmountField()
    state = models.CharField(max_length=20, choices=choices_of(PaymentState), default=PaymentState.REQUESTED)
    reason = models.CharField(max_length=64, blank=True, default="")
    message = models.CharField(max_length=300, blank=True, default="")  # the venue's own words
    stark_public_key = models.CharField(max_length=66, null=True, blank=True)  # noqa: DJ001 - not signed yet
    nonce = models.BigIntegerField(null=True, blank=True)
    signed_at = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)
    venue_movement_id = models.CharField(max_length=128, null=True, blank=True)  # noqa: DJ001 - not answered yet
    lookups = models.PositiveSmallIntegerField(default=0)
    first_lookup_at = models.DateTimeField(null=True, blank=True)
    last_lookup_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True

    @property
    def reference(self) -> str:
        """What names its hold and entry."""
        return f"{self.kind}:{self.uuid}"


def payment_rules(table: str) -> list[models.BaseConstraint]:
    """What the database holds of every payment; the names begin with the table's."""
    unanswered = Q(state__in=sorted(UNANSWERED), signed_at__isnull=False, venue_movement_id__isnull=True)
    return [
        models.CheckConstraint(condition=Q(amount__gt=0), name=f"{table}_moves_something"),
        models.UniqueConstraint(
            fields=["stark_public_key", "nonce"], condition=Q(nonce__isnull=False), name=f"{table}_nonce_once"
        ),
        models.UniqueConstraint(
            fields=["account", "venue_movement_id"],
            condition=Q(venue_movement_id__isnull=False),
            name=f"{table}_venue_id_once",
        ),
        models.UniqueConstraint(fields=["account"], condition=unanswered, name=f"{table}_one_unanswered_an_account"),
        models.CheckConstraint(
            condition=Q(state=PaymentState.SETTLED, entry__isnull=False)
            | (~Q(state=PaymentState.SETTLED) & Q(entry=None)),
            name=f"{table}_settled_by_an_entry",
        ),
    ]


def payment_indexes(table: str) -> list[models.Index]:
    """By account, and those that have not ended."""
    return [
        models.Index(fields=["account", "-id"], name=f"{table}_by_account"),
        models.Index(fields=["id"], condition=Q(state__in=sorted(OPEN)), name=f"{table}_under_way"),
    ]
