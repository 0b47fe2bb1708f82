"""Holds, what becomes of proposals that nobody decided, and orders that take their time to arrive."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

import astrade.core.fields
import trading.models.base

PROTECT = django.db.models.deletion.PROTECT
STATES = [(name, name.title()) for name in ("pending", "approved", "rejected", "withdrawn", "expired")]
OPEN = ["pending", "approved"]
ENDS_ONCE = """
CREATE FUNCTION trading_hold_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.state = 'held' AND NEW.state IN ('settled', 'released')
       AND to_jsonb(NEW) - '{state,ended_at,entry_id}'::text[] = to_jsonb(OLD) - '{state,ended_at,entry_id}'::text[] THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% of hold % refused: it ends once, and nothing else of it changes', TG_OP, OLD.id
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER trading_hold_ends_once BEFORE UPDATE OR DELETE ON trading_hold
FOR EACH ROW EXECUTE FUNCTION trading_hold_ends_once();
"""
ENDS_AT_WILL = """
DROP TRIGGER trading_hold_ends_once ON trading_hold;
DROP FUNCTION trading_hold_ends_once();
"""
STAND_A_WEEK = "UPDATE trading_adjustmentproposal SET expires_at = proposed_at + interval '7 days'"


class Migration(migrations.Migration):
    dependencies = [("trading", "0010_twap")]

    operations = [
        migrations.CreateModel(
            name="Hold",
            fields=[
                (
                    "id",
                    models.BigIntegerField(
                        db_default=trading.models.base.NextRowId(), primary_key=True, serialize=False
                    ),
                ),
                ("uuid", models.UUIDField(default=astrade.core.fields.public_id, editable=False, unique=True)),
                ("asset", models.CharField(max_length=16)),
                ("amount", astrade.core.fields.AmountField(decimal_places=18, max_digits=38)),
                ("purpose", models.CharField(choices=[("adjustment", "adjustment")], max_length=16)),
                ("reference", models.CharField(max_length=100)),
                (
                    "state",
                    models.CharField(
                        choices=[(name, name) for name in ("held", "settled", "released")],
                        default="held",
                        max_length=16,
                    ),
                ),
                ("held_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False, on_delete=PROTECT, related_name="holds", to="trading.tradingaccount"
                    ),
                ),
                (
                    "entry",
                    models.OneToOneField(
                        null=True, on_delete=PROTECT, related_name="settled_hold", to="trading.journalentry"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("account", "reference"), name="hold_once_a_reference"),
                    models.CheckConstraint(condition=Q(amount__gt=0), name="hold_binds_something"),
                    models.CheckConstraint(
                        condition=Q(state="held", ended_at=None, entry=None)
                        | Q(state="released", ended_at__isnull=False, entry=None)
                        | Q(state="settled", ended_at__isnull=False, entry__isnull=False),
                        name="hold_ended_as_its_state_says",
                    ),
                ],
                "indexes": [models.Index(condition=Q(state="held"), fields=["account"], name="hold_in_force")],
            },
        ),
        migrations.RunSQL(ENDS_ONCE, ENDS_AT_WILL),
        migrations.AddField("tradingaccount", "simulated_latency_ms", models.PositiveSmallIntegerField(default=0)),
        migrations.AddConstraint(
            "tradingaccount",
            models.CheckConstraint(condition=Q(simulated_latency_ms__lte=5000), name="account_latency_in_range"),
        ),
        migrations.AddField("order", "arrives_at", models.DateTimeField(null=True)),
        migrations.AddField(
            "order",
            "reserve_price",
            astrade.core.fields.AmountField(decimal_places=18, max_digits=38, null=True),
        ),
        migrations.AddIndex(
            "order",
            models.Index(
                condition=Q(status="submitted", arrives_at__isnull=False),
                fields=["arrives_at", "id"],
                name="order_on_its_way",
            ),
        ),
        migrations.AddField("adjustmentproposal", "expires_at", models.DateTimeField(null=True)),
        migrations.RunSQL(STAND_A_WEEK, migrations.RunSQL.noop),
        migrations.AlterField("adjustmentproposal", "expires_at", models.DateTimeField()),
        migrations.AlterField(
            "adjustmentproposal", "state", models.CharField(choices=STATES, default="pending", max_length=16)
        ),
        migrations.RemoveConstraint("adjustmentproposal", "adjustment_one_reversal_an_entry"),
        migrations.RemoveConstraint("adjustmentproposal", "adjustment_decided_as_its_state_says"),
        migrations.AddConstraint(
            "adjustmentproposal",
            models.UniqueConstraint(
                condition=Q(state__in=OPEN), fields=("reverses",), name="adjustment_one_reversal_an_entry"
            ),
        ),
        migrations.AddConstraint(
            "adjustmentproposal",
            models.CheckConstraint(
                condition=Q(state="pending", decided_by=None, decided_at=None, entry=None)
                | Q(state="rejected", decided_by__isnull=False, decided_at__isnull=False, entry=None)
                | Q(state__in=["withdrawn", "expired"], decided_by=None, decided_at__isnull=False, entry=None)
                | Q(state="approved", decided_by__isnull=False, decided_at__isnull=False, entry__isnull=False),
                name="adjustment_decided_as_its_state_says",
            ),
        ),
        migrations.AddIndex(
            "adjustmentproposal",
            models.Index(condition=Q(state="pending"), fields=["expires_at"], name="adjustment_by_expiry"),
        ),
    ]
