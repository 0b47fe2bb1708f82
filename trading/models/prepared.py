"""What was given to a user to sign, whatever it is."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from astrade.core.fields import public_id
from trading.models.account import TradingAccount


class Prepared(models.Model):
    """All that is signed for a request of an account, besides what was asked for (`fingerprint`).

    With `nonce` it makes `hash`; no key is asked for two signatures of one kind with one nonce. What it was spent for
    is the row that `spent_by` names.
    """

    spent_by: ClassVar[str]

    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="+")
    stark_public_key = models.CharField(max_length=66)
    nonce = models.BigIntegerField()
    hash = models.CharField(max_length=66)
    fingerprint = models.CharField(max_length=64)
    submit_before = models.DateTimeField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return str(self.uuid)

    @property
    def is_spent(self) -> bool:
        """Whether it was placed."""
        return getattr(self, f"{self.spent_by}_id") is not None


def prepared_rules(table: str) -> list[models.BaseConstraint]:
    """What the database holds of everything prepared; the names begin with the table's."""
    return [
        models.UniqueConstraint(fields=["stark_public_key", "nonce"], name=f"{table}_nonce_once"),
        models.CheckConstraint(condition=Q(hash__regex=r"^0x[0-9a-f]{1,64}$"), name=f"{table}_hash_shape"),
    ]
