"""Serving an emulated venue on a port, and letting its prices move."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from aiohttp import web

from astrade.core.clock import Clock, system_clock
from astrade.core.messages import Message
from marketdata.feeds.base import Paced, SteppedFeed

TICKS_PER_S = 10  # the cadence of the fastest book streams


class Moved(Protocol):
    """What follows a feed."""

    def take(self, messages: Sequence[Message]) -> None:
        """One batch of it."""


@contextlib.asynccontextmanager
async def serve(application: web.Application, *, host: str, port: int) -> AsyncIterator[str]:
    """Serves on a port, a free one for 0; yields the base URL. Prices stand still: see `move`."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def move(exchange: Moved, stop: asyncio.Event, *, feed: SteppedFeed, clock: Clock = system_clock) -> None:
    """Moves prices by the clock until `stop`, as the feed says."""
    async for batch in Paced(feed, ticks_per_s=TICKS_PER_S, clock=clock).batches(stop):
        exchange.take(batch)
