"""Accounts at venues: how orders stand there, what came and can't be placed, cases for staff."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import astrade.core.fields


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0006_consent"),
        ("marketdata", "0003_position_limit"),
        ("trading", "0011_holds"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Case",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("overfilled", "Overfilled"),
                            ("filled_after_rejection", "Filled After Rejection"),
                            ("alive_after_rejection", "Alive After Rejection"),
                            ("unknown_order", "Unknown Order"),
                            ("balance_differs", "Balance Differs"),
                            ("position_differs", "Position Differs"),
                            ("unplaced_trade", "Unplaced Trade"),
                        ],
                        max_length=32,
                    ),
                ),
                ("subject", models.CharField(max_length=128)),
                ("figures", models.JSONField(default=dict)),
                ("opened_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("note", models.TextField(blank=True, default="")),
            ],
        ),
        migrations.CreateModel(
            name="VenueMessage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=16)),
                ("key", models.CharField(max_length=64)),
                ("body", models.JSONField()),
                ("received_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("understood_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="VenueOrder",
            fields=[
                (
                    "order",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="at_venue",
                        serialize=False,
                        to="trading.order",
                    ),
                ),
                ("external_id", models.CharField(max_length=128)),
                ("stark_public_key", models.CharField(max_length=66, null=True)),
                ("nonce", models.BigIntegerField(null=True)),
                ("price", astrade.core.fields.AmountField(decimal_places=18, max_digits=38, null=True)),
                ("fee_rate", astrade.core.fields.AmountField(decimal_places=18, max_digits=38, null=True)),
                ("expires_at", models.DateTimeField(null=True)),
                ("deadline_at", models.DateTimeField(null=True)),
                ("cancel_requested_at", models.DateTimeField(null=True)),
                ("shown_at", models.DateTimeField(null=True)),
                ("lookups", models.PositiveSmallIntegerField(default=0)),
                ("first_lookup_at", models.DateTimeField(null=True)),
                ("last_lookup_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddField(
            model_name="order",
            name="venue_order_id",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="tradingaccount",
            name="credential",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="trading_accounts",
                to="accounts.venuecredential",
            ),
        ),
        migrations.AddField(
            model_name="tradingaccount",
            name="last_funding_id",
            field=models.CharField(blank=True, default="", max_length=64),
        ),
        migrations.AddField(
            model_name="tradingaccount",
            name="last_trade_id",
            field=models.CharField(blank=True, default="", max_length=64),
        ),
        migrations.AddField(
            model_name="tradingaccount",
            name="opened_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="tradingaccount",
            name="synced_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="tradingaccount",
            name="venue",
            field=models.CharField(
                choices=[("practice", "Practice"), ("extended", "Extended")], default="practice", max_length=16
            ),
        ),
        migrations.AddConstraint(
            model_name="order",
            constraint=models.UniqueConstraint(
                condition=models.Q(("venue_order_id__isnull", False)),
                fields=("account", "venue_order_id"),
                name="order_venue_order_id_once",
            ),
        ),
        migrations.AddField(
            model_name="case",
            name="account",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="cases", to="trading.tradingaccount"
            ),
        ),
        migrations.AddField(
            model_name="case",
            name="closed_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="venuemessage",
            name="account",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="trading.tradingaccount",
            ),
        ),
        migrations.AddField(
            model_name="venueorder",
            name="account",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="trading.tradingaccount",
            ),
        ),
        migrations.AddIndex(
            model_name="case",
            index=models.Index(condition=models.Q(("closed_at__isnull", True)), fields=["-id"], name="case_open"),
        ),
        migrations.AddConstraint(
            model_name="case",
            constraint=models.UniqueConstraint(
                condition=models.Q(("closed_at__isnull", True)),
                fields=("account", "kind", "subject"),
                name="case_open_once",
            ),
        ),
        migrations.AddIndex(
            model_name="venuemessage",
            index=models.Index(
                condition=models.Q(("understood_at__isnull", True)),
                fields=["account", "id"],
                name="venue_message_waiting",
            ),
        ),
        migrations.AddConstraint(
            model_name="venuemessage",
            constraint=models.UniqueConstraint(fields=("account", "kind", "key"), name="venue_message_once"),
        ),
        migrations.AddConstraint(
            model_name="venueorder",
            constraint=models.UniqueConstraint(fields=("account", "external_id"), name="venue_order_external_id_once"),
        ),
        migrations.AddConstraint(
            model_name="venueorder",
            constraint=models.UniqueConstraint(
                condition=models.Q(("nonce__isnull", False)),
                fields=("stark_public_key", "nonce"),
                name="venue_order_nonce_once",
            ),
        ),
    ]
