"""A user connects several accounts of a venue and network, each by its vault."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0007_onboarding"),
    ]

    operations = [
        migrations.RemoveConstraint("venuecredential", "venue_credential_one_connected"),
        migrations.AddConstraint(
            "venuecredential",
            models.UniqueConstraint(
                condition=~models.Q(state="removed"),
                fields=("user", "venue", "network", "vault"),
                name="venue_credential_one_a_vault",
            ),
        ),
    ]
