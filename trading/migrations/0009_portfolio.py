"""Transfers, deposits, successors of closed accounts, and snapshots that know what money came and went."""

from decimal import Decimal

import django.db.models.deletion
from django.db import migrations, models

import astrade.core.fields
from astrade.core.triggers import append_only_trigger

HISTORY = ("trading_transfer", "trading_deposit")
# Up to here an account had one flow, the balance it was opened with: what its worth is to that is its growth.
SNAPSHOTS = """
UPDATE trading_equitysnapshot s SET flows = f.total, unit_value = s.equity / f.total
FROM (SELECT s.id, sum(p.amount) AS total
      FROM trading_equitysnapshot s
      JOIN trading_journalentry e ON e.account_id = s.account_id AND e.at <= s.at AND e.kind = 'deposit'
      JOIN trading_posting p ON p.entry_id = e.id AND p.ledger_account = 'cash'
      GROUP BY s.id) f
WHERE f.id = s.id AND f.total > 0
"""


def amount(**changes: object) -> astrade.core.fields.AmountField:
    return astrade.core.fields.AmountField(**{"decimal_places": 18, "max_digits": 38, **changes})


def row_id() -> models.BigAutoField:
    return models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


def public_id() -> models.UUIDField:
    return models.UUIDField(default=astrade.core.fields.public_id, editable=False, unique=True)


def account(related_name: str) -> models.ForeignKey:
    return models.ForeignKey(
        db_index=False,
        on_delete=django.db.models.deletion.PROTECT,
        related_name=related_name,
        to="trading.tradingaccount",
    )


class Migration(migrations.Migration):
    dependencies = [("trading", "0008_proofs")]

    operations = [
        migrations.AddField(
            "tradingaccount",
            "predecessor",
            models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="successor",
                to="trading.tradingaccount",
            ),
        ),
        migrations.AddField("equitysnapshot", "flows", amount(default=Decimal(0))),
        migrations.AddField(
            "equitysnapshot", "unit_value", amount(decimal_places=40, max_digits=60, default=Decimal(1))
        ),
        migrations.RunSQL(SNAPSHOTS, migrations.RunSQL.noop),
        migrations.CreateModel(
            name="Transfer",
            fields=[
                ("id", row_id()),
                ("uuid", public_id()),
                ("from_account", account("transfers_out")),
                ("to_account", account("transfers_in")),
                ("asset", models.CharField(max_length=16)),
                ("amount", amount()),
                ("at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["from_account", "-id"], name="transfer_by_sender"),
                    models.Index(fields=["to_account", "-id"], name="transfer_by_receiver"),
                ],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="transfer_moves_something"),
                    models.CheckConstraint(
                        condition=models.Q(("from_account", models.F("to_account")), _negated=True),
                        name="transfer_between_two_accounts",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Deposit",
            fields=[
                ("id", row_id()),
                ("uuid", public_id()),
                ("account", account("deposits")),
                ("source", models.CharField(choices=[("faucet", "Faucet")], max_length=16)),
                ("asset", models.CharField(max_length=16)),
                ("amount", amount()),
                ("at", models.DateTimeField()),
            ],
            options={
                "indexes": [models.Index(fields=["account", "at"], name="deposit_by_account")],
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("amount__gt", 0)), name="deposit_moves_something")
                ],
            },
        ),
        *(operation for table in HISTORY for operation in append_only_trigger(table)),
    ]
