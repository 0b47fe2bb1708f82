"""The margin watcher (DESIGN §4.4): finds practice accounts at or below maintenance margin. Runs in `streams`.

Its memory is a copy, like the matcher's: loaded from the database when it takes its shard's lease, kept up by the event
feed. Several times a second it holds all accounts against the present marks, one multiplication a position; the service
decides anew under the account's lock, so a second watcher by mistake, or an old mark, liquidates nothing wrongly. What
a killed watcher left half-way is found again by its successor: the account is still at or below maintenance.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections

from astrade.core.clock import Clock, system_clock
from astrade.core.errors import AstradeError, MarketDataStale
from astrade.core.leases import hold
from astrade.core.metrics import gauge
from astrade.core.runners import Runner
from marketdata import live
from marketdata.selectors import all_markets
from trading.domain.liquidation import Step
from trading.exposures import Exposure, exposures, exposures_of
from trading.models import Event
from trading.readers import Cursor, events_behind, present_cursor
from trading.services.liquidation import liquidate
from trading.threads import with_connection

T = TypeVar("T")
LEASE = "margin-watch"
WATCH_EVERY_S = 0.25
RETRY_AFTER_S = 1.0  # an account that could not be helped
RECONNECT_AFTER_S = 1.0
PAGE = 1000
MOVING = frozenset({"position_update", "balance_update"})  # events after which an account is read again
HELPED = (Step.CANCELLED, Step.REDUCED)
WATCHED = gauge(
    "astrade_margin_watched_accounts", "Accounts with positions that are watched", ["shard"], mode="livesum"
)
DUE = gauge("astrade_margin_due_accounts", "Accounts at or below maintenance margin", ["shard"], mode="livesum")
logger = logging.getLogger(__name__)


class MarginWatcher:
    """Watches one shard of the accounts: those whose row id modulo `shards` is `shard`."""

    def __init__(self, *, shard: int = 0, shards: int = 1, threads: int = 1, clock: Clock = system_clock) -> None:
        self.name = f"{LEASE}:{shard}"
        self.accounts: dict[int, Exposure] = {}
        self._shard, self._shards, self._clock = shard, shards, clock
        self._reader = ThreadPoolExecutor(1, thread_name_prefix=f"{self.name}-reader")
        self._workers = [ThreadPoolExecutor(1, thread_name_prefix=f"{self.name}-{n}") for n in range(threads)]
        self._helping: dict[int, asyncio.Task[None]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Watch whenever the lease is ours, until `stop`; a database that is away is waited for."""
        try:
            while not stop.is_set():
                try:
                    await hold(self.name, self._watch, stop=stop)
                except (DatabaseError, InterfaceError):
                    logger.warning("margin_watch_lost_database", exc_info=True)
                    await asyncio.sleep(RECONNECT_AFTER_S)
        finally:
            for worker in (self._reader, *self._workers):
                worker.submit(connections.close_all)
                worker.shutdown()

    async def _watch(self, token: int, end: asyncio.Event) -> None:
        cursor = await self._reading(present_cursor)
        self.accounts = await self._reading(lambda: exposures(shard=self._shard, shards=self._shards))
        try:
            while not end.is_set():
                cursor = await self._catch_up(cursor)
                await self._look()
                await _until(end, WATCH_EVERY_S)
        finally:
            helping = tuple(self._helping.values())
            for task in helping:
                task.cancel()
            await asyncio.gather(*helping, return_exceptions=True)
            self.accounts = {}

    async def _catch_up(self, cursor: Cursor) -> Cursor:
        """Read again the accounts that events after `cursor` tell of; returns the cursor behind them."""
        while events := await self._reading(_page_behind, cursor):
            cursor = Cursor(xid=events[-1].xid, row_id=events[-1].pk)
            moved = {event.account_id for event in events if event.kind in MOVING}
            await self._read({account_id for account_id in moved if account_id % self._shards == self._shard})
            if len(events) < PAGE:
                break
        WATCHED.labels(str(self._shard)).set(len(self.accounts))
        return cursor

    async def _read(self, account_ids: set[int]) -> None:
        if not account_ids:
            return
        found = await self._reading(exposures_of, account_ids)
        for account_id in account_ids:
            if account_id in found:
                self.accounts[account_id] = found[account_id]
            else:
                self.accounts.pop(account_id, None)

    async def _look(self) -> None:
        """Hold every account against the present marks and help those that are due."""
        try:
            marks, rates = await self._reading(self._marks_and_rates)
        except MarketDataStale:
            return  # Redis is away: no mark is known
        due = [exposure.account_id for exposure in self.accounts.values() if _is_due(exposure, marks, rates)]
        DUE.labels(str(self._shard)).set(len(due))
        for account_id in due:
            if account_id not in self._helping:
                task = self._helping[account_id] = asyncio.create_task(self._help(account_id))
                task.add_done_callback(partial(self._helped, account_id))

    async def _help(self, account_id: int) -> None:
        """Liquidate in the account's own thread; one that can't be helped has to wait before it is tried again."""
        worker = self._workers[account_id % len(self._workers)]
        helped = await asyncio.get_running_loop().run_in_executor(worker, _liquidate, account_id)
        if not helped:
            await asyncio.sleep(RETRY_AFTER_S)

    def _helped(self, account_id: int, _: object) -> None:
        self._helping.pop(account_id, None)

    def _marks_and_rates(self) -> tuple[Mapping[int, Decimal], Mapping[int, Decimal]]:
        """Fresh marks and the maintenance rates in force, by market."""
        quotes, now, markets = live.quotes(), self._clock(), all_markets()
        marks = {
            market.id: quote.mark
            for market in markets
            if (quote := quotes.get(market.symbol)) is not None and not live.is_stale(quote.at, now=now)
        }
        return marks, {market.id: market.maintenance_margin_rate for market in markets}

    async def _reading(self, call: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, with_connection, call, *arguments)


def _page_behind(cursor: Cursor) -> list[Event]:
    return events_behind(cursor, limit=PAGE)


def _is_due(exposure: Exposure, marks: Mapping[int, Decimal], rates: Mapping[int, Decimal]) -> bool:
    spare = exposure.spare(marks, rates)
    return spare is not None and spare <= 0


def _liquidate(account_id: int) -> bool:
    """Whether anything was done; an account that can't be booked now is found again at the next look."""
    try:
        taken = with_connection(liquidate, account_id)
    except (AstradeError, DatabaseError, InterfaceError):
        logger.exception("margin_watch_could_not_book", extra={"account": account_id})
        return False
    return any(step in taken for step in HELPED)


async def _until(end: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(end.wait(), seconds)
    except TimeoutError:
        return


def margin_watch_runners() -> list[Runner]:
    """What `manage.py streams` runs of the margin watch: one watcher a shard."""
    shards, threads = settings.MARGIN_WATCH_SHARDS, settings.MARGIN_WATCH_THREADS
    return [MarginWatcher(shard=shard, shards=shards, threads=threads) for shard in range(shards)]
