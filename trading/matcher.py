"""The practice matcher: turns ticks that reach resting orders into bookings (DESIGN §4.1). Runs in `streams`.

Its memory is a copy: loaded from the database when it takes the lease, kept up by the event feed. The booking reads the
order again under the account's lock, so a second matcher by mistake, or a tick that comes twice, books nothing twice.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, connections
from prometheus_client import Counter, Gauge

from astrade.core.clock import system_clock
from astrade.core.errors import AstradeError, MarketDataStale
from astrade.core.leases import hold
from astrade.core.messages import MarketView, Quote
from astrade.core.redis import async_client, redis_errors
from astrade.core.runners import Runner
from marketdata import keys, live
from marketdata.frames import Tick, decode_tick
from trading.announcing import EVENTS_CHANNEL
from trading.domain.lifecycle import RESTING, OrderType
from trading.domain.matching import Reached, Resting, RestingOrders, reaches
from trading.models import Order
from trading.readers import Cursor, present_cursor
from trading.resting import changed_orders, past_seconds, resting_of, resting_orders
from trading.services.orders import fill_resting_order

T = TypeVar("T")
logger = logging.getLogger(__name__)
LEASE = "matcher"
FOLLOW_EVERY_S = 0.2
RECONNECT_AFTER_S = 1.0
EXTREMES_KEPT = timedelta(seconds=keys.EXTREMES_KEPT_S)

RESTING_ORDERS = Gauge("astrade_matcher_resting_orders", "Orders the matcher watches", multiprocess_mode="livesum")
BACKLOG = Gauge("astrade_matcher_backlog", "Reached orders that wait to be booked", multiprocess_mode="livesum")
BOOKED = Counter("astrade_matcher_fills", "Resting orders the matcher filled, whole or in part")


class Matcher:
    """One matcher over all markets. Bookings run in threads, one account always in the same one, so in their order."""

    name = "matcher"

    def __init__(self, *, threads: int) -> None:
        self.books: dict[str, RestingOrders] = defaultdict(RestingOrders)
        self._workers = [ThreadPoolExecutor(1, thread_name_prefix=f"matcher-{n}") for n in range(threads)]
        self._busy: dict[UUID, Reached | None] = {}  # order being booked → what reached it meanwhile
        self._pending: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Match whenever the lease is ours, until `stop`; a database that is away is waited for."""
        try:
            while not stop.is_set():
                try:
                    await hold(LEASE, self._match, stop=stop)
                except (DatabaseError, InterfaceError):
                    logger.warning("matcher_lost_database", exc_info=True)
                    await asyncio.sleep(RECONNECT_AFTER_S)
        finally:
            for worker in self._workers:
                worker.submit(connections.close_all)
                worker.shutdown()

    async def _match(self, token: int, end: asyncio.Event) -> None:
        self.books.clear()
        cursor = await self._in_worker(present_cursor)
        await self._load(await self._in_worker(resting_orders))
        following = asyncio.create_task(self._follow(cursor, end))
        listening = asyncio.create_task(self._listen(end))
        try:
            ended = asyncio.create_task(end.wait())
            await asyncio.wait({following, listening, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (following, listening, ended):
                task.cancel()
            await asyncio.gather(following, listening, ended, return_exceptions=True)
            while self._pending:
                await asyncio.gather(*self._pending, return_exceptions=True)
        for task in (following, listening):
            if not task.cancelled() and (failure := task.exception()):
                raise failure

    async def _listen(self, end: asyncio.Event) -> None:
        """Ticks from the feed; a broken connection is opened again and what was missed is looked up."""
        while not end.is_set():
            try:
                async with async_client().pubsub() as pubsub:
                    await pubsub.subscribe(keys.TICKS)
                    await self._catch_up()
                    async for message in pubsub.listen():
                        if message["type"] == "message":
                            self._take(decode_tick(message["data"]))
            except redis_errors as exc:
                logger.warning("matcher_lost_ticks", extra={"error": type(exc).__name__})
                await asyncio.sleep(RECONNECT_AFTER_S)

    def _take(self, tick: Tick) -> None:
        book = self.books.get(tick.symbol)
        if book is None:
            book = self.books[tick.symbol]
        self._dispatch(tick.symbol, book.take(tick))

    def _dispatch(self, symbol: str, reached: Iterable[Reached]) -> None:
        new = []
        for found in reached:
            uuid = found.order.uuid
            if uuid in self._busy:
                before = self._busy[uuid]
                self._busy[uuid] = before if before and before.traded_through else found
            else:
                self._busy[uuid] = None
                new.append(found)
        if new:
            task = asyncio.create_task(self._book(symbol, new))
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)

    async def _book(self, symbol: str, reached: list[Reached]) -> None:
        """Book all orders that one tick reached against one reading of the market."""
        BACKLOG.inc(len(reached))
        try:
            view, quotes = await self._in_worker(live.view_of, symbol)
            if live.is_stale(view.quote.at, now=system_clock()):
                return
            await asyncio.gather(*(self._fill(found, view, quotes) for found in reached))
        except MarketDataStale:
            logger.warning("matcher_without_prices", extra={"symbol": symbol})
        finally:
            BACKLOG.dec(len(reached))
            missed = [self._busy.pop(found.order.uuid) for found in reached]
            self._dispatch(symbol, [found for found in missed if found])

    async def _fill(self, reached: Reached, view: MarketView, quotes: Mapping[str, Quote]) -> None:
        order = reached.order
        worker = self._workers[order.account_id % len(self._workers)]
        call = asyncio.get_running_loop().run_in_executor(worker, _fill, reached, view, quotes)
        if await call:
            BOOKED.inc()
            logger.info("order_filled", extra={"order": str(order.uuid), "account": order.account_id})

    async def _follow(self, cursor: Cursor, end: asyncio.Event) -> None:
        """Orders that came or ended, from the event feed; hints on its channel only shorten the wait."""
        hint = asyncio.Event()
        hinting = asyncio.create_task(_hints(hint, end))
        try:
            while not end.is_set():
                changed, cursor, more = await self._in_worker(changed_orders, cursor)
                await self._load(changed)
                RESTING_ORDERS.set(sum(len(book) for book in self.books.values()))
                if not more:
                    await _within(hint.wait(), FOLLOW_EVERY_S)
                    hint.clear()
        finally:
            hinting.cancel()

    async def _load(self, orders: Iterable[Order]) -> None:
        """Take orders in or out of memory as their status says; one already reached is booked at once."""
        late: dict[str, list[Resting]] = defaultdict(list)
        for order in orders:
            symbol = order.market.symbol
            book = self.books[symbol]
            if order.status not in RESTING or order.type != OrderType.LIMIT or order.price is None:
                book.remove(order.uuid)
            elif order.uuid not in book:
                resting = resting_of(order)
                reached = book.add(resting)
                if reached is not None:
                    self._dispatch(symbol, [reached])
                elif not book.knows_since(resting.admitted_sequence):
                    late[symbol].append(resting)
        for symbol, arrived in late.items():
            await self._look_back(symbol, arrived)

    async def _catch_up(self) -> None:
        for symbol, book in list(self.books.items()):
            await self._look_back(symbol, list(book))

    async def _look_back(self, symbol: str, orders: list[Resting]) -> None:
        """Hold orders against the lows and highs of each whole second since their admission, and against the
        present.
        """
        if not orders:
            return
        since = max(min(order.created_at for order in orders), system_clock() - EXTREMES_KEPT)
        try:
            ranges = await self._in_worker(past_seconds, symbol, since)
        except MarketDataStale:
            return
        reached = []
        for order in orders:
            second_after = order.created_at.replace(microsecond=0) + timedelta(seconds=1)
            seconds = [past for past in ranges if past.at >= second_after and past.sequence > order.admitted_sequence]
            found = [hit for past in seconds if (hit := reaches(order, past))]
            if found:
                reached.append(max(found, key=lambda hit: hit.traded_through))
        self._dispatch(symbol, reached)

    async def _in_worker(self, call: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._workers[0], with_connection, call, *arguments)


def with_connection(call: Callable[..., T], *arguments: Any) -> T:
    """`call` in a thread that keeps its database connection, and drops a broken one."""
    try:
        return call(*arguments)
    except (DatabaseError, InterfaceError):
        connection.close()
        raise


def _fill(reached: Reached, view: MarketView, quotes: Mapping[str, Quote]) -> bool:
    """Book one reached order; an order that can't be booked now stays in memory for the next tick."""
    order = reached.order
    try:
        return with_connection(
            partial(
                fill_resting_order,
                account_id=order.account_id,
                order_id=order.order_id,
                book=view.book,
                quotes=quotes,
                traded_through=reached.traded_through,
            )
        )
    except (AstradeError, DatabaseError, InterfaceError):
        logger.exception("matcher_could_not_book", extra={"order": str(order.uuid), "account": order.account_id})
        return False


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
    """What `manage.py streams` runs of trading's matcher."""
    return [Matcher(threads=settings.MATCHER_THREADS)]
