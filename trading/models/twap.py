"""The plan of a TWAP order, beside the order's own row."""

from django.db import models
from django.db.models import F, Q

from astrade.core.fields import AmountField
from trading.domain.slicing import DURATION_S_MAX, DURATION_S_MIN, JITTER_MAX, JITTER_SCALE, SLICES_MAX, SLICES_MIN
from trading.models.order import Order


class TwapPlan(models.Model):
    """When and how a TWAP order trades (`trading.domain.slicing`). Written with its order, under the account's lock."""

    order = models.OneToOneField(Order, models.PROTECT, primary_key=True, related_name="plan")
    duration_s = models.PositiveIntegerField()
    slices = models.PositiveSmallIntegerField()
    jitter = models.DecimalField(max_digits=5, decimal_places=JITTER_SCALE)
    seed = models.BigIntegerField()
    starts_at = models.DateTimeField()
    reserve_price = AmountField()  # what is open binds margin at
    next_slice = models.PositiveSmallIntegerField(default=0)
    executed_slices = models.PositiveSmallIntegerField(default=0)
    paused_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)  # when there is something to do next; empty while paused and once it ended

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    duration_s__range=(DURATION_S_MIN, DURATION_S_MAX),
                    slices__range=(SLICES_MIN, SLICES_MAX),
                    jitter__range=(0, JITTER_MAX),
                    reserve_price__gt=0,
                ),
                name="twap_plan_in_range",
            ),
            models.CheckConstraint(
                condition=Q(next_slice__lte=F("slices"), executed_slices__lte=F("next_slice")),
                name="twap_slices_counted",
            ),
            models.CheckConstraint(
                condition=Q(paused_at__isnull=True) | Q(due_at__isnull=True), name="twap_paused_is_not_due"
            ),
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="twap_due")]

    def __str__(self) -> str:
        return f"{self.executed_slices} of {self.slices} slices"
