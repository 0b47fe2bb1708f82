"""The timekeepers: they do what becomes due by the clock alone. They run in `streams`.

One does what `trading.services.due` names; one lets orders with simulated latency arrive (`trading.services.arrivals`),
and looks more often for it; one sends slices of TWAP orders to venues, so that a slow venue holds up nothing else. A
timekeeper keeps nothing in memory: what is due is asked of the database at each look, so
what became due while nobody ran is done at once by whoever comes next. It works under a lease; two of one kind by
mistake do nothing twice.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, connections
from prometheus_client import Counter

from astrade.core.leases import hold
from astrade.core.runners import Runner
from trading.services.arrivals import arrivals
from trading.services.due import Due, due_work, venue_work
from trading.threads import with_connection

T = TypeVar("T")
LEASE = "timekeeper"
LOOK_EVERY_S = 0.5
ARRIVALS = "arrivals"
ARRIVALS_EVERY_S = 0.05
VENUES = "venue_slices"
RECONNECT_AFTER_S = 1.0
DONE = Counter("astrade_timekeeper_done", "Accounts on which something due was done", ["work"])
logger = logging.getLogger(__name__)


class Timekeeper:
    """A timekeeper over all accounts; `name` is its lease."""

    def __init__(
        self, name: str = LEASE, *, work: Callable[[], list[Due]] = due_work, look_every_s: float = LOOK_EVERY_S
    ) -> None:
        self.name, self._work, self._look_every_s = name, work, look_every_s
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=self.name)

    async def run(self, stop: asyncio.Event) -> None:
        """Look whenever the lease is ours, until `stop`; a database that is away is waited for."""
        try:
            while not stop.is_set():
                try:
                    await hold(self.name, self._keep, stop=stop)
                except (DatabaseError, InterfaceError):
                    logger.warning("timekeeper_lost_database", exc_info=True)
                    await asyncio.sleep(RECONNECT_AFTER_S)
        finally:
            self._worker.submit(connections.close_all)
            self._worker.shutdown()

    async def _keep(self, token: int, end: asyncio.Event) -> None:
        while not end.is_set():
            for due in await self._in_worker(self._work):
                if end.is_set():
                    return
                await self._in_worker(partial(_do, due))
            await _wait(end, self._look_every_s)

    async def _in_worker(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, with_connection, call)


def _do(due: Due) -> None:
    """One account's work; what can't be done now is still due at the next look, and holds up no other account."""
    try:
        with_connection(due.run, due.account_id)
        DONE.labels(due.run.__name__).inc()
    except Exception:
        logger.exception("timekeeper_could_not", extra={"work": due.run.__name__, "account": due.account_id})


async def _wait(end: asyncio.Event, seconds: float) -> None:
    waiting = asyncio.ensure_future(end.wait())
    await asyncio.wait([waiting], timeout=seconds)
    waiting.cancel()


def timekeeper_runners() -> list[Runner]:
    """What `manage.py streams` runs of trading's clock."""
    return [
        Timekeeper(),
        Timekeeper(ARRIVALS, work=arrivals, look_every_s=ARRIVALS_EVERY_S),
        Timekeeper(VENUES, work=venue_work),
    ]
