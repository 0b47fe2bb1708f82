"""XP entries are appended, never changed; the sequence that orders equal scores falls, so that the first one leads."""

from django.db import migrations

from astrade.core.triggers import append_only_trigger

LARGEST_EXACT_IN_JSON = 9_007_199_254_740_991  # 2**53 - 1
CREATE = f"CREATE SEQUENCE gamification_precedence INCREMENT -1 MINVALUE 1 MAXVALUE {LARGEST_EXACT_IN_JSON}"


class Migration(migrations.Migration):
    dependencies = [("gamification", "0001_initial")]

    operations = [
        *append_only_trigger("gamification_xpentry"),
        migrations.RunSQL(CREATE, reverse_sql="DROP SEQUENCE gamification_precedence"),
    ]
