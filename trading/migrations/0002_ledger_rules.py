"""What the database itself holds of the ledger: balanced entries, and history that nobody changes (DESIGN §4.3)."""

from django.db import migrations

from astrade.core.triggers import append_only_trigger

BALANCED = """
CREATE FUNCTION trading_refuse_unbalanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE unbalanced bigint;
BEGIN
    SELECT entry_id INTO unbalanced FROM written GROUP BY entry_id, asset HAVING sum(amount) <> 0 LIMIT 1;
    IF unbalanced IS NOT NULL THEN
        RAISE EXCEPTION 'postings of entry % do not sum to zero', unbalanced USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER trading_posting_balanced AFTER INSERT ON trading_posting
REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION trading_refuse_unbalanced();
"""
UNBALANCED = """
DROP TRIGGER trading_posting_balanced ON trading_posting;
DROP FUNCTION trading_refuse_unbalanced();
"""
HISTORY = ("trading_journalentry", "trading_posting", "trading_event", "trading_fill", "trading_ordertransition")


class Migration(migrations.Migration):
    dependencies = [("trading", "0001_initial")]

    operations = [
        migrations.RunSQL(BALANCED, UNBALANCED),
        *(operation for table in HISTORY for operation in append_only_trigger(table)),
    ]
