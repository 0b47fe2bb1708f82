"""Stark keys and connected venue accounts."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q

import astrade.core.fields

NETWORKS = [("testnet", "Testnet"), ("mainnet", "Mainnet")]


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_two_factor")]

    operations = [
        migrations.CreateModel(
            name="StarkKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=astrade.core.fields.public_id, editable=False, unique=True)),
                ("network", models.CharField(choices=NETWORKS, max_length=8)),
                ("public_key", models.CharField(max_length=66, unique=True)),
                ("private_key", models.BinaryField(max_length=128, null=True)),
                (
                    "origin",
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
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="stark_keys",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(public_key__regex="^0x[1-9a-f][0-9a-f]{0,62}$"), name="stark_key_canonical"
                    ),
                    models.CheckConstraint(
                        condition=Q(network__in=["testnet", "mainnet"]), name="stark_key_network_known"
                    ),
                    models.CheckConstraint(
                        condition=~Q(origin="external") | Q(private_key__isnull=True),
                        name="stark_key_external_is_public",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="VenueCredential",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=astrade.core.fields.public_id, editable=False, unique=True)),
                ("venue", models.CharField(choices=[("extended", "Extended")], max_length=8)),
                ("network", models.CharField(choices=NETWORKS, max_length=8)),
                (
                    "signing",
                    models.CharField(
                        choices=[("delegated", "Delegated"), ("user_signed", "User Signed")], max_length=11
                    ),
                ),
                ("api_key", models.BinaryField(max_length=256, null=True)),
                ("venue_account_id", models.BigIntegerField()),
                ("vault", models.BigIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[("active", "Active"), ("refused", "Refused"), ("removed", "Removed")],
                        default="active",
                        max_length=7,
                    ),
                ),
                ("checked_at", models.DateTimeField()),
                ("created_at", models.DateTimeField()),
                (
                    "stark_key",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="credentials",
                        to="accounts.starkkey",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="venue_credentials",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=~Q(state="removed"),
                        fields=("user", "venue", "network"),
                        name="venue_credential_one_connected",
                    ),
                    models.UniqueConstraint(
                        condition=Q(state="active"),
                        fields=("venue", "network", "vault"),
                        name="venue_credential_vault_once",
                    ),
                    models.CheckConstraint(
                        condition=Q(state="removed", api_key__isnull=True)
                        | (~Q(state="removed") & Q(api_key__isnull=False)),
                        name="venue_credential_removed_keeps_nothing",
                    ),
                    models.CheckConstraint(
                        condition=Q(vault__gte=0, vault__lt=2**32), name="venue_credential_vault_in_range"
                    ),
                    models.CheckConstraint(
                        condition=Q(network__in=["testnet", "mainnet"]), name="venue_credential_network_known"
                    ),
                    models.CheckConstraint(
                        condition=Q(state__in=["active", "refused", "removed"]), name="venue_credential_state_known"
                    ),
                ],
            },
        ),
    ]
