"""What the machine needs of the database: a clock that it sets, transactions that stop at their COMMIT, and an auditor.

The functions of a schema `machine` stand before PostgreSQL's own in the search path of every new connection, so that
bookings, leases and what is due go by the machine's clock. A deferred trigger, the last thing before a COMMIT, ends the
session there or holds it until it is let go; a session asks for that by settings of its own.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection
from psycopg.rows import tuple_row

from astrade.core.roles import as_owner

HOLD_KEY = 20260301
SOON_S = 30.0
LOOK_EVERY_S = 0.003
WRITTEN = (
    "trading_event",
    "trading_tradingaccount",
    "trading_orderrefusal",
    "trading_riskday",
    "trading_fundinghour",
    "trading_readerposition",
    "trading_adjustmentproposal",
    "gamification_missionstep",
)
SCHEMA = f"""
DROP SCHEMA IF EXISTS machine CASCADE;
CREATE SCHEMA machine;
CREATE TABLE machine.clock (now timestamptz NOT NULL);
INSERT INTO machine.clock VALUES (pg_catalog.clock_timestamp());
CREATE FUNCTION machine.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT now FROM machine.clock';
CREATE FUNCTION machine.statement_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT now FROM machine.clock';
CREATE FUNCTION machine.before_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE commits int := coalesce(nullif(current_setting('machine.commits', true), ''), '0')::int;
BEGIN
    IF commits = 0 OR current_setting('machine.seen', true) = pg_current_xact_id()::text THEN RETURN NULL; END IF;
    PERFORM set_config('machine.seen', pg_current_xact_id()::text, false);
    PERFORM set_config('machine.commits', (commits - 1)::text, false);
    IF commits > 1 THEN RETURN NULL; END IF;
    IF current_setting('machine.then') = 'die' THEN
        PERFORM pg_terminate_backend(pg_backend_pid());
        PERFORM pg_sleep(60);
    END IF;
    PERFORM pg_advisory_xact_lock_shared({HOLD_KEY});
    RETURN NULL;
END $$;
"""
TRIGGER = """
CREATE CONSTRAINT TRIGGER machine_before_commit AFTER INSERT OR UPDATE ON {table}
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION machine.before_commit();
"""
DEFAULT = "ALTER TABLE core_idempotencyrecord ALTER created_at SET DEFAULT {}statement_timestamp();"  # bound when made
RIGHTS = "GRANT USAGE ON SCHEMA machine TO {role}; GRANT SELECT ON machine.clock TO {role};"
OF_ACCOUNTS = "= ANY(current_setting('machine.accounts')::bigint[])"
ENTRIES = f"SELECT id FROM public.trading_journalentry WHERE account_id {OF_ACCOUNTS}"
ORDERS = f"SELECT id FROM public.trading_order WHERE account_id {OF_ACCOUNTS}"
OF_AN_ACCOUNT = (
    "trading_journalentry",
    "trading_cashbalance",
    "trading_event",
    "trading_order",
    "trading_orderrefusal",
    "trading_fill",
    "trading_position",
    "trading_closedposition",
    "trading_fundingpayment",
    "trading_liquidation",
    "trading_deposit",
    "trading_marketsetting",
    "trading_adjustmentproposal",
)
SHOWN = {
    "trading_tradingaccount": f"id {OF_ACCOUNTS}",
    "trading_posting": f"entry_id IN ({ENTRIES})",
    "trading_ordertransition": f"order_id IN ({ORDERS})",
    **dict.fromkeys(OF_AN_ACCOUNT, f"account_id {OF_ACCOUNTS}"),
}


class Stage:
    """The database of a test while a machine works on it; everything in autocommit on a session of its own.

    To the auditor each table of `SHOWN` holds the rows of the accounts that are looked at, and no others.
    """

    def __init__(self, auditor: psycopg.Connection[Any]) -> None:
        self._auditor = auditor
        auditor.execute("SET enable_seqscan = off; SET jit = off; SET search_path = public, pg_catalog")
        for table, condition in SHOWN.items():
            auditor.execute(f"CREATE TEMP VIEW {table} AS SELECT * FROM public.{table} WHERE {condition}".encode())

    def set_clock(self, now: datetime) -> None:
        """Let it be `now` for every statement from here on."""
        self._auditor.execute("UPDATE machine.clock SET now = %s", [now])

    def begin_at(self, began_at: datetime) -> None:
        """Let the auditor know when the example began."""
        self._auditor.execute("SELECT set_config('machine.began', %s, false)", [began_at.isoformat()])

    def look_at(self, account_ids: Sequence[int]) -> None:
        """Show the auditor these accounts."""
        text = "{" + ",".join(map(str, account_ids)) + "}"
        self._auditor.execute("SELECT set_config('machine.accounts', %s, false)", [text])

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What a query finds."""
        return self._auditor.execute(query.encode(), values or None, prepare=not values).fetchall()

    @contextmanager
    def holding_commits(self) -> Iterator[None]:
        """Whoever asked for it waits at its COMMIT until the block ends."""
        self._auditor.execute("SELECT pg_advisory_lock(%s)", [HOLD_KEY])
        try:
            yield
        finally:
            self._auditor.execute("SELECT pg_advisory_unlock(%s)", [HOLD_KEY])

    @contextmanager
    def holding_account(self, account_id: int) -> Iterator[None]:
        """Nobody gets the account's lock until the block ends."""
        with self._auditor.transaction(force_rollback=True):
            self._auditor.execute("SELECT 1 FROM public.trading_tradingaccount WHERE id = %s FOR UPDATE", [account_id])
            yield

    def await_standstill(self, pid: int, work: Future[Any]) -> None:
        """Return once the session waits for a lock or its work is done."""
        give_up_at = time.monotonic() + SOON_S
        while not wait([work], timeout=LOOK_EVERY_S).done:
            if self.rows("SELECT 1 FROM pg_locks WHERE NOT granted AND pid = %s", pid):
                return
            assert time.monotonic() < give_up_at, "neither done nor waiting"


@contextmanager
def set_stage() -> Iterator[Stage]:
    """Prepare the test database, and leave it as it was."""
    name, role = connection.settings_dict["NAME"], settings.DATABASE_ROLE
    with as_owner(connection):
        with connection.cursor() as cursor:
            triggers = "".join(TRIGGER.format(table=table) for table in WRITTEN)
            cursor.execute(SCHEMA + triggers + RIGHTS.format(role=role) + DEFAULT.format("machine."))
            cursor.execute(f'ALTER DATABASE "{name}" SET search_path = machine, public, pg_catalog')
        parameters = connection.get_connection_params()
    owner = {key: parameters[key] for key in ("host", "port", "user", "password", "dbname") if key in parameters}
    try:
        with psycopg.connect(**owner, autocommit=True, row_factory=tuple_row) as auditor:
            yield Stage(auditor)
    finally:
        with as_owner(connection), connection.cursor() as cursor:
            cursor.execute(f'ALTER DATABASE "{name}" RESET search_path')
            cursor.execute(DEFAULT.format("pg_catalog.") + "DROP SCHEMA machine CASCADE")
