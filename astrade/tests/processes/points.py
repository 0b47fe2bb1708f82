"""Named points at which a process is killed: a trap in the database holds it there until it is dead.

    with trapped(system, Point.CANCEL, at=Moment.LOADED, account=7) as trap:
        ...                 # provoke it
        trap.kill()         # once it waits there
    # what it did, or didn't, is decided now

The trap asks for an advisory lock which the test holds: a trigger on what is written, or a row policy on what every
booking reads once it has its account's lock.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, StrEnum, unique

from astrade.tests.processes.system import SOON_S, System, eventually


class Moment(StrEnum):
    """When the process waits. Its COMMIT travels with a booking's rows, so for bookings it is the first or the last."""

    LOADED = "loaded"  # it holds the account's lock and has read all it needs, but has written nothing
    WRITTEN = "written"  # all is written, but COMMIT isn't sent
    COMMITTED = "committed"  # COMMIT is sent; nothing was announced, and nobody answered


BOOKING, OTHERWISE = (Moment.LOADED, Moment.COMMITTED), (Moment.WRITTEN, Moment.COMMITTED)


@dataclass(frozen=True, slots=True)
class Write:
    """A row that a process writes: `only` says which, as a condition on NEW; the booking that writes it loads the
    account once `loaded_once` holds. The process is killed with its children, or `is_task`: just the children, which
    run a worker's tasks.
    """

    what: str
    process: str
    table: str
    only: str = "true"
    moments: tuple[Moment, Moment] = BOOKING
    change: str = "INSERT"
    loaded_once: str = "true"
    is_task: bool = False

    @property
    def count(self) -> str:
        """A query for how many such rows there are."""
        return f"SELECT count(*) FROM {self.table} new WHERE {self.only}"


_TRANSITION, _STEP = "trading_ordertransition", "trading_liquidation"


@unique
class Point(Enum):
    """Where processes are killed."""

    SIGN_UP = Write(
        "user, account, first deposit", "web", "trading_journalentry", "NEW.kind = 'deposit'", moments=OTHERWISE
    )
    ORDER = Write("order, fill, entries, position, events", "web", "trading_fill")
    CANCEL = Write("an order's end", "web", _TRANSITION, "NEW.to_status = 'cancelled'")
    REPLACE = Write("an order's new price and quantity", "web", _TRANSITION, "NEW.reason = 'replaced'")
    PROTECTION = Write("a position's stop loss and take profit", "web", "trading_order", "NEW.role IS NOT NULL")
    TRANSFER_HALF = Write(
        "the first of two accounts' entries",
        "web",
        "trading_posting",
        "NEW.ledger_account = 'cash' AND NEW.amount = 12.5",
        moments=OTHERWISE,
    )
    TRANSFER = Write(
        "both accounts' entries",
        "web",
        "trading_posting",
        "NEW.ledger_account = 'cash' AND NEW.amount = -12.5",
        moments=OTHERWISE,
    )
    FAUCET = Write("a deposit", "web", "trading_deposit", moments=OTHERWISE)

    FILL = Write("a resting order's fill", "streams", "trading_fill")
    ATTACHED = Write("a fill, and the two orders that it brings", "streams", "trading_order", "NEW.role IS NOT NULL")
    STOP = Write("a stop order's trigger and fill", "streams", _TRANSITION, "NEW.from_status = 'untriggered'")
    SIBLING = Write(
        "a stop loss's fill, the take profit's end", "streams", _TRANSITION, "NEW.reason = 'other_side_filled'"
    )
    LIQUIDATION_CANCELS = Write(
        "a liquidation's first step: the orders' end",
        "streams",
        _STEP,
        "NEW.market_id IS NULL",
        loaded_once="EXISTS (SELECT FROM trading_fill WHERE account_id = account)",
    )
    LIQUIDATION_REDUCES = Write(
        "a liquidation's second step: a fill",
        "streams",
        _STEP,
        "NEW.market_id IS NOT NULL",
        loaded_once="EXISTS (SELECT FROM trading_liquidation WHERE account_id = account)",
    )
    EXPIRY = Write("the end of an order whose time is over", "streams", _TRANSITION, "NEW.to_status = 'expired'")
    DEAD_MAN_SWITCH = Write(
        "the end of all orders, and the switch",
        "streams",
        "trading_event",
        "NEW.kind = 'dead_man_switch' AND NEW.data->>'state' = 'fired'",
    )
    GAME = Write(
        "awards, and how far was read",
        "streams",
        "trading_readerposition",
        "NEW.name = 'game'",
        moments=OTHERWISE,
        change="UPDATE",
    )

    TOTALS = Write(
        "totals, and how far was read",
        "worker",
        "trading_readerposition",
        "NEW.name = 'totals'",
        moments=OTHERWISE,
        change="UPDATE",
    )
    SNAPSHOTS = Write("the accounts' equity", "worker", "trading_equitysnapshot", moments=OTHERWISE, is_task=True)
    ROOTS = Write("the first of several days' roots", "worker", "trading_balanceroot", moments=OTHERWISE, is_task=True)
    FUNDING = Write("the first of two accounts' payments", "worker", "trading_fundingpayment", is_task=True)
    FUNDING_HOUR = Write("an hour that is done", "worker", "trading_fundinghour", moments=OTHERWISE, is_task=True)


NAME, LOCK, ANYBODY = "crash_point", 4711, "account"
WAIT = """
CREATE OR REPLACE FUNCTION crash_point() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared({lock});
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION crash_point(account bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('application_name') = '{process}' AND account = {account}
       AND pg_current_xact_id_if_assigned() IS NOT NULL AND {loaded_once} THEN  -- whoever only looks has no id
        PERFORM pg_advisory_xact_lock_shared({lock});
    END IF;
    RETURN true;
END $$
"""
SPRUNG_BY = "FOR EACH ROW WHEN (current_setting('application_name') = '{process}' AND {only})"
SET = {
    Moment.LOADED: """
        CREATE POLICY crash_point_free ON trading_cashbalance USING (true) WITH CHECK (true);
        CREATE POLICY crash_point ON trading_cashbalance AS RESTRICTIVE FOR SELECT USING (crash_point(account_id));
        ALTER TABLE trading_cashbalance ENABLE ROW LEVEL SECURITY""",
    Moment.WRITTEN: f"""
        CREATE TRIGGER crash_point AFTER {{change}} ON {{table}} {SPRUNG_BY} EXECUTE FUNCTION crash_point()""",
    Moment.COMMITTED: f"""
        CREATE CONSTRAINT TRIGGER crash_point AFTER {{change}} ON {{table}} DEFERRABLE INITIALLY DEFERRED {SPRUNG_BY}
        EXECUTE FUNCTION crash_point()""",
}
REMOVE = """
ALTER TABLE trading_cashbalance DISABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS crash_point_free ON trading_cashbalance;
DROP POLICY IF EXISTS crash_point ON trading_cashbalance
"""
WAITING = f"""
SELECT count(*) > 0 FROM pg_locks JOIN pg_database d ON d.oid = database AND d.datname = current_database()
WHERE locktype = 'advisory' AND NOT granted AND objid = {LOCK}
"""
SESSIONS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s
"""


@dataclass(frozen=True, slots=True)
class Trap:
    """A set trap; `written` is how many rows of its kind there were before."""

    system: System
    name: str
    write: Write
    moment: Moment
    written: int

    def kill(self) -> None:
        """Kill the process once it waits in the trap."""
        process = self.write.process
        what = f"{process} waits at {self.name} {self.moment}"
        eventually(what, lambda: self.system.value(WAITING), within_s=SOON_S)
        if self.write.is_task:
            self.system.kill_children(process)
        else:
            self.system.kill(process)

    def check(self) -> None:
        """Once the killed process's sessions have ended: what it wrote is there just if it had sent COMMIT."""
        write = self.write
        if write.change == "INSERT" and not write.is_task:  # whose task begins anew at once
            stands = self.system.count(write.count) > self.written
            assert stands == (self.moment is Moment.COMMITTED)


@contextmanager
def trapped(system: System, point: Enum, *, at: Moment, account: int | None = None) -> Iterator[Trap]:
    """Hold the process that comes to `point`, whose value is a `Write`; let go at the end, and wait until the database
    has ended the sessions of what was killed. Of bookings only those on `account` are held, where it is given.
    """
    write: Write = point.value
    named = {"process": write.process, "table": write.table, "change": write.change, "only": write.only}
    own = {"lock": LOCK, "account": ANYBODY if account is None else account, "loaded_once": write.loaded_once}
    system.execute(WAIT.format(**named, **own))
    system.execute(f"SELECT pg_advisory_lock({LOCK})")
    try:
        system.execute(SET[at].format(**named))
        written = system.count(write.count) if write.change == "INSERT" else 0
        trap = Trap(system, point.name, write, at, written)
        yield trap
    finally:
        system.execute(f"SELECT pg_advisory_unlock({LOCK})")
        if write.process not in system.running:
            # All of them: a session opened after the trap was set may be the one that was caught in it.
            eventually("its sessions are gone", lambda: not system.value(SESSIONS, write.process), within_s=SOON_S)
        system.execute(f"DROP TRIGGER IF EXISTS {NAME} ON {write.table}")
        system.execute(REMOVE)
    trap.check()
