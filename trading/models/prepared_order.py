"""Orders that wait for their user's signature."""

from django.db import models
from django.db.models import Q

from astrade.core.fields import AmountField, public_id
from trading.models.account import TradingAccount
from trading.models.order import Order


class PreparedOrder(models.Model):
    """All that was given to a user to sign, besides what they asked for (`fingerprint`); `order` once it was placed.

    `price` is the worst one, `fee_rate` the highest fee as a share of the notional; with `nonce` and `expires_at` they
    make `hash`. No key is asked for two signatures with one nonce.
    """

    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    account = models.ForeignKey(TradingAccount, models.PROTECT, related_name="+")
    stark_public_key = models.CharField(max_length=66)
    nonce = models.BigIntegerField()
    hash = models.CharField(max_length=66)
    fingerprint = models.CharField(max_length=64)
    price = AmountField()
    fee_rate = AmountField()
    expires_at = models.DateTimeField()
    submit_before = models.DateTimeField()
    order = models.OneToOneField(Order, models.PROTECT, null=True, related_name="prepared")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["stark_public_key", "nonce"], name="prepared_order_nonce_once"),
            models.CheckConstraint(condition=Q(hash__regex=r"^0x[0-9a-f]{1,64}$"), name="prepared_order_hash_shape"),
        ]

    def __str__(self) -> str:
        return str(self.uuid)
