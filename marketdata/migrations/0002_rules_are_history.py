from django.db import migrations

from astrade.core.triggers import append_only_trigger


class Migration(migrations.Migration):
    dependencies = [("marketdata", "0001_initial")]
    operations = [*append_only_trigger("marketdata_marketrules")]
