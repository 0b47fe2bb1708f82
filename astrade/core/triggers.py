"""What the database itself refuses: changing or removing a row of history. For use in migrations."""

from django.db.migrations.operations import RunSQL

APPEND_ONLY_TRIGGER = "astrade_append_only"

FUNCTION = """
CREATE OR REPLACE FUNCTION astrade_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' AND current_setting('astrade.flush', true) = 'on' THEN
        RETURN NULL;  -- the tests' flush; processes don't have the right to TRUNCATE at all
    END IF;
    RAISE EXCEPTION '% of % refused: its rows are history', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$
"""
CREATE = """
CREATE TRIGGER {trigger} BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION astrade_refuse_change()
"""
DROP = "DROP TRIGGER {trigger} ON {table}"


def append_only_trigger(table: str) -> list[RunSQL]:
    """Operations that make `table` refuse UPDATE, DELETE and TRUNCATE.

    The trigger also marks the table: `migrate` gives the role of the processes no right to change such a table.
    """
    names = {"trigger": APPEND_ONLY_TRIGGER, "table": table}
    return [
        RunSQL(FUNCTION, reverse_sql=RunSQL.noop),
        RunSQL(CREATE.format(**names), reverse_sql=DROP.format(**names)),
    ]
