"""When a user's days begin, and the cool-off they set themselves."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.AddField(
            "user", "previous_time_zone", models.CharField(blank=True, db_default="", default="", max_length=64)
        ),
        migrations.AddField("user", "time_zone_changed_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("user", "cool_off_until", models.DateTimeField(blank=True, null=True)),
    ]
