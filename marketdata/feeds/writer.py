"""Stores what closes without making the feed wait: one thread, one connection, in order, tried again until it
succeeds."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, connection

from astrade.core.messages import CandleUpdate, FundingApplied
from astrade.core.metrics import gauge
from marketdata.history import store_candles, store_funding
from marketdata.models import PriceSource

logger = logging.getLogger(__name__)
RETRY_AFTER_S = 1.0
BACKLOG_MAX = 10_000  # batches; a week of minutes
BACKLOG = gauge("astrade_feed_backlog", "Batches of closed candles that wait for the database", mode="livesum")
T = TypeVar("T")


class HistoryWriter:
    """Takes closed candles and applied funding rates of markets whose row keys are `ids`."""

    def __init__(
        self,
        ids: Mapping[str, int],
        *,
        store: Callable[..., None] = store_candles,
        retry_after_s: float = RETRY_AFTER_S,
    ) -> None:
        self._ids, self._store, self._retry_after_s = ids, store, retry_after_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="history")
        self._backlog: deque[Callable[[], None]] = deque(maxlen=BACKLOG_MAX)
        self._more = asyncio.Event()

    async def call(self, work: Callable[[], T]) -> T:
        """Run `work` in the thread that owns the connection."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def add(self, candles: Sequence[CandleUpdate], applied: Sequence[FundingApplied], *, source: PriceSource) -> None:
        """Have these stored; returns at once."""
        if candles:
            self._backlog.append(lambda: self._store(candles, ids=self._ids, source=source))
        if applied:
            self._backlog.append(lambda: store_funding(applied, ids=self._ids, source=source))
        self._more.set()

    async def run(self) -> None:
        """Work off the backlog until cancelled."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._backlog:
                BACKLOG.set(len(self._backlog))
                if await self._store_next():
                    continue
                await asyncio.sleep(self._retry_after_s)
            BACKLOG.set(0)

    async def close(self) -> None:
        """Store what is left, as far as the database answers, and give the connection back."""
        while self._backlog and await self._store_next():
            pass
        await self.call(lambda: connection.close())
        self._thread.shutdown(wait=False)

    async def _store_next(self) -> bool:
        work = self._backlog[0]
        try:
            await self.call(work)
        except (DatabaseError, InterfaceError):
            logger.exception("feed_history_not_stored", extra={"backlog": len(self._backlog)})
            await self.call(lambda: connection.close())
            return False
        if self._backlog and self._backlog[0] is work:
            self._backlog.popleft()
        return True
