"""A venue's feed on its own: what it brings, gathered; and waiting for something to become so."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TypeVar

import pytest
from prometheus_client import REGISTRY

from astrade.core.clock import Clock, to_ms
from astrade.core.messages import BookSnapshot, Message, Quote
from marketdata.feeds.base import Start
from marketdata.feeds.venue import VenueFeed
from marketdata.selectors import MarketInfo
from marketdata.timeframes import DAY_MS

M = TypeVar("M", bound=Message)
WITHIN_S = 10
AT_FULL_SIZE = pytest.mark.skipif(not os.environ.get("CAMPAIGN"), reason="real sockets, real seconds: make campaign")
LOOK_EVERY_S = 0.005


class Sleeps:
    """Waits by a clock that is moved by hand, and remembers how long it was asked to."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.asked: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        ends = self._clock() + timedelta(seconds=seconds)
        while self._clock() < ends:
            await asyncio.sleep(LOOK_EVERY_S)


class Gathered:
    """All messages of a feed, as they came."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def all(self, kind: type[M]) -> list[M]:
        return [message for message in self.messages if isinstance(message, kind)]

    @property
    def book(self) -> BookSnapshot | None:
        return self.all(BookSnapshot)[-1] if self.all(BookSnapshot) else None

    @property
    def quote(self) -> Quote | None:
        return self.all(Quote)[-1] if self.all(Quote) else None


@asynccontextmanager
async def gathering(feed: VenueFeed, markets: Sequence[MarketInfo], *, now: datetime) -> AsyncIterator[Gathered]:
    """Follows `markets` until the end; their history begins a day before `now`."""
    gathered = Gathered()

    async def gather() -> None:
        async for batch in feed.batches(asyncio.Event()):
            gathered.messages += batch

    now_ms = to_ms(now)
    starts = {m.symbol: Start(m.reference_price, now_ms, now_ms, now_ms - DAY_MS) for m in markets}
    feed.follow(markets, starts=starts)
    task = asyncio.create_task(gather())
    try:
        yield gathered
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(is_so: Callable[[], object], *, meanwhile: Callable[[], None]) -> None:
    """Wait until something is so; `meanwhile`, which lets time pass, is done again and again before."""
    async with asyncio.timeout(WITHIN_S):
        while not is_so():
            meanwhile()
            await asyncio.sleep(LOOK_EVERY_S)


def sample(name: str, **labels: str) -> float:
    """Present value of a metric."""
    return REGISTRY.get_sample_value(name, labels) or 0.0
