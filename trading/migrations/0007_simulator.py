"""What a fill was decided on, and an order's place in the queue at its price."""

from django.db import migrations, models

from astrade.core.fields import AmountField


class Migration(migrations.Migration):
    dependencies = [("trading", "0006_margin_funding")]

    operations = [
        migrations.AddField("fill", "basis", models.JSONField(null=True)),
        migrations.AddField("order", "queue_ahead", AmountField(decimal_places=18, max_digits=38, null=True)),
        migrations.AddField("order", "queue_sequence", models.BigIntegerField(default=0)),
    ]
