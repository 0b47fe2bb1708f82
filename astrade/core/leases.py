"""Leases: the right to run one thing in one process at a time, by the database's clock (DESIGN §1).

    token = acquire("matcher:0", holder=holder_name())      None while somebody else holds it
    renew(name, holder=…, token=…)  release(name, …)        False when it was lost
    require(name, token=…)                          inside a transaction: raises LeaseLost unless still the holder's
    await hold(name, work, stop=stop)               asyncio: run `work(token, stop)` whenever the lease is ours

Valid 9 s, renewed each 3 s. `token` grows with each new holder; one that was paused for too long carries an old one.
"""

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

from django.db import DatabaseError, InterfaceError, close_old_connections, connection, connections

VALID_S = 9.0
RENEW_EVERY_S = 3.0
ASK_EVERY_S = 0.5  # while somebody else holds it: a dead holder's lease moves within 10 s
MARGIN_S = 1.0  # of what is left, kept for ending the work
logger = logging.getLogger(__name__)
T = TypeVar("T")
Work = Callable[[int, asyncio.Event], Awaitable[None]]

ACQUIRE = """
INSERT INTO core_lease AS held (name, holder, token, expires_at)
VALUES (%(name)s, %(holder)s, 1, clock_timestamp() + make_interval(secs => %(valid_s)s))
ON CONFLICT (name) DO UPDATE
    SET holder = excluded.holder, token = held.token + 1, expires_at = excluded.expires_at
    WHERE held.expires_at <= clock_timestamp() OR held.holder = excluded.holder
RETURNING token
"""
RENEW = """
UPDATE core_lease SET expires_at = clock_timestamp() + make_interval(secs => %(valid_s)s)
WHERE name = %(name)s AND holder = %(holder)s AND token = %(token)s AND expires_at > clock_timestamp()
RETURNING token
"""
RELEASE = """
UPDATE core_lease SET holder = '', expires_at = clock_timestamp()
WHERE name = %(name)s AND holder = %(holder)s AND token = %(token)s
RETURNING token
"""
REQUIRE = "SELECT 1 FROM core_lease WHERE name = %s AND token = %s AND expires_at > clock_timestamp() FOR SHARE"


class LeaseLost(Exception):
    """Somebody else holds the lease, or nobody does any more."""


def holder_name() -> str:
    """A name for this process that no other has, not even its successor with the same pid."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(4)}"


def _token_from(statement: str, **values: str | int | float) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row = cursor.fetchone()
    return row[0] if row else None


def acquire(name: str, *, holder: str, valid_s: float = VALID_S) -> int | None:
    """The fencing token if the lease was free, expired or already this holder's; None otherwise."""
    return _token_from(ACQUIRE, name=name, holder=holder, valid_s=valid_s)


def renew(name: str, *, holder: str, token: int, valid_s: float = VALID_S) -> bool:
    """Hold it for another `valid_s`; False if it was lost meanwhile."""
    return _token_from(RENEW, name=name, holder=holder, token=token, valid_s=valid_s) is not None


def release(name: str, *, holder: str, token: int) -> bool:
    """Give it up at once, so that a successor need not wait; False if it was no longer held."""
    return _token_from(RELEASE, name=name, holder=holder, token=token) is not None


def require(name: str, *, token: int) -> None:
    """Raise LeaseLost unless `token` is current; keeps a takeover waiting until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(REQUIRE, [name, token])
        if cursor.fetchone() is None:
            raise LeaseLost(name)


def _quietly(call: Callable[[], T]) -> T | None:
    """`call`, with a database that is away counting as a lease that is not held."""
    try:
        return call()
    except (DatabaseError, InterfaceError):
        logger.warning("lease_database_away", exc_info=True)
        close_old_connections()
        return None


async def hold(name: str, work: Work, *, stop: asyncio.Event, holder: str | None = None) -> None:
    """Until `stop`: wait for the lease, run `work(token, end)` under it; when it's lost, end the work and wait again.

    `end` is set when the work must end, be it for `stop` or for the lease; what hasn't ended when the lease expires is
    cancelled. An exception from the work releases the lease and is raised. Work that returns is begun again.
    """
    holder = holder or holder_name()
    with _LeaseThread() as thread:
        while not stop.is_set():
            asked_at = time.monotonic()
            token = await thread.call(lambda: acquire(name, holder=holder))
            if token is None:
                await _wait(stop, ASK_EVERY_S)
                continue
            logger.info("lease_acquired", extra={"lease": name, "fence": token})
            tenure = _Tenure(name, thread=thread, holder=holder, fence=token, valid_until=asked_at + VALID_S)
            await tenure.run(work, stop)


class _LeaseThread:
    """A thread and connection of its own, so that nothing else that is slow can keep a lease from being renewed."""

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="lease")
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.submit(connections.close_all)
        self._pool.shutdown(wait=False)

    async def call(self, call: Callable[[], T]) -> T | None:
        """The answer; None when the database is away."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, _quietly, call)


class _Tenure:
    """One stretch of holding a lease; `valid_until` is of the monotonic clock, taken before the database was asked."""

    def __init__(self, name: str, *, thread: _LeaseThread, holder: str, fence: int, valid_until: float) -> None:
        self.thread = thread
        self.name, self.holder, self.fence, self.valid_until = name, holder, fence, valid_until

    async def run(self, work: Work, stop: asyncio.Event) -> None:
        end = asyncio.Event()
        task = asyncio.ensure_future(work(self.fence, end))
        try:
            while not (task.done() or stop.is_set()):
                await _wait(stop, RENEW_EVERY_S, task)
                if not (task.done() or stop.is_set() or await self.renewed()):
                    logger.warning("lease_lost", extra={"lease": self.name, "fence": self.fence})
                    break
        finally:
            end.set()
            await asyncio.wait([task], timeout=max(0.0, self.valid_until - time.monotonic()))
            task.cancel()
            await asyncio.wait([task])
            await self.thread.call(lambda: release(self.name, holder=self.holder, token=self.fence))
        if not task.cancelled():
            task.result()

    async def renewed(self) -> bool:
        """Whether work may go on: renewed, or the database is away but time is left to ask again."""
        asked_at = time.monotonic()
        renewing = self.thread.call(lambda: renew(self.name, holder=self.holder, token=self.fence))
        try:
            answer = await asyncio.wait_for(renewing, timeout=max(0.0, self.valid_until - asked_at - MARGIN_S))
        except TimeoutError:
            return False
        if answer:
            self.valid_until = asked_at + VALID_S
        return bool(answer) or (answer is None and asked_at + RENEW_EVERY_S + MARGIN_S < self.valid_until)


async def _wait(stop: asyncio.Event, seconds: float, task: "asyncio.Future[None] | None" = None) -> None:
    stopping = asyncio.ensure_future(stop.wait())
    waited: list[asyncio.Future[Any]] = [stopping] if task is None else [stopping, task]
    await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
