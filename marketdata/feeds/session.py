"""Everything between taking the feeds' lease and giving it up: which markets are followed, where each begins, and what
their feeds bring, on its way to Redis and into the history.

Markets are looked up again every two seconds. One that is added begins as all did at the start, one that is delisted
ends; the others don't notice.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from django.db import DatabaseError, InterfaceError, connection

from astrade.core.clock import Clock, to_ms, to_us
from astrade.core.messages import CandleUpdate, FundingApplied, Message
from astrade.core.metrics import counter
from astrade.core.redis import async_client, redis_errors
from marketdata.feeds import beginning
from marketdata.feeds.base import Feed, Paced, Sleep
from marketdata.feeds.recovery import read_left
from marketdata.feeds.rules import Rules
from marketdata.feeds.selection import FeedOptions, load_recordings, make_feeds, make_live_feeds
from marketdata.feeds.venue import VenueFeed
from marketdata.feeds.writer import HistoryWriter
from marketdata.models import PriceSource
from marketdata.selectors import MarketInfo, all_markets
from marketdata.services import change_rules
from marketdata.tape import Tape

logger = logging.getLogger(__name__)
LOOK_EVERY_S = 2.0
ALL_EVERY_MS = 1_000  # how often markets without news are published too: prices age, candles close
MESSAGES = counter("astrade_feed_messages_total", "Messages that feeds brought", ["feed"])
PUBLISH_FAILURES = counter("astrade_feed_publish_failures_total", "Times that Redis didn't take what was published")


class Session:
    """See the module's first lines."""

    def __init__(
        self,
        options: FeedOptions,
        clock: Clock,
        *,
        look_every_s: float = LOOK_EVERY_S,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._options, self._clock, self._look_every_s = options, clock, look_every_s
        self._ids: dict[str, int] = {}
        self._writer = HistoryWriter(self._ids)
        self._tapes: dict[str, Tape] = {}
        live = make_live_feeds(options, clock=clock, sleep=sleep, change_rules=self._change_rules)
        self._live: Mapping[str, VenueFeed] = {feed.venue: feed for feed in live}
        self._publishing: set[asyncio.Task[None]] = set()
        self._all_sent_ms: dict[str, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; raises what a feed raised."""
        storing = asyncio.create_task(self._writer.run())
        try:
            await self._follow(await self._writer.call(all_markets), stop)
            self._publish(self._live.values(), stop)
            while not stop.is_set():
                await self._wait(stop)
                if not stop.is_set():
                    await self._look(stop)
            await asyncio.gather(*self._publishing)
        finally:
            for task in (storing, *self._publishing):
                task.cancel()
            await asyncio.gather(storing, *self._publishing, return_exceptions=True)
            await self._writer.close()

    async def _wait(self, stop: asyncio.Event) -> None:
        stopped = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait(
                {stopped, *self._publishing}, timeout=self._look_every_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            stopped.cancel()
        for task in done - {stopped}:
            task.result()

    async def _look(self, stop: asyncio.Event) -> None:
        try:
            await self._follow(await self._writer.call(all_markets), stop)
        except (DatabaseError, InterfaceError):
            logger.warning("feed_markets_not_read", exc_info=True)
            await self._writer.call(lambda: connection.close())

    async def _follow(self, markets: Sequence[MarketInfo], stop: asyncio.Event) -> None:
        """Begin with what is new, end what is not wanted any more."""
        wanted = {market.symbol: market for market in markets if self._options.is_pulled(market)}
        for feed in self._live.values():
            await feed.unfollow([symbol for symbol in feed.symbols if symbol not in wanted])
        new = [market for market in wanted.values() if not self._is_followed(market)]
        if new:
            await self._begin(new, stop)
            logger.info("feeds_follow", extra={"markets": [market.symbol for market in new]})

    def _is_followed(self, market: MarketInfo) -> bool:
        live = self._live.get(market.venue)
        return market.symbol in (self._tapes if live is None else live.symbols)

    async def _begin(self, markets: Sequence[MarketInfo], stop: asyncio.Event) -> None:
        self._ids.update({market.symbol: market.id for market in markets})
        recordings = await asyncio.to_thread(load_recordings, self._options, markets)
        left = await read_left(async_client(), [market.symbol for market in markets])
        now = self._clock()
        now_ms, call = to_ms(now), self._writer.call
        anchors = await beginning.anchors(recordings, self._options, now_us=to_us(now))
        known = await call(beginning.known)
        starts = {
            market.symbol: beginning.start_of(market, left[market.symbol], recordings, known, now_ms=now_ms)
            for market in markets
        }
        made = [market for market in markets if market.venue not in self._live]
        pulled = [market for market in markets if market.venue in self._live]
        told = {market.symbol: self._live[market.venue].told_kinds for market in pulled}
        for some, source in ((made, self._options.made_source), (pulled, PriceSource.LIVE)):
            await call(partial(beginning.store_ended, some, left, told, source=source, now_ms=now_ms))
        await call(lambda: beginning.make_up_history(made, starts, now_ms=now_ms, seed=self._options.seed))
        self._tapes |= await call(lambda: beginning.tapes_of(markets, left, told, now_ms=now_ms))
        stepped = make_feeds(self._options, made, starts=starts, recordings=recordings, anchors_us=anchors)
        paced = [Paced(feed, ticks_per_s=self._options.ticks_per_s, clock=self._clock) for feed in stepped]
        self._publish(paced, stop)
        for venue, feed in self._live.items():
            feed.follow([market for market in pulled if market.venue == venue], starts=starts)

    async def _change_rules(self, market_id: int, rules: Rules) -> None:
        work = partial(change_rules, market_id, changes=rules, at=self._clock(), actor_id=None)
        await self._writer.call(work)

    def _publish(self, feeds: Iterable[Feed], stop: asyncio.Event) -> None:
        self._publishing |= {asyncio.create_task(self._bring(feed, stop)) for feed in feeds}

    async def _bring(self, feed: Feed, stop: asyncio.Event) -> None:
        """What `feed` yields to Redis and to the history, until `stop`."""
        async for batch in feed.batches(stop):
            MESSAGES.labels(feed.name).inc(len(batch))
            await self._send([self._tapes[symbol] for symbol in self._take(feed, batch)])

    def _take(self, feed: Feed, batch: Sequence[Message]) -> Iterable[str]:
        """Into the tapes; returns the symbols that are to be published."""
        now_ms = to_ms(self._clock())
        closed: list[CandleUpdate] = []
        applied: list[FundingApplied] = []
        for message in batch:
            candles, funding = self._tapes[message.symbol].take(message, now_ms=now_ms)
            closed += candles
            if funding is not None:
                applied.append(funding)
        for symbol in feed.symbols:
            closed += self._tapes[symbol].roll(now_ms)
        if closed or applied:
            self._writer.add(closed, applied, source=feed.source)
        if now_ms - self._all_sent_ms.get(feed.name, 0) < ALL_EVERY_MS:
            return {message.symbol for message in batch}
        self._all_sent_ms[feed.name] = now_ms
        return feed.symbols

    async def _send(self, tapes: Sequence[Tape]) -> None:
        pipe = async_client().pipeline(transaction=False)
        now_ms = to_ms(self._clock())
        for tape in tapes:
            tape.queue(pipe, now_ms=now_ms)
        try:
            await pipe.execute()
        except redis_errors:
            PUBLISH_FAILURES.inc()
            logger.warning("feed_not_published", exc_info=True)
            for tape in tapes:
                tape.failed()
            return
        for tape in tapes:
            tape.sent()
