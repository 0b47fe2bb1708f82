"""What a wallet app says of the user it signs up."""

from django.db import migrations, models
from django.db.models import Q

NAME = "user_closed_is_anonymous"


def text(length: int) -> models.CharField:
    return models.CharField(blank=True, db_default="", default="", max_length=length)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_venue_keys")]

    operations = [
        migrations.AddField("user", "provider", text(16)),
        migrations.AddField("user", "cavos_user_id", text(128)),
        migrations.AddField(
            "user", "claimed_email", models.EmailField(blank=True, db_default="", default="", max_length=254)
        ),
        migrations.RemoveConstraint("user", NAME),
        migrations.AddConstraint(
            "user",
            models.CheckConstraint(
                condition=~Q(state="closed")
                | Q(email__isnull=True, is_staff=False, cavos_user_id="", claimed_email=""),
                name=NAME,
            ),
        ),
    ]
