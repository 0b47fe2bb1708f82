"""Account streams: what venues tell of connected accounts, booked as it comes (DESIGN §4.2). They run in `streams`.

Each connected account has one stream, wherever its shard's lease is held. A stream says what changes and repeats
nothing, so with the first message of each connection the account is brought up to what the venue knows
(`reconciling.sync_account`), and only then follows the stream. What a stream leaves out, the schedule's syncs find:
losing one loses time, nothing else. Two of them by mistake book nothing twice.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections
from django.db.models import F

from astrade.core.errors import AstradeError
from astrade.core.leases import hold
from astrade.core.metrics import gauge
from astrade.core.randomness import Randomness, system_randomness
from astrade.core.runners import Runner
from astrade.venues.errors import InvalidVenueCredentials, Refused
from astrade.venues.extended.stream import reconnect_wait_s
from trading.selectors import connected_accounts
from trading.services.reconciling import apply_news, mark_refused, sync_account
from trading.threads import with_connection
from trading.venues.base import News
from trading.venues.choice import venue_account

T = TypeVar("T")
LEASE = "account-streams"
LOOK_EVERY_S = 2.0
RECONNECT_AFTER_S = 1.0
OPEN = gauge("astrade_account_streams", "Account streams that are open", ["shard"], mode="livesum")
logger = logging.getLogger(__name__)


class AccountStreams:
    """Follows the accounts of one shard: those whose row id modulo `shards` is `shard`."""

    def __init__(
        self, *, shard: int = 0, shards: int = 1, threads: int = 2, randomness: Randomness = system_randomness
    ) -> None:
        self.name = f"{LEASE}:{shard}"
        self._shard, self._shards, self._randomness = shard, shards, randomness
        self._reader = ThreadPoolExecutor(1, thread_name_prefix=f"{self.name}-reader")
        self._workers = [ThreadPoolExecutor(1, thread_name_prefix=f"{self.name}-{n}") for n in range(threads)]

    async def run(self, stop: asyncio.Event) -> None:
        """Follow whenever the lease is ours, until `stop`; a database that is away is waited for."""
        try:
            while not stop.is_set():
                try:
                    await hold(self.name, self._keep, stop=stop)
                except (DatabaseError, InterfaceError):
                    logger.warning("account_streams_lost_database", exc_info=True)
                    await asyncio.sleep(RECONNECT_AFTER_S)
        finally:
            for pool in (self._reader, *self._workers):
                pool.submit(connections.close_all)
                pool.shutdown()

    async def _keep(self, token: int, end: asyncio.Event) -> None:
        following: dict[int, asyncio.Task[None]] = {}
        try:
            while not end.is_set():
                wanted = set(await self._call(self._reader, self._accounts))
                for account_id in following.keys() - wanted:
                    following.pop(account_id).cancel()
                for account_id in wanted - following.keys():
                    following[account_id] = asyncio.create_task(self._follow(account_id))
                with suppress(TimeoutError):
                    await asyncio.wait_for(end.wait(), LOOK_EVERY_S)
        finally:
            for task in following.values():
                task.cancel()
            await asyncio.gather(*following.values(), return_exceptions=True)

    def _accounts(self) -> Iterable[int]:
        mine = connected_accounts().annotate(shard=F("pk") % self._shards).filter(shard=self._shard)
        return list(mine.values_list("pk", flat=True))

    async def _follow(self, account_id: int) -> None:
        """One account's stream, opened again and again; it ends by being cancelled, or with its connection."""
        failures = 0
        while True:
            try:
                async with aclosing(self._news(account_id)) as told:
                    async for _ in told:
                        failures = 0
            except InvalidVenueCredentials:
                return
            except Refused as refusal:
                if issubclass(refusal.reason, InvalidVenueCredentials):
                    await self._work(account_id, mark_refused, account_id)
                    return
                logger.warning("account_stream_refused", extra={"account": account_id, "error": str(refusal)})
            except (AstradeError, DatabaseError, InterfaceError) as failure:
                logger.info("account_stream_ended", extra={"account": account_id, "error": str(failure)})
            except Exception:
                logger.exception("account_stream_failed", extra={"account": account_id})
            failures += 1
            await asyncio.sleep(reconnect_wait_s(failures, randomness=self._randomness))

    async def _news(self, account_id: int) -> AsyncGenerator[News, None]:
        venue = await self._work(account_id, venue_account, account_id)
        async with venue.stream() as stream:
            OPEN.labels(str(self._shard)).inc()
            try:
                is_current = False
                async for news in stream:
                    if not is_current:
                        await self._work(account_id, sync_account, account_id)
                        is_current = True
                    if news.orders or news.trades:
                        await self._work(account_id, apply_news, account_id, venue, news)
                    yield news
            finally:
                OPEN.labels(str(self._shard)).dec()

    async def _work(self, account_id: int, call: Callable[..., T], *arguments: Any) -> T:
        """In the account's own thread: what a venue tells of it is booked in the order in which it is told."""
        return await self._call(self._workers[account_id % len(self._workers)], call, *arguments)

    @staticmethod
    async def _call(pool: ThreadPoolExecutor, call: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, with_connection, call, *arguments)


def account_stream_runners() -> list[Runner]:
    """What `manage.py streams` runs of live accounts."""
    return [
        AccountStreams(shard=shard, shards=settings.ACCOUNT_STREAM_SHARDS, threads=settings.ACCOUNT_STREAM_THREADS)
        for shard in range(settings.ACCOUNT_STREAM_SHARDS)
    ]
