"""Daily roots over all balances, append-only, and the adjustments that two members of staff make together."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import astrade.core.fields
from astrade.core.triggers import append_only_trigger

PUBLISHED = ("trading_balanceroot", "trading_balanceleaf", "trading_balancetreelevel")
# Hashes do not compress, and a slice is then read without the rest.
SLICED = """
ALTER TABLE trading_balancetreelevel ALTER COLUMN hashes SET STORAGE EXTERNAL
"""
PROTECT = django.db.models.deletion.PROTECT


class Migration(migrations.Migration):
    dependencies = [("trading", "0007_simulator"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.CreateModel(
            name="BalanceRoot",
            fields=[
                ("number", models.BigIntegerField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField(unique=True)),
                ("accounts", models.PositiveIntegerField()),
                ("root", models.CharField(max_length=64)),
                ("salt", models.BinaryField(max_length=32)),
                ("previous_hash", models.CharField(max_length=64)),
                ("hash", models.CharField(max_length=64)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("accounts__gte", 1), ("number__gte", 1)), name="balance_root_counts"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="BalanceLeaf",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "root_id", "account_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "root",
                    models.ForeignKey(
                        db_index=False, on_delete=PROTECT, related_name="leaves", to="trading.balanceroot"
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(db_index=False, on_delete=PROTECT, related_name="+", to="trading.tradingaccount"),
                ),
                ("position", models.PositiveIntegerField()),
                ("entry_number", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="BalanceTreeLevel",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "root_id", "level", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "root",
                    models.ForeignKey(
                        db_index=False, on_delete=PROTECT, related_name="levels", to="trading.balanceroot"
                    ),
                ),
                ("level", models.PositiveSmallIntegerField()),
                ("hashes", models.BinaryField()),
            ],
        ),
        migrations.RunSQL(SLICED, migrations.RunSQL.noop),
        *(operation for table in PUBLISHED for operation in append_only_trigger(table)),
        migrations.CreateModel(
            name="AdjustmentProposal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=astrade.core.fields.public_id, editable=False, unique=True)),
                ("amount", astrade.core.fields.AmountField(decimal_places=18, max_digits=38)),
                ("reason", models.CharField(max_length=500)),
                ("may_overdraw", models.BooleanField(default=False)),
                (
                    "state",
                    models.CharField(
                        choices=[("pending", "Pending"), ("approved", "Approved"), ("rejected", "Rejected")],
                        default="pending",
                        max_length=16,
                    ),
                ),
                ("proposed_at", models.DateTimeField()),
                ("decided_at", models.DateTimeField(null=True)),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=PROTECT,
                        related_name="adjustment_proposals",
                        to="trading.tradingaccount",
                    ),
                ),
                (
                    "reverses",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=PROTECT,
                        related_name="reversals",
                        to="trading.journalentry",
                    ),
                ),
                (
                    "proposed_by",
                    models.ForeignKey(db_index=False, on_delete=PROTECT, related_name="+", to=settings.AUTH_USER_MODEL),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        db_index=False, null=True, on_delete=PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "entry",
                    models.OneToOneField(
                        null=True, on_delete=PROTECT, related_name="adjustment", to="trading.journalentry"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "rejected"), _negated=True),
                        fields=("reverses",),
                        name="adjustment_one_reversal_an_entry",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("decided_by", models.F("proposed_by")), _negated=True),
                        name="adjustment_decided_by_somebody_else",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decided_at", None), ("decided_by", None), ("entry", None), ("state", "pending")),
                            models.Q(
                                ("decided_at__isnull", False),
                                ("decided_by__isnull", False),
                                ("entry", None),
                                ("state", "rejected"),
                            ),
                            models.Q(
                                ("decided_at__isnull", False),
                                ("decided_by__isnull", False),
                                ("entry__isnull", False),
                                ("state", "approved"),
                            ),
                            _connector="OR",
                        ),
                        name="adjustment_decided_as_its_state_says",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("amount", 0), _negated=True), models.Q(("reason", ""), _negated=True)
                        ),
                        name="adjustment_moves_something",
                    ),
                ],
                "indexes": [models.Index(fields=["account", "-id"], name="adjustment_by_account")],
            },
        ),
        migrations.AddConstraint(
            model_name="journalentry",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "adjustment")),
                fields=("account", "reference"),
                name="entry_adjustment_once",
            ),
        ),
    ]
