"""TWAP orders: their plans, and the link from a slice to its order."""

from decimal import Decimal

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q

import astrade.core.fields

SOURCES = ["app", "api_key", "bot", "one_tap", "admin", "liquidation", "external", "twap"]


class Migration(migrations.Migration):
    dependencies = [("trading", "0009_portfolio")]

    operations = [
        migrations.AlterField(
            "order",
            "source",
            models.CharField(choices=[(value, value) for value in SOURCES], default="app", max_length=16),
        ),
        migrations.AddIndex(
            "order",
            models.Index(condition=Q(("parent__isnull", False)), fields=["parent", "id"], name="order_children"),
        ),
        migrations.CreateModel(
            name="TwapPlan",
            fields=[
                (
                    "order",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="plan",
                        serialize=False,
                        to="trading.order",
                    ),
                ),
                ("duration_s", models.PositiveIntegerField()),
                ("slices", models.PositiveSmallIntegerField()),
                ("jitter", models.DecimalField(decimal_places=4, max_digits=5)),
                ("seed", models.BigIntegerField()),
                ("starts_at", models.DateTimeField()),
                ("reserve_price", astrade.core.fields.AmountField(decimal_places=18, max_digits=38)),
                ("next_slice", models.PositiveSmallIntegerField(default=0)),
                ("executed_slices", models.PositiveSmallIntegerField(default=0)),
                ("paused_at", models.DateTimeField(null=True)),
                ("due_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [models.Index(condition=Q(("due_at__isnull", False)), fields=["due_at"], name="twap_due")],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(
                            duration_s__range=(60, 86400),
                            slices__range=(2, 1000),
                            jitter__range=(0, Decimal("0.5")),
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
                ],
            },
        ),
    ]
