"""Who does the work: threads with a database session of their own, as the platform's processes have them.

A call can be cut off before its n-th COMMIT, and two calls can meet: each way of meeting is decided by whoever asks,
never by the scheduler.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, InterfaceError, connection, connections

from astrade.core.errors import AstradeError
from trading.tests.machine.stage import Stage

Call = Callable[[], Any]
SETTINGS = """
SELECT set_config('machine.seen', '', false), set_config('machine.then', %s, false),
       set_config('machine.commits', %s, false)
"""


class Broken(Exception):
    """The server gave no answer to a request over HTTP."""


BREAKS = (DatabaseError, InterfaceError, Broken)


def is_break(error: Exception) -> bool:
    """Whether the session's end is all that went wrong."""
    if isinstance(error, ExceptionGroup):
        return error.split(BREAKS)[1] is None
    return isinstance(error, BREAKS)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call: an answer, a refusal, or the session's end."""

    answer: Any = None
    refusal: AstradeError | None = None
    is_cut_off: bool = False


class Grievances(logging.Handler):
    """What the platform complained of itself: errors that a service logs and survives."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note it."""
        self.told.append(record.getMessage())


class Actor:
    """A thread that keeps its session; one that broke is opened anew."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self.pid = 0

    def start(self, call: Call, *, then: str = "", commits: int = 0) -> Future[Outcome]:
        """Begin `call`; before its COMMIT number `commits` the session dies or waits, as `then` says. A failure that is
        neither a refusal nor that death is raised by the future.
        """
        opened = self._pool.submit(self._prepare, then, commits)
        opened.result()
        return self._pool.submit(self._run, call, then == "die")

    def close(self) -> None:
        """Give session and thread back."""
        self._pool.submit(connections.close_all)
        self._pool.shutdown()

    def _prepare(self, then: str, commits: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(SETTINGS, [then, str(commits)])
        self.pid = connection.connection.info.backend_pid

    def _run(self, call: Call, may_die: bool) -> Outcome:
        try:
            return Outcome(answer=call())
        except AstradeError as refusal:
            assert refusal.code < 9000, refusal
            return Outcome(refusal=refusal)
        except (*BREAKS, ExceptionGroup) as error:
            connection.close()
            if not may_die or not is_break(error):
                raise
            return Outcome(is_cut_off=True)


class Cast:
    """Two actors on a stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._one, self._two = Actor(), Actor()
        self.grievances = Grievances()
        logging.getLogger().addHandler(self.grievances)

    def close(self) -> None:
        """Send them home."""
        logging.getLogger().removeHandler(self.grievances)
        self._one.close()
        self._two.close()

    def alone(self, call: Call) -> Outcome:
        """What comes of it."""
        return self._one.start(call).result()

    def cut_off(self, call: Call, *, commits: int) -> Outcome:
        """What comes of it when the session dies before its COMMIT number `commits`, if it gets there."""
        try:
            return self._one.start(call, then="die", commits=commits).result()
        finally:
            self.grievances.told.clear()  # it may be told of its death

    def overtaken(self, first: Call, second: Call, *, commits: int) -> list[Outcome]:
        """The second begins when the first has written everything and waits at its COMMIT number `commits`; that one is
        let go when the second is done or waits for a lock.
        """
        with self._stage.holding_commits():
            early = self._one.start(first, then="wait", commits=commits)
            self._stage.await_standstill(self._one.pid, early)
            late = self._two.start(second)
            self._stage.await_standstill(self._two.pid, late)
        return [early.result(), late.result()]

    def queued(self, first: Call, second: Call, *, account_id: int) -> list[Outcome]:
        """Both begin while somebody else holds an account's lock, one after the other, and go on when it is free."""
        with self._stage.holding_account(account_id):
            early = self._one.start(first)
            self._stage.await_standstill(self._one.pid, early)
            late = self._two.start(second)
            self._stage.await_standstill(self._two.pid, late)
        return [early.result(), late.result()]
