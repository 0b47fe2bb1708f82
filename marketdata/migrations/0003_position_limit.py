"""How large a position on a market may become."""

from django.db import migrations, models
from django.db.migrations.operations.base import Operation

import astrade.core.fields

HELP = "Largest position an account may reach, in quote units at mark; empty: any"


def _limit(model: str, prefix: str) -> list[Operation]:
    positive = models.Q(("max_position_notional__isnull", True), ("max_position_notional__gt", 0), _connector="OR")
    return [
        migrations.AddField(
            model,
            "max_position_notional",
            astrade.core.fields.AmountField(blank=True, decimal_places=18, help_text=HELP, max_digits=38, null=True),
        ),
        migrations.AddConstraint(
            model, models.CheckConstraint(condition=positive, name=f"{prefix}_position_limit_positive")
        ),
    ]


class Migration(migrations.Migration):
    dependencies = [("marketdata", "0002_rules_are_history")]

    operations = [*_limit("market", "market"), *_limit("marketrules", "rules")]
