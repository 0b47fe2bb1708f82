"""Transfers between live accounts, and withdrawals that their users sign."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

import astrade.core.fields

KINDS = (
    "overfilled", "filled_after_rejection", "alive_after_rejection", "unknown_order", "balance_differs",
    "position_differs", "unplaced_trade", "protection_lost", "unknown_withdrawal", "settled_after_failure",
    "withdrawal_differs", "unknown_transfer", "transfer_differs",
)  # fmt: skip
PURPOSES = ("adjustment", "withdrawal", "transfer")
STATES = ("requested", "awaiting_approval", "approved", "sent", "unknown", "settled", "failed", "cancelled")
UNANSWERED = Q(state__in=["approved", "requested", "unknown"], signed_at__isnull=False, venue_movement_id__isnull=True)
OPEN = Q(state__in=["approved", "awaiting_approval", "requested", "sent", "unknown"])


def row_id() -> models.BigAutoField:
    return models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


def public_id() -> models.UUIDField:
    return models.UUIDField(default=astrade.core.fields.public_id, editable=False, unique=True)


def account(**options: object) -> models.ForeignKey:
    return models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="trading.tradingaccount", **options)


def one(to: str, related_name: str, **options: object) -> models.OneToOneField:
    return models.OneToOneField(
        on_delete=django.db.models.deletion.PROTECT, to=f"trading.{to}", related_name=related_name, **options
    )


def venue_id_once(table: str) -> models.UniqueConstraint:
    return models.UniqueConstraint(
        fields=("account", "venue_movement_id"),
        condition=Q(venue_movement_id__isnull=False),
        name=f"{table}_venue_id_once",
    )


def one_unanswered(table: str) -> models.UniqueConstraint:
    return models.UniqueConstraint(fields=("account",), condition=UNANSWERED, name=f"{table}_one_unanswered_an_account")


class Migration(migrations.Migration):
    dependencies = [("trading", "0015_withdrawals")]

    operations = [
        migrations.RemoveConstraint("withdrawal", "withdrawal_venue_id_once"),
        migrations.RemoveConstraint("withdrawal", "withdrawal_one_unanswered_an_account"),
        migrations.RenameField("withdrawal", "venue_withdrawal_id", "venue_movement_id"),
        migrations.AddConstraint("withdrawal", venue_id_once("withdrawal")),
        migrations.AddConstraint("withdrawal", one_unanswered("withdrawal")),
        migrations.AlterField(
            "case", "kind", models.CharField(choices=[(k, k.replace("_", " ").title()) for k in KINDS], max_length=32)
        ),
        migrations.AlterField(
            "hold", "purpose", models.CharField(choices=[(name, name) for name in PURPOSES], max_length=16)
        ),
        migrations.CreateModel(
            name="PreparedWithdrawal",
            fields=[
                ("id", row_id()),
                ("uuid", public_id()),
                ("account", account(related_name="+")),
                ("stark_public_key", models.CharField(max_length=66)),
                ("nonce", models.BigIntegerField()),
                ("hash", models.CharField(max_length=66)),
                ("fingerprint", models.CharField(max_length=64)),
                ("submit_before", models.DateTimeField()),
                ("prepared_at", models.DateTimeField()),
                ("send_before", models.DateTimeField()),
                ("withdrawal", one("withdrawal", "prepared", null=True)),
                ("signature_r", models.CharField(max_length=66, null=True)),
                ("signature_s", models.CharField(max_length=66, null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("stark_public_key", "nonce"), name="prepared_withdrawal_nonce_once"
                    ),
                    models.CheckConstraint(
                        condition=Q(hash__regex="^0x[0-9a-f]{1,64}$"), name="prepared_withdrawal_hash_shape"
                    ),
                    models.CheckConstraint(
                        condition=Q(withdrawal=None, signature_r=None, signature_s=None)
                        | Q(withdrawal__isnull=False, signature_r__isnull=False, signature_s__isnull=False),
                        name="prepared_withdrawal_is_signed",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="VenueTransfer",
            fields=[
                ("id", row_id()),
                ("uuid", public_id()),
                ("account", account(related_name="venue_transfers", db_index=False)),
                ("transfer", one("transfer", "at_venue")),
                ("amount", astrade.core.fields.AmountField(decimal_places=18, max_digits=38)),
                (
                    "state",
                    models.CharField(choices=[(state, state) for state in STATES], default="requested", max_length=20),
                ),
                ("reason", models.CharField(blank=True, default="", max_length=64)),
                ("message", models.CharField(blank=True, default="", max_length=300)),
                ("stark_public_key", models.CharField(blank=True, max_length=66, null=True)),
                ("nonce", models.BigIntegerField(blank=True, null=True)),
                ("signed_at", models.DateTimeField(blank=True, null=True)),
                ("deadline_at", models.DateTimeField(blank=True, null=True)),
                ("venue_movement_id", models.CharField(blank=True, max_length=128, null=True)),
                ("lookups", models.PositiveSmallIntegerField(default=0)),
                ("first_lookup_at", models.DateTimeField(blank=True, null=True)),
                ("last_lookup_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("entry", one("journalentry", "venue_transfer", blank=True, null=True)),
            ],
            options={
                "indexes": [
                    models.Index(fields=["account", "-id"], name="venue_transfer_by_account"),
                    models.Index(fields=["id"], condition=OPEN, name="venue_transfer_under_way"),
                ],
                "constraints": [
                    models.CheckConstraint(condition=Q(amount__gt=0), name="venue_transfer_moves_something"),
                    models.UniqueConstraint(
                        fields=("stark_public_key", "nonce"),
                        condition=Q(nonce__isnull=False),
                        name="venue_transfer_nonce_once",
                    ),
                    venue_id_once("venue_transfer"),
                    one_unanswered("venue_transfer"),
                    models.CheckConstraint(
                        condition=Q(state="settled", entry__isnull=False) | (~Q(state="settled") & Q(entry=None)),
                        name="venue_transfer_settled_by_an_entry",
                    ),
                ],
            },
        ),
        migrations.AddField("venuemovement", "transfer", one("venuetransfer", "arrival", blank=True, null=True)),
    ]
