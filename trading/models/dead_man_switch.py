"""Dead-man switches: what cancels an account's orders when its owner's program falls silent."""

from django.db import models
from django.db.models import Q

from trading.models.account import TradingAccount


class DeadManSwitch(models.Model):
    """An account's switch, made when it is first set; off while `fires_at` is empty. Needs the account's lock."""

    account = models.OneToOneField(TradingAccount, models.PROTECT, primary_key=True, related_name="dead_man_switch")
    timeout_s = models.PositiveIntegerField()
    fires_at = models.DateTimeField(null=True)
    fired_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["fires_at"], condition=Q(fires_at__isnull=False), name="dead_man_switch_armed"),
        ]

    def __str__(self) -> str:
        return f"{self.timeout_s} s" if self.fires_at else "off"
