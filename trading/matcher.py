"""The practice matcher: turns ticks that reach waiting orders into bookings (DESIGN §4.1). Runs in `streams`.

Markets are shared out among shards, each under a lease of its own: a process works on those that are free, and takes
over from one that died. A shard's memory is a copy: loaded from the database when the lease is taken, kept up by the
event feed. The booking reads the order again under the account's lock, so a second matcher by mistake, or a tick that
comes twice, books nothing twice.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import msgspec
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections

from astrade.core.clock import Clock, system_clock
from astrade.core.errors import MarketDataStale
from astrade.core.leases import hold
from astrade.core.metrics import counter, gauge
from astrade.core.redis import async_client, redis_errors
from astrade.core.runners import Runner
from marketdata import keys, live
from marketdata.frames import Tick, decode_tick
from trading.announcing import EVENTS_CHANNEL
from trading.domain.watching import Hit, Waiting, WatchedOrders, missed, order_of
from trading.lanes import Found, Lane, Views
from trading.readers import Cursor, present_cursor
from trading.resting import OrderRow, changed_orders, past_seconds, shard_of, waiting_orders
from trading.threads import with_connection

T = TypeVar("T")
logger = logging.getLogger(__name__)
LEASE = "matcher"
FOLLOW_EVERY_S = 0.2
FOLLOW_REST_S = 0.05  # between two readings, whatever is hinted: in a storm one takes in what many bookings changed
RECONNECT_AFTER_S = 1.0
TICKS_AT_ONCE = 256  # of one market, that are worked through as one
LOADED_AT_ONCE = 1000  # orders, before others get their turn
EXTREMES_KEPT = timedelta(seconds=keys.EXTREMES_KEPT_S)

RESTING_ORDERS = gauge("astrade_matcher_resting_orders", "Limit orders the matcher watches", ["shard"], mode="livesum")
UNTRIGGERED_ORDERS = gauge(
    "astrade_matcher_untriggered_orders", "Orders with a trigger that the matcher watches", ["shard"], mode="livesum"
)
BACKLOG = gauge("astrade_matcher_backlog", "Reached orders that wait to be booked", ["shard"], mode="livesum")
LAG = gauge("astrade_matcher_lag_seconds", "Age of the last tick when it was worked through", ["shard"], mode="livesum")
TICKS = counter("astrade_matcher_ticks", "Ticks of the shard's markets", ["shard"])
BOOKED = counter("astrade_matcher_fills", "Orders the matcher filled, whole or in part, or triggered", ["shard"])


class Matcher:
    """One shard of the markets: those whose symbol's stable hash modulo `shards` is `shard`."""

    def __init__(self, *, shard: int = 0, shards: int = 1, threads: int = 1, clock: Clock = system_clock) -> None:
        self.name = f"{LEASE}:{shard}"
        self.markets: dict[str, WatchedOrders] = defaultdict(WatchedOrders)
        self.lanes: list[Lane] = []
        self._shard, self._shards, self._threads, self._clock = shard, shards, threads, clock
        self._reader = ThreadPoolExecutor(1, thread_name_prefix=f"{self.name}-reader")
        self._ticks: dict[str, list[Tick]] = {}  # that came and were not worked through yet
        self._counted = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Match whenever the shard's lease is ours, until `stop`; a database that is away is waited for."""
        self.open()
        try:
            while not stop.is_set():
                try:
                    await hold(self.name, self._match, stop=stop)
                except (DatabaseError, InterfaceError):
                    logger.warning("matcher_lost_database", extra={"shard": self._shard}, exc_info=True)
                    await asyncio.sleep(RECONNECT_AFTER_S)
        finally:
            self.close()

    def open(self) -> None:
        """Make the lanes; inside the event loop that uses them."""
        views = Views()
        self.lanes = [Lane(f"{self.name}-{number}", views=views) for number in range(self._threads)]

    def close(self) -> None:
        """Give all threads and their connections back."""
        for lane in self.lanes:
            lane.close()
        self._reader.submit(connections.close_all)
        self._reader.shutdown()

    async def _match(self, token: int, end: asyncio.Event) -> None:
        self._forget_all()
        cursor = await self._reading(present_cursor)
        await self.load()
        working = [self._follow(cursor, end), self._listen(end), *(lane.run() for lane in self.lanes)]
        tasks = [asyncio.ensure_future(work) for work in working]
        ended = asyncio.create_task(end.wait())
        try:
            await asyncio.wait({*tasks, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*tasks, ended):
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            self._forget_all()
        failures = [answer for answer in answers if isinstance(answer, Exception)]
        if failures:
            raise failures[0]

    def _forget_all(self) -> None:
        self.markets.clear()
        self._ticks.clear()
        for lane in self.lanes:
            lane.waiting.clear()
        self._tell()
        LAG.labels(str(self._shard)).set(0)

    async def _listen(self, end: asyncio.Event) -> None:
        """Ticks from the feed; a broken connection is opened again and what was missed is looked up."""
        while not end.is_set():
            try:
                async with async_client().pubsub() as pubsub:
                    await pubsub.subscribe(keys.TICKS)
                    async for message in pubsub.listen():
                        if message["type"] == "message":
                            self._hear(message["data"])
                        elif message["type"] == "subscribe":  # again whenever the client has reconnected by itself
                            await self._catch_up()
            except redis_errors as exc:
                logger.warning("matcher_lost_ticks", extra={"shard": self._shard, "error": type(exc).__name__})
                await asyncio.sleep(RECONNECT_AFTER_S)

    def _hear(self, raw: bytes) -> None:
        """Take in a tick as it was published; one that nobody understands reaches nothing, and ends nothing."""
        try:
            tick = decode_tick(raw)
        except msgspec.MsgspecError as exc:
            logger.error("matcher_not_understood", extra={"shard": self._shard, "error": str(exc)})
            return
        self.arrived(tick)

    def arrived(self, tick: Tick) -> None:
        """Note a tick of the shard's markets. It is worked through as soon as no further one is at hand, together with
        those of its market that came meanwhile.
        """
        if not self._ticks:
            asyncio.get_running_loop().call_soon(self._work_through_all)
        ticks = self._ticks.get(tick.symbol)
        if ticks is None:
            if shard_of(tick.symbol, shards=self._shards) != self._shard:
                return
            ticks = self._ticks[tick.symbol] = []
        ticks.append(tick)
        if len(ticks) >= TICKS_AT_ONCE:
            self._work_through(tick.symbol)

    def _work_through_all(self) -> None:
        for symbol in list(self._ticks):
            self._work_through(symbol)

    def _work_through(self, symbol: str) -> None:
        """Hold the orders of a market against the ticks that came; what is too old to take risk on reaches nothing."""
        ticks, now = self._ticks.pop(symbol), self._clock()
        shard = str(self._shard)
        TICKS.labels(shard).inc(len(ticks))
        LAG.labels(shard).set(live.age_of(ticks[-1].at, now=now).total_seconds())
        fresh = [tick for tick in ticks if not live.is_stale(tick.at, now=now)]
        self._found(symbol, self.markets[symbol].take(fresh))

    def _found(self, symbol: str, hits: Iterable[Hit]) -> None:
        now_s = time.monotonic()
        for hit in hits:
            self._lane_of(order_of(hit).account_id).put(Found(symbol, hit, now_s))

    def _lane_of(self, account_id: int) -> Lane:
        return self.lanes[account_id % len(self.lanes)]

    async def _follow(self, cursor: Cursor, end: asyncio.Event) -> None:
        """Orders that came or ended, from the event feed; hints on its channel only shorten the wait."""
        hint = asyncio.Event()
        hinting = asyncio.create_task(_hints(hint, end))
        try:
            while not end.is_set():
                changed, cursor, more = await self._reading(changed_orders, cursor)
                await self._take_in(changed)
                self._tell()
                if not more:
                    await asyncio.sleep(FOLLOW_REST_S)
                    await _within(hint.wait(), FOLLOW_EVERY_S)
                    hint.clear()
        finally:
            hinting.cancel()

    async def load(self) -> None:
        """Take in all that waits; what happened to its prices before is for `_catch_up`."""
        rows = await self._reading(partial(waiting_orders, shard=self._shard, shards=self._shards))
        for number, row in enumerate(rows, start=1):
            self._take_row(row)
            if number % LOADED_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _take_in(self, rows: Iterable[OrderRow]) -> None:
        """Follow changes of orders; one that was reached already is booked at once."""
        late: dict[str, list[Waiting]] = defaultdict(list)
        for row in rows:
            if shard_of(row.symbol, shards=self._shards) == self._shard:
                arrived = self._take_row(row)
                if arrived is not None and not self.markets[row.symbol].knows_since(arrived.admitted_sequence):
                    late[row.symbol].append(arrived)
        for symbol, orders in late.items():
            seconds = await self._past_seconds(symbol, orders)
            self._found(symbol, [hit for order in orders if (hit := missed(order, seconds))])

    def _take_row(self, row: OrderRow) -> Waiting | None:
        """Take an order in or out of memory as its status says; returns it if it is new and no tick reached it yet."""
        market, waiting = self.markets[row.symbol], row.waiting()
        if waiting is None:
            market.remove(row.uuid)
            self._lane_of(row.account_id).forget(row.uuid)
            return None
        if market.knows(waiting):
            return None
        hit = market.add(waiting)
        self._found(row.symbol, [] if hit is None else [hit])
        return waiting if hit is None else None

    async def _catch_up(self) -> None:
        """Hold every order against the lows and highs of each whole second since its admission."""
        for symbol, market in list(self.markets.items()):
            if len(market):
                self._found(symbol, market.missed(await self._past_seconds(symbol, market)))

    async def _past_seconds(self, symbol: str, orders: Iterable[Waiting]) -> list[Any]:
        since = max(min(order.admitted_at for order in orders), self._clock() - EXTREMES_KEPT)
        try:
            return await self._reading(past_seconds, symbol, since)
        except MarketDataStale:
            return []

    def _tell(self) -> None:
        shard = str(self._shard)
        RESTING_ORDERS.labels(shard).set(sum(len(market.resting) for market in self.markets.values()))
        UNTRIGGERED_ORDERS.labels(shard).set(sum(len(market.untriggered) for market in self.markets.values()))
        BACKLOG.labels(shard).set(sum(len(lane.waiting) + lane.booking for lane in self.lanes))
        booked = sum(lane.booked for lane in self.lanes)
        BOOKED.labels(shard).inc(booked - self._counted)
        self._counted = booked

    async def _reading(self, call: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, with_connection, call, *arguments)


async def _hints(hint: asyncio.Event, end: asyncio.Event) -> None:
    """Set `hint` whenever somebody announces events."""
    while not end.is_set():
        try:
            async with async_client().pubsub() as pubsub:
                await pubsub.subscribe(EVENTS_CHANNEL)
                async for _ in pubsub.listen():
                    hint.set()
        except redis_errors:
            await asyncio.sleep(RECONNECT_AFTER_S)


async def _within(waiting: Coroutine[Any, Any, Any], seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(waiting, seconds)


def matcher_runners() -> list[Runner]:
    """What `manage.py streams` runs of trading's matcher: one runner a shard, each waiting for its lease."""
    shards = settings.MATCHER_SHARDS
    return [Matcher(shard=shard, shards=shards, threads=settings.MATCHER_THREADS) for shard in range(shards)]
