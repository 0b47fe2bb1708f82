"""Accounts at venues on their way to be opened."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import astrade.core.fields


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0006_consent"),
    ]

    operations = [
        migrations.CreateModel(
            name="Onboarding",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=astrade.core.fields.public_id, editable=False, unique=True)),
                ("network", models.CharField(choices=[("testnet", "Testnet"), ("mainnet", "Mainnet")], max_length=8)),
                ("wallet", models.CharField(max_length=42)),
                (
                    "key_origin",
                    models.CharField(
                        choices=[
                            ("generated", "Generated"),
                            ("imported", "Imported"),
                            ("derived", "Derived"),
                            ("external", "External"),
                        ],
                        max_length=9,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("claimed_until", models.DateTimeField(null=True)),
                (
                    "credential",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="onboarding",
                        to="accounts.venuecredential",
                    ),
                ),
                (
                    "stark_key",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="onboardings",
                        to="accounts.starkkey",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="onboardings",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("wallet__regex", "^0x[0-9a-fA-F]{40}$")), name="onboarding_wallet_shape"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "network__in",
                                [
                                    astrade.venues.extended.profiles.Network["TESTNET"],
                                    astrade.venues.extended.profiles.Network["MAINNET"],
                                ],
                            )
                        ),
                        name="onboarding_network_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("key_origin__in", ["generated", "derived"])), name="onboarding_origin_known"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("key_origin", "derived"), _negated=True),
                            ("stark_key__isnull", True),
                            _connector="OR",
                        ),
                        name="onboarding_derived_keeps_no_key",
                    ),
                ],
            },
        ),
    ]
