"""Orders that wait for a trigger price, and the take profits and stop losses that protect positions."""

from decimal import Decimal

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

from astrade.core.fields import AmountField

TRIGGER_BY = [("last", "last"), ("mark", "mark"), ("index", "index")]
ROLE = [("take_profit", "take_profit"), ("stop_loss", "stop_loss")]


class Migration(migrations.Migration):
    dependencies = [("trading", "0002_ledger_rules")]

    operations = [
        migrations.AddField("order", "trigger_price", AmountField(null=True)),
        migrations.AddField("order", "trigger_by", models.CharField(choices=TRIGGER_BY, max_length=5, null=True)),
        migrations.AddField("order", "take_profit", AmountField(null=True)),
        migrations.AddField("order", "stop_loss", AmountField(null=True)),
        migrations.AddField("order", "role", models.CharField(choices=ROLE, max_length=11, null=True)),
        migrations.AddField(
            "order",
            "parent",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="children",
                to="trading.order",
            ),
        ),
        migrations.AddField("order", "protected_quantity", AmountField(default=Decimal(0))),
        migrations.AddField("position", "stop_loss", AmountField(null=True)),
        migrations.AddField("position", "take_profit", AmountField(null=True)),
        migrations.AddConstraint(
            "order",
            models.CheckConstraint(
                condition=Q(trigger_price__isnull=True) | Q(trigger_price__gt=0, trigger_by__isnull=False),
                name="order_trigger_complete",
            ),
        ),
        migrations.AddConstraint(
            "order",
            models.CheckConstraint(
                condition=Q(role__isnull=True) | Q(reduce_only=True, trigger_price__isnull=False),
                name="order_protective_only_reduces",
            ),
        ),
        migrations.AddIndex(
            "order",
            models.Index(
                condition=Q(status="untriggered", role__isnull=False),
                fields=["account", "market"],
                name="order_protective_by_account",
            ),
        ),
        migrations.AddConstraint(
            "position",
            models.CheckConstraint(
                condition=~Q(quantity=0) | Q(stop_loss__isnull=True, take_profit__isnull=True),
                name="position_flat_is_not_protected",
            ),
        ),
    ]
