"""Orders that wait for their user's signature."""

import django.db.models.deletion
from django.db import migrations, models

import astrade.core.fields


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0013_order_pairs"),
    ]

    operations = [
        migrations.CreateModel(
            name="PreparedOrder",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=astrade.core.fields.public_id, editable=False, unique=True)),
                ("stark_public_key", models.CharField(max_length=66)),
                ("nonce", models.BigIntegerField()),
                ("hash", models.CharField(max_length=66)),
                ("fingerprint", models.CharField(max_length=64)),
                ("price", astrade.core.fields.AmountField(decimal_places=18, max_digits=38)),
                ("fee_rate", astrade.core.fields.AmountField(decimal_places=18, max_digits=38)),
                ("expires_at", models.DateTimeField()),
                ("submit_before", models.DateTimeField()),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="trading.tradingaccount"
                    ),
                ),
                (
                    "order",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="prepared",
                        to="trading.order",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("stark_public_key", "nonce"), name="prepared_order_nonce_once"),
                    models.CheckConstraint(
                        condition=models.Q(("hash__regex", "^0x[0-9a-f]{1,64}$")), name="prepared_order_hash_shape"
                    ),
                ],
            },
        ),
    ]
