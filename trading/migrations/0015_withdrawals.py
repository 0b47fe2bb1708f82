"""Withdrawals of live accounts, the addresses they may go to, and the venues' history of funds."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import astrade.core.fields


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0014_prepared_orders"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="tradingaccount",
            name="movements_looked_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="case",
            name="kind",
            field=models.CharField(
                choices=[
                    ("overfilled", "Overfilled"),
                    ("filled_after_rejection", "Filled After Rejection"),
                    ("alive_after_rejection", "Alive After Rejection"),
                    ("unknown_order", "Unknown Order"),
                    ("balance_differs", "Balance Differs"),
                    ("position_differs", "Position Differs"),
                    ("unplaced_trade", "Unplaced Trade"),
                    ("protection_lost", "Protection Lost"),
                    ("unknown_withdrawal", "Unknown Withdrawal"),
                    ("settled_after_failure", "Settled After Failure"),
                    ("withdrawal_differs", "Withdrawal Differs"),
                ],
                max_length=32,
            ),
        ),
        migrations.AlterField(
            model_name="deposit",
            name="source",
            field=models.CharField(
                choices=[("faucet", "Faucet"), ("venue", "Venue"), ("claim", "Claim")], max_length=16
            ),
        ),
        migrations.AlterField(
            model_name="hold",
            name="purpose",
            field=models.CharField(choices=[("adjustment", "adjustment"), ("withdrawal", "withdrawal")], max_length=16),
        ),
        migrations.CreateModel(
            name="WithdrawalAddress",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=astrade.core.fields.public_id, editable=False, unique=True)),
                ("network", models.CharField(choices=[("testnet", "Testnet"), ("mainnet", "Mainnet")], max_length=8)),
                ("address", models.CharField(max_length=66)),
                ("label", models.CharField(max_length=80)),
                ("added_at", models.DateTimeField()),
                ("usable_at", models.DateTimeField()),
                ("removed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Withdrawal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=astrade.core.fields.public_id, editable=False, unique=True)),
                ("asset", models.CharField(max_length=16)),
                ("amount", astrade.core.fields.AmountField(decimal_places=18, max_digits=38)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("requested", "requested"),
                            ("awaiting_approval", "awaiting_approval"),
                            ("approved", "approved"),
                            ("sent", "sent"),
                            ("unknown", "unknown"),
                            ("settled", "settled"),
                            ("failed", "failed"),
                            ("cancelled", "cancelled"),
                        ],
                        default="requested",
                        max_length=20,
                    ),
                ),
                ("reason", models.CharField(blank=True, default="", max_length=64)),
                ("message", models.CharField(blank=True, default="", max_length=300)),
                ("requested_at", models.DateTimeField()),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("stark_public_key", models.CharField(blank=True, max_length=66, null=True)),
                ("nonce", models.BigIntegerField(blank=True, null=True)),
                ("signed_at", models.DateTimeField(blank=True, null=True)),
                ("deadline_at", models.DateTimeField(blank=True, null=True)),
                ("venue_withdrawal_id", models.CharField(blank=True, max_length=128, null=True)),
                ("fee", astrade.core.fields.AmountField(blank=True, decimal_places=18, max_digits=38, null=True)),
                ("lookups", models.PositiveSmallIntegerField(default=0)),
                ("first_lookup_at", models.DateTimeField(blank=True, null=True)),
                ("last_lookup_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="withdrawals",
                        to="trading.tradingaccount",
                    ),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "entry",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="withdrawal",
                        to="trading.journalentry",
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "address",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="withdrawals",
                        to="trading.withdrawaladdress",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="VenueMovement",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("movement_id", models.CharField(max_length=128)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("deposit", "deposit"),
                            ("claim", "claim"),
                            ("transfer", "transfer"),
                            ("withdrawal", "withdrawal"),
                            ("other", "other"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[("pending", "pending"), ("completed", "completed"), ("rejected", "rejected")],
                        max_length=16,
                    ),
                ),
                ("amount", astrade.core.fields.AmountField(decimal_places=18, max_digits=38)),
                ("fee", astrade.core.fields.AmountField(blank=True, decimal_places=18, max_digits=38, null=True)),
                ("at", models.DateTimeField()),
                ("is_opening", models.BooleanField(default=False)),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="trading.tradingaccount",
                    ),
                ),
                (
                    "entry",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="trading.journalentry",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("status", "pending")), fields=["account"], name="venue_movement_pending"
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("account", "movement_id"), name="venue_movement_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("entry", None), models.Q(("is_opening", False), ("status", "completed")), _connector="OR"
                        ),
                        name="venue_movement_booked_when_completed",
                    ),
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="withdrawaladdress",
            constraint=models.UniqueConstraint(
                condition=models.Q(("removed_at__isnull", True)),
                fields=("user", "network", "address"),
                name="withdrawal_address_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="withdrawaladdress",
            constraint=models.CheckConstraint(
                condition=models.Q(("address__regex", "^0x[1-9a-f][0-9a-f]{0,62}$")),
                name="withdrawal_address_canonical",
            ),
        ),
        migrations.AddConstraint(
            model_name="withdrawaladdress",
            constraint=models.CheckConstraint(
                condition=models.Q(("network__in", ["testnet", "mainnet"])), name="withdrawal_address_network_known"
            ),
        ),
        migrations.AddIndex(
            model_name="withdrawal",
            index=models.Index(fields=["account", "-id"], name="withdrawal_by_account"),
        ),
        migrations.AddIndex(
            model_name="withdrawal",
            index=models.Index(
                condition=models.Q(("state__in", ["approved", "awaiting_approval", "requested", "sent", "unknown"])),
                fields=["id"],
                name="withdrawal_under_way",
            ),
        ),
        migrations.AddConstraint(
            model_name="withdrawal",
            constraint=models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="withdrawal_moves_something"),
        ),
        migrations.AddConstraint(
            model_name="withdrawal",
            constraint=models.CheckConstraint(
                condition=models.Q(("decided_by", models.F("requested_by")), _negated=True),
                name="withdrawal_decided_by_somebody_else",
            ),
        ),
        migrations.AddConstraint(
            model_name="withdrawal",
            constraint=models.UniqueConstraint(
                condition=models.Q(("nonce__isnull", False)),
                fields=("stark_public_key", "nonce"),
                name="withdrawal_nonce_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="withdrawal",
            constraint=models.UniqueConstraint(
                condition=models.Q(("venue_withdrawal_id__isnull", False)),
                fields=("account", "venue_withdrawal_id"),
                name="withdrawal_venue_id_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="withdrawal",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("signed_at__isnull", False),
                    ("state__in", ["approved", "requested", "unknown"]),
                    ("venue_withdrawal_id__isnull", True),
                ),
                fields=("account",),
                name="withdrawal_one_unanswered_an_account",
            ),
        ),
        migrations.AddConstraint(
            model_name="withdrawal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("entry__isnull", False), ("state", "settled")),
                    models.Q(models.Q(("state", "settled"), _negated=True), ("entry", None)),
                    _connector="OR",
                ),
                name="withdrawal_settled_by_an_entry",
            ),
        ),
        migrations.AddConstraint(
            model_name="withdrawal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "cancelled"), _negated=True), ("signed_at", None), _connector="OR"
                ),
                name="withdrawal_cancelled_was_not_sent",
            ),
        ),
        migrations.AddConstraint(
            model_name="withdrawal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "approved"), _negated=True), ("decided_by__isnull", False), _connector="OR"
                ),
                name="withdrawal_approved_by_somebody",
            ),
        ),
    ]
