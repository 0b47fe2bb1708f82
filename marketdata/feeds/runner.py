"""The feed process's part of market data: runs the feeds, publishes what they bring, stores what closes.

One process does this at a time, under a lease. It goes on where its predecessor stopped: prices, sequences, trade ids
and running candles are read back from Redis, so a restart shows as a pause and nothing else.
"""

import asyncio
import logging

from astrade.core.clock import Clock, system_clock
from astrade.core.leases import hold
from astrade.core.runners import Runner
from marketdata.feeds.selection import FeedOptions, options_from_settings
from marketdata.feeds.session import Session

logger = logging.getLogger(__name__)
LEASE = "marketdata:feeds"


def feed_runners(*, feed: str | None = None, replay: str | None = None, mapping: str | None = None) -> list[Runner]:
    """What `manage.py streams` runs for market data; arguments stand above the settings FEED, REPLAY and REPLAY_MAP."""
    return [FeedRunner(options_from_settings(feed=feed, replay=replay, mapping=mapping))]


class FeedRunner:
    """Runs the chosen feeds for all markets while it holds the lease."""

    name = "feeds"

    def __init__(self, options: FeedOptions, *, clock: Clock = system_clock) -> None:
        self._options, self._clock = options, clock

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        await hold(LEASE, self._work, stop=stop)

    async def _work(self, fence: int, lost: asyncio.Event) -> None:
        logger.info("feeds_started", extra={"feed": self._options.feed, "fence": fence})
        await Session(self._options, self._clock).run(lost)
