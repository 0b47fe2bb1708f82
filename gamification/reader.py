"""The game's place in `manage.py streams`: woken by every hint of new events, and once a second without one."""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor

from django.db import connections

from astrade.core.handler import drop_dead_connections
from astrade.core.leases import hold
from astrade.core.redis import async_client, channel_named, redis_errors
from astrade.core.runners import Runner
from gamification.intake import DATABASE_AWAY, process_batch

LEASE = "game-reader"
HINTS = channel_named("events")  # the channel on which bookings announce that there is something to read
IDLE_S = 1.0
HINTED_S = 0.1  # after a hint the reader looks this often, because an older transaction may hold the event back …
EAGER_FOR_S = 1.0  # … for this long
RECONNECT_S = 1.0

logger = logging.getLogger(__name__)


class GameReader:
    """Plays account events while it holds the lease. A failing game never ends the process it is a guest in."""

    name = "game-reader"

    def __init__(self) -> None:
        self._hint = asyncio.Event()
        self._eager_until = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`."""
        listening = asyncio.create_task(self._listen())
        try:
            await hold(LEASE, self._work, stop=stop)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _work(self, token: int, ending: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="game") as pool:
            try:
                while not ending.is_set():
                    if not await loop.run_in_executor(pool, _read):
                        await self._sleep(ending)
            finally:
                await loop.run_in_executor(pool, connections.close_all)

    async def _sleep(self, ending: asyncio.Event) -> None:
        """Until a hint, the end, or the next look."""
        eager = time.monotonic() < self._eager_until
        waits = {asyncio.ensure_future(self._hint.wait()), asyncio.ensure_future(ending.wait())}
        await asyncio.wait(waits, timeout=HINTED_S if eager else IDLE_S, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        self._hint.clear()

    async def _listen(self) -> None:
        """Turn announcements into wake-ups; without Redis the reader simply looks once a second."""
        while True:
            try:
                async with async_client().pubsub() as channel:
                    await channel.subscribe(HINTS)
                    async for _ in channel.listen():
                        self._eager_until = time.monotonic() + EAGER_FOR_S
                        self._hint.set()
            except redis_errors:
                logger.warning("game_hints_away", exc_info=True)
            await asyncio.sleep(RECONNECT_S)


def _read() -> bool:
    """One batch; whether there may be more at once. What goes wrong is logged, and tried again at the next look."""
    drop_dead_connections()
    try:
        return process_batch() > 0
    except DATABASE_AWAY:
        logger.warning("game_database_away", exc_info=True)
    except Exception:
        logger.exception("game_reader_failed")
    connections.close_all()
    return False


def game_runners() -> list[Runner]:
    """What `manage.py streams` runs for the game."""
    return [GameReader()]
