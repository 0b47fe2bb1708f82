"""Named points at which a process is held until it has been killed: a trap in the database makes it wait there.

    with trapped(system, "web", on="trading_event", at=Point.BEFORE_COMMIT) as trap:
        ...                 # provoke it
        trap.kill()         # once it waits there
    # what it did, or didn't, is decided now

Each trigger takes a shared advisory lock that names the process and the table (and the row's `name` where it has one);
the trap holds that lock exclusively.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

import psycopg

from astrade.tests.crash_system import SOON_S, System, eventually


class Point(IntEnum):
    """When the process waits: all is written but COMMIT isn't sent, or COMMIT is sent and its answer never comes.

    After the second the transaction stands, but neither was it announced nor was anybody answered.
    """

    BEFORE_COMMIT = 1
    AFTER_COMMIT = 2


CHANGES = {"trading_event": "INSERT", "trading_readerposition": "UPDATE", "trading_equitysnapshot": "INSERT"}
WAITING = """
SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database AND d.datname = current_database()
WHERE locktype = 'advisory' AND NOT granted AND classid = %s AND objid = %s
"""
SESSIONS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s
"""
FUNCTION = """
CREATE FUNCTION crash_point() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(
        TG_ARGV[0]::int,
        hashtext(concat_ws(':', current_setting('application_name'), TG_TABLE_NAME, to_jsonb(NEW)->>'name'))
    );
    RETURN NULL;
END $$
"""
BEFORE = """
CREATE TRIGGER crash_before_commit AFTER {change} ON {table}
FOR EACH ROW EXECUTE FUNCTION crash_point({point})
"""
AFTER = """
CREATE CONSTRAINT TRIGGER crash_after_commit AFTER {change} ON {table}
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION crash_point({point})
"""


def set_traps(database: psycopg.Connection[tuple[object, ...]]) -> None:
    """Put the triggers into the database; they do nothing until a trap is set."""
    database.execute(FUNCTION)
    for table, change in CHANGES.items():
        for statement, point in ((BEFORE, Point.BEFORE_COMMIT), (AFTER, Point.AFTER_COMMIT)):
            database.execute(statement.format(table=table, change=change, point=int(point)).encode())


@dataclass(frozen=True, slots=True)
class Trap:
    """A set trap."""

    system: System
    name: str
    point: Point
    key: int

    def await_catch(self) -> None:
        """Wait until the process is in the trap."""
        eventually(f"{self.name} waits at {self.point.name}", self._is_waiting, within_s=SOON_S)

    def kill(self) -> None:
        """Kill the process where it waits."""
        self.await_catch()
        self.system.kill(self.name)

    def _is_waiting(self) -> bool:
        return bool(self.system.value(WAITING, int(self.point), self.key & 0xFFFFFFFF))


@contextmanager
def trapped(system: System, name: str, *, on: str, at: Point) -> Iterator[Trap]:
    """Hold the process `name` where it has changed table `on`; let go at the end, and wait until the database has ended
    the sessions of what was killed."""
    key = system.value("SELECT hashtext(%s)", f"{name}:{on}")
    system.rows("SELECT pg_advisory_lock(%s, %s)", int(at), key)
    try:
        yield Trap(system, name, at, key)
    finally:
        system.rows("SELECT pg_advisory_unlock(%s, %s)", int(at), key)
    if name not in system.running:
        # All of them: a session opened after the trap was set may be the one that was caught in it.
        eventually("its sessions are gone", lambda: not system.value(SESSIONS, name), within_s=SOON_S)
