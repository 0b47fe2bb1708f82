"""Halts, risk days, limits that owners set themselves, and the counters these are held against."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q

from astrade.core.fields import AmountField
from astrade.core.triggers import append_only_trigger

SCOPES = [("global", "global"), ("venue", "venue"), ("market", "market"), ("account", "account")]
PROTECT = django.db.models.deletion.PROTECT
COUNT_UP = """
UPDATE trading_tradingaccount a SET
  net_deposits = (SELECT coalesce(sum(p.amount), 0) FROM trading_journalentry e
                  JOIN trading_posting p ON p.entry_id = e.id AND p.ledger_account = 'cash'
                  WHERE e.account_id = a.id AND e.kind IN ('deposit', 'withdrawal', 'transfer', 'adjustment', 'bonus')),
  traded_notional = (SELECT coalesce(sum(f.price * f.quantity), 0) FROM trading_fill f WHERE f.account_id = a.id)
"""


def _own_limit(name: str, *, is_new: bool) -> list[migrations.AddField]:
    amount = AmountField(blank=True, decimal_places=18, max_digits=38, null=True)
    fields = [("tradingaccount", name, amount)] if is_new else []
    fields.append(("tradingaccount", f"{name}_next", amount))
    later = migrations.AddField("tradingaccount", f"{name}_next_at", models.DateTimeField(blank=True, null=True))
    return [*(migrations.AddField(*field) for field in fields), later]


def _counter(name: str) -> migrations.AddField:
    return migrations.AddField(
        "tradingaccount", name, AmountField(db_default=0, decimal_places=18, default=0, max_digits=38)
    )


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("accounts", "0002_safety"),
        ("marketdata", "0003_position_limit"),
        ("trading", "0004_order_changes"),
    ]

    operations = [
        *_own_limit("max_daily_loss", is_new=False),
        *_own_limit("max_daily_notional", is_new=True),
        _counter("net_deposits"),
        _counter("traded_notional"),
        migrations.RunSQL(COUNT_UP, migrations.RunSQL.noop),
        migrations.CreateModel(
            name="TradingHalt",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("scope", models.CharField(choices=SCOPES, max_length=8)),
                ("venue", models.CharField(blank=True, default="", max_length=16)),
                ("reason", models.CharField(max_length=200)),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "account",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=PROTECT,
                        related_name="halts",
                        to="trading.tradingaccount",
                    ),
                ),
                (
                    "market",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=PROTECT,
                        related_name="+",
                        to="marketdata.market",
                    ),
                ),
                *(
                    (
                        name,
                        models.ForeignKey(
                            db_index=False,
                            null=True,
                            on_delete=PROTECT,
                            related_name="+",
                            to=settings.AUTH_USER_MODEL,
                        ),
                    )
                    for name in ("set_by", "ended_by")
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["account", "market"], condition=Q(ended_at__isnull=True), name="halt_in_force")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(scope="global", venue="", market__isnull=True, account__isnull=True)
                        | (Q(scope="venue", market__isnull=True, account__isnull=True) & ~Q(venue=""))
                        | Q(scope="market", venue="", market__isnull=False, account__isnull=True)
                        | Q(scope="account", venue="", market__isnull=True, account__isnull=False),
                        name="halt_names_what_it_stops",
                    ),
                    models.CheckConstraint(condition=~Q(reason=""), name="halt_has_reason"),
                    models.CheckConstraint(
                        condition=Q(until__isnull=True) | Q(until__gt=F("since")), name="halt_ends_later"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RiskDay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                *(
                    (name, AmountField(decimal_places=18, max_digits=38))
                    for name in ("equity", "net_deposits", "traded_notional")
                ),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False, on_delete=PROTECT, related_name="risk_days", to="trading.tradingaccount"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("account", "starts_at"), name="risk_day_once"),
                    models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="risk_day_ends_later"),
                ],
            },
        ),
        *append_only_trigger("trading_riskday"),
    ]
