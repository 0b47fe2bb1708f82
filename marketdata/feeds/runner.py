"""The feed process's part of market data: runs the feeds, publishes what they bring, stores what closes.

One process does this at a time, under a lease. It goes on where its predecessor stopped: prices, sequences, trade ids
and running candles are read back from Redis, so a restart shows as a pause and nothing else.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal

import orjson

from astrade.core.clock import Clock, from_ms, system_clock, to_ms, to_us
from astrade.core.leases import hold
from astrade.core.messages import CandleUpdate, Message
from astrade.core.metrics import counter
from astrade.core.redis import async_client, redis_errors
from astrade.core.runners import Runner
from marketdata import history, keys
from marketdata.candles import Bar
from marketdata.day import DayWindow
from marketdata.feeds.backfill import made_up_day
from marketdata.feeds.base import Feed, Paced, Start
from marketdata.feeds.recordings import Recording
from marketdata.feeds.recovery import Left, read_left
from marketdata.feeds.selection import FeedOptions, load_recordings, make_feeds, options_from_settings
from marketdata.feeds.writer import HistoryWriter
from marketdata.models import PriceSource
from marketdata.selectors import MarketInfo, all_markets
from marketdata.tape import AppliedFunding, Tape
from marketdata.timeframes import BASE, MINUTE_MS, open_time_ms

logger = logging.getLogger(__name__)
LEASE = "marketdata:feeds"
MESSAGES = counter("astrade_feed_messages_total", "Messages that feeds brought", ["feed"])
PUBLISH_FAILURES = counter("astrade_feed_publish_failures_total", "Times that Redis didn't take what was published")


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
        session = await _Session.begin(self._options, self._clock)
        logger.info("feeds_started", extra={"feeds": [feed.name for feed in session.feeds], "fence": fence})
        storing = asyncio.create_task(session.writer.run())
        tasks: list[Awaitable[None]] = [session.publish(feed, lost) for feed in session.feeds]
        try:
            await asyncio.gather(*tasks)
        finally:
            storing.cancel()
            with suppress(asyncio.CancelledError):
                await storing
            await session.writer.close()


class _Session:
    """Everything between taking the lease and giving it up."""

    def __init__(self, tapes: Mapping[str, Tape], feeds: Sequence[Feed], writer: HistoryWriter, clock: Clock) -> None:
        self.tapes, self.feeds, self.writer, self._clock = tapes, feeds, writer, clock

    @classmethod
    async def begin(cls, options: FeedOptions, clock: Clock) -> "_Session":
        """Take up what was left, store minutes that closed meanwhile, make history where there is none."""
        markets, writer = await _markets()
        recordings = await asyncio.to_thread(load_recordings, options, markets)
        left = await read_left(async_client(), [market.symbol for market in markets])
        now = clock()
        anchors = await _anchors(recordings, options, now_us=to_us(now))
        closes = await writer.call(history.last_closes)
        starts = {
            market.symbol: _start(market, left[market.symbol], recordings, closes, now_ms=to_ms(now))
            for market in markets
        }
        feeds = make_feeds(options, markets, starts=starts, recordings=recordings, anchors_us=anchors)
        now_ms = to_ms(now)
        await writer.call(lambda: _prepare_history(markets, left, starts, options, now_ms=now_ms))
        days = await writer.call(lambda: history.minutes_of_last_day(now_ms=now_ms))
        parts = await writer.call(lambda: history.parts_in_progress(now_ms=now_ms))
        tapes = {
            market.symbol: _tape(market, left[market.symbol], days.get(market.id, []), parts, now_ms=now_ms)
            for market in markets
        }
        paced = [Paced(feed, ticks_per_s=options.ticks_per_s, clock=clock) for feed in feeds]
        return cls(tapes, paced, writer, clock)

    async def publish(self, feed: Feed, stop: asyncio.Event) -> None:
        """Bring what `feed` yields to Redis and to the history, until `stop`."""
        tapes = [self.tapes[symbol] for symbol in feed.symbols]
        async for batch in feed.batches(stop):
            MESSAGES.labels(feed.name).inc(len(batch))
            self._take(feed, tapes, batch)
            await self._send(tapes)

    def _take(self, feed: Feed, tapes: Sequence[Tape], batch: Sequence[Message]) -> None:
        now_ms = to_ms(self._clock())
        closed: list[CandleUpdate] = []
        applied: list[AppliedFunding] = []
        for message in batch:
            candles, funding = self.tapes[message.symbol].take(message, now_ms=now_ms)
            closed += candles
            if funding is not None:
                applied.append(funding)
        for tape in tapes:
            closed += tape.roll(now_ms)
        if closed or applied:
            self.writer.add(closed, applied, source=feed.source)

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


async def _markets() -> tuple[tuple[MarketInfo, ...], HistoryWriter]:
    ids: dict[str, int] = {}
    writer = HistoryWriter(ids)
    markets = await writer.call(all_markets)
    ids.update({market.symbol: market.id for market in markets})
    return markets, writer


def _start(
    market: MarketInfo, left: Left, recordings: Mapping[str, Recording], closes: Mapping[int, Decimal], *, now_ms: int
) -> Start:
    """Last known price: of Redis, else of history, else the market's reference; ids never below the clock's
    milliseconds."""
    if market.symbol in recordings:
        price = recordings[market.symbol].first_price
    else:
        price = left.quote.last if left.quote else closes.get(market.id, market.reference_price)
    return Start(price, sequence=max(left.sequence, now_ms), trade_id=max(left.trade_id, now_ms))


async def _anchors(recordings: Mapping[str, Recording], options: FeedOptions, *, now_us: int) -> dict[str, int]:
    """Since when each recording plays: as before if the same one was playing at the same speed, else from now on."""
    anchors: dict[str, int] = {}
    for symbol, recording in recordings.items():
        mark = {"file": str(options.replay), "duration_us": recording.duration_us, "speed": options.speed}
        stored = await async_client().get(keys.replay(symbol))
        known = orjson.loads(stored) if stored else {}
        anchors[symbol] = known.pop("anchor_us", now_us)
        if known != mark:
            anchors[symbol] = now_us
            await async_client().set(keys.replay(symbol), orjson.dumps({**mark, "anchor_us": now_us}))
    return anchors


def _prepare_history(
    markets: Sequence[MarketInfo],
    left: Mapping[str, Left],
    starts: Mapping[str, Start],
    options: FeedOptions,
    *,
    now_ms: int,
) -> None:
    ids = {market.symbol: market.id for market in markets}
    source = PriceSource.REPLAY if options.feed == "replay" else PriceSource.SYNTHETIC
    history.store_candles(_minutes_over(left, now_ms=now_ms), ids=ids, source=source)
    known = history.markets_with_history()
    for market in markets:
        if market.id not in known:
            day = made_up_day(market, last_price=starts[market.symbol].price, now_ms=now_ms, seed=options.seed)
            history.store_candles(day, ids=ids, source=PriceSource.SYNTHETIC)


def _minutes_over(left: Mapping[str, Left], *, now_ms: int) -> list[CandleUpdate]:
    """Minutes that were running when the predecessor stopped and are over now."""
    return [
        CandleUpdate(
            symbol,
            BASE,
            kind,
            from_ms(bar.open_ms),
            bar.open,
            bar.high,
            bar.low,
            bar.close,
            bar.volume,
            bar.trades,
            True,
        )
        for symbol, state in left.items()
        for kind, bar in state.minutes.items()
        if bar.open_ms + MINUTE_MS <= now_ms
    ]


def _tape(
    market: MarketInfo,
    left: Left,
    day: Sequence[Bar],
    parts: Mapping[tuple[int, str], Mapping[str, Bar]],
    *,
    now_ms: int,
) -> Tape:
    tape = Tape(market.symbol, day=DayWindow(day))
    tape.funding = left.funding
    if left.extremes is not None:
        tape.extremes.resume(left.extremes)
    for kind, series in tape.series.items():
        minute = left.minutes.get(kind)
        if minute is not None and minute.open_ms != open_time_ms(now_ms, timeframe=BASE):
            minute = None
        series.resume(minute=minute, closed_parts=parts.get((market.id, kind), {}))
    return tape
