"""Orders that change over time: a last moment, a replaced price or quantity, a switch that cancels them."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

from trading.models.base import ROW_IDS

LIVE = ["new", "open", "partially_filled", "submitted", "unknown", "untriggered"]


class Migration(migrations.Migration):
    dependencies = [("trading", "0003_triggers")]

    operations = [
        migrations.RunSQL(f"ALTER SEQUENCE {ROW_IDS} INCREMENT BY 2000", f"ALTER SEQUENCE {ROW_IDS} INCREMENT BY 1000"),
        migrations.AddField("order", "admitted_at", models.DateTimeField(null=True)),
        migrations.RunSQL("UPDATE trading_order SET admitted_at = created_at", migrations.RunSQL.noop),
        migrations.AlterField("order", "admitted_at", models.DateTimeField()),
        migrations.AddField("order", "expires_at", models.DateTimeField(null=True)),
        migrations.AddIndex(
            "order",
            models.Index(
                condition=Q(status__in=LIVE, expires_at__isnull=False),
                fields=["expires_at"],
                name="order_live_by_expiry",
            ),
        ),
        migrations.AddField("ordertransition", "change", models.JSONField(null=True)),
        migrations.CreateModel(
            name="DeadManSwitch",
            fields=[
                (
                    "account",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="dead_man_switch",
                        serialize=False,
                        to="trading.tradingaccount",
                    ),
                ),
                ("timeout_s", models.PositiveIntegerField()),
                ("fires_at", models.DateTimeField(null=True)),
                ("fired_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(condition=Q(fires_at__isnull=False), fields=["fires_at"], name="dead_man_switch_armed")
                ],
            },
        ),
    ]
