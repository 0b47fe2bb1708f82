"""What someone agreed to: history, so the database refuses to change it."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from astrade.core.triggers import append_only_trigger


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_wallet_users")]

    operations = [
        migrations.CreateModel(
            name="Consent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("document", models.CharField(max_length=32)),
                ("version", models.CharField(max_length=32)),
                ("at", models.DateTimeField()),
                ("ip", models.GenericIPAddressField(blank=True, null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="consents",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("user", "document", "version"), name="consent_once"),
                ],
            },
        ),
        *append_only_trigger("accounts_consent"),
    ]
