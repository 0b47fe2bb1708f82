from decimal import Decimal

import django.contrib.postgres.indexes
import django.db.models.deletion
from django.db import migrations, models

import astrade.core.fields
import trading.models.base
from astrade.core.triggers import append_only_trigger

HISTORY = ("trading_liquidation", "trading_fundingpayment")


def amount() -> astrade.core.fields.AmountField:
    return astrade.core.fields.AmountField(decimal_places=18, max_digits=38)


def reference(model: str, *, name: str = "+", null: bool = False) -> models.ForeignKey:
    return models.ForeignKey(
        db_constraint=False,
        db_index=False,
        null=null,
        on_delete=django.db.models.deletion.PROTECT,
        related_name=name,
        to=model,
    )


def row_id() -> models.BigIntegerField:
    return models.BigIntegerField(db_default=trading.models.base.NextRowId(), primary_key=True, serialize=False)


class Migration(migrations.Migration):
    dependencies = [("marketdata", "0002_rules_are_history"), ("trading", "0005_risk")]

    operations = [
        migrations.AddField(
            "position", "funding", astrade.core.fields.AmountField(decimal_places=18, default=Decimal(0), max_digits=38)
        ),
        migrations.AddField(
            "closedposition",
            "funding",
            astrade.core.fields.AmountField(decimal_places=18, default=Decimal(0), max_digits=38),
        ),
        migrations.AlterField(
            "posting",
            "ledger_account",
            models.CharField(
                choices=[
                    ("cash", "cash"),
                    ("external", "external"),
                    ("trading", "trading"),
                    ("fees", "fees"),
                    ("funding", "funding"),
                    ("clearing", "clearing"),
                    ("adjustments", "adjustments"),
                    ("insurance", "insurance"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddIndex("fill", django.contrib.postgres.indexes.BrinIndex(fields=["at"], name="fill_at_brin")),
        migrations.AddIndex("position", models.Index(fields=["market", "account"], name="position_by_market")),
        migrations.CreateModel(
            name="Liquidation",
            fields=[
                ("id", row_id()),
                ("account", reference("trading.tradingaccount", name="liquidations")),
                ("order", reference("trading.order", null=True)),
                ("market", reference("marketdata.market", null=True)),
                ("orders_cancelled", models.PositiveIntegerField()),
                ("quantity", amount()),
                ("notional", amount()),
                ("fee", amount()),
                ("insurance", amount()),
                ("equity", amount()),
                ("maintenance", amount()),
                ("equity_after", amount()),
                ("maintenance_after", amount()),
                ("at", models.DateTimeField()),
            ],
            options={
                "indexes": [models.Index(fields=["account", "-id"], name="liquidation_by_account")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("fee__gte", 0), ("insurance__gte", 0)),
                        name="liquidation_amounts_not_negative",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="FundingPayment",
            fields=[
                ("id", row_id()),
                ("uuid", models.UUIDField(default=astrade.core.fields.public_id, editable=False)),
                ("account", reference("trading.tradingaccount", name="funding_payments")),
                ("position", reference("trading.position")),
                ("market", reference("marketdata.market")),
                ("position_uuid", models.UUIDField(null=True)),
                ("hour", models.DateTimeField()),
                ("quantity", amount()),
                ("mark", amount()),
                ("rate", amount()),
                ("amount", amount()),
                ("at", models.DateTimeField()),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("account", "position", "hour"), name="funding_payment_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="FundingHour",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "market",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="marketdata.market",
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("rate", amount()),
                ("mark", astrade.core.fields.AmountField(decimal_places=18, max_digits=38, null=True)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("market", "hour"), name="funding_hour_once")],
            },
        ),
        *(operation for table in HISTORY for operation in append_only_trigger(table)),
    ]
