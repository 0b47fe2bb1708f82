"""Where the matcher's finds wait to be booked: in lanes, one thread each, an account always in the same one.

An order waits in its lane at most once, however often it is reached, so a storm of ticks needs no more memory than
there are orders. What can't be booked for want of the database or of fresh prices stays and is tried again.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from uuid import UUID

from django.db import DatabaseError, InterfaceError, OperationalError, connections

from astrade.core.clock import system_clock
from astrade.core.errors import AstradeError, MarketDataStale
from astrade.core.messages import MarketView, Quote
from marketdata import live
from trading.domain.matching import Reached
from trading.domain.watching import Hit, both, order_of
from trading.services.orders import fill_resting_order, fill_resting_orders
from trading.services.triggers import trigger_order, trigger_orders
from trading.threads import with_connection

logger = logging.getLogger(__name__)
AT_ONCE = 16  # orders that a thread books before it hears what else waits
LOOK_AHEAD = 1000  # of what waits, for further orders of an account whose turn it is
VIEW_KEPT_S = 0.25
RETRY_AFTER_S = 1.0
Reading = tuple[MarketView, Mapping[str, Quote]]


@dataclass(frozen=True, slots=True)
class Found:
    """An order of a market that was reached, and when by the monotonic clock."""

    symbol: str
    hit: Hit
    at_s: float

    @property
    def uuid(self) -> UUID:
        """The order's."""
        return order_of(self.hit).uuid


@dataclass(slots=True)
class Outcome:
    """What became of several finds: how many were booked, and which are to be tried again."""

    booked: int = 0
    again: list[Found] = field(default_factory=list)


class Views:
    """Readings of markets that the threads share: one serves everything that was reached before it was read."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[float, Reading]] = {}

    def of(self, found: Found) -> Reading:
        """A reading that is not older than the find; raises MarketDataStale without fresh prices."""
        now_s = time.monotonic()
        read_at_s, reading = self._read.get(found.symbol, (float("-inf"), None))
        if reading is None or read_at_s < found.at_s or now_s - read_at_s > VIEW_KEPT_S:
            reading = live.view_of(found.symbol)
            self._read[found.symbol] = (now_s, reading)
        live.ensure_fresh(reading[0].quote, now=system_clock())
        return reading


class Lane:
    """The finds of some accounts, in the order in which they were reached, and the thread that books them."""

    def __init__(self, name: str, *, views: Views) -> None:
        self.waiting: dict[UUID, Found] = {}
        self.booking = 0
        self.booked = 0
        self._views = views
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._more = asyncio.Event()

    def put(self, found: Found) -> None:
        """Have it booked; one that waits already keeps its place."""
        before = self.waiting.get(found.uuid)
        self.waiting[found.uuid] = Found(found.symbol, both(before.hit if before else None, found.hit), found.at_s)
        self._more.set()

    def forget(self, uuid: UUID) -> None:
        """The order no longer waits for anything."""
        self.waiting.pop(uuid, None)

    async def run(self) -> None:
        """Book what waits until cancelled."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self.waiting:
                if await self.book_next():
                    await asyncio.sleep(RETRY_AFTER_S)

    async def book_next(self) -> bool:
        """Book the next few that wait; returns whether some of them have to be tried again later."""
        chunk = self._next()
        self.booking = sum(map(len, chunk))
        try:
            outcome = await asyncio.get_running_loop().run_in_executor(self._thread, self._book, chunk)
        finally:
            self.booking = 0
        self.booked += outcome.booked
        for found in outcome.again:
            since = self.waiting.pop(found.uuid, None)
            self.waiting[found.uuid] = (
                found if since is None else Found(found.symbol, both(found.hit, since.hit), since.at_s)
            )
        return bool(outcome.again)

    def close(self) -> None:
        """Give the thread and its connection back."""
        self._thread.submit(connections.close_all)
        self._thread.shutdown()

    def _next(self) -> list[list[Found]]:
        """Take out what waits longest, and with it what else waits of the same account: what one booking can do, side
        by side.
        """
        accounts: dict[int, list[Found]] = defaultdict(list)
        for found in islice(self.waiting.values(), LOOK_AHEAD):
            accounts[order_of(found.hit).account_id].append(found)
        chosen = list(islice(chain.from_iterable(accounts.values()), AT_ONCE))
        for found in chosen:
            del self.waiting[found.uuid]
        return [list(together) for _, together in groupby(chosen, key=booking_of)]

    def _book(self, chunk: Sequence[Sequence[Found]]) -> Outcome:
        outcome = Outcome()
        for together in chunk:
            self._book_together(together, outcome)
        return outcome

    def _book_together(self, together: Sequence[Found], outcome: Outcome) -> None:
        """One booking; where something is wrong with one of several, one each."""
        first = together[0]
        try:
            outcome.booked += with_connection(book_finds, together, *self._views.of(max(together, key=_reached_at)))
        except (MarketDataStale, OperationalError, InterfaceError) as exc:
            logger.warning("matcher_waits", extra=_about(first) | {"error": type(exc).__name__})
            outcome.again += together
        except (AstradeError, DatabaseError, OverflowError):
            if len(together) == 1:
                logger.exception("matcher_could_not_book", extra=_about(first))
                return
            for found in together:
                self._book_together([found], outcome)


def booking_of(found: Found) -> tuple[int, str, bool]:
    """Finds next to each other that say the same go into one booking: of one account, market and kind."""
    return order_of(found.hit).account_id, found.symbol, isinstance(found.hit, Reached)


def _reached_at(found: Found) -> float:
    return found.at_s


def book_finds(together: Sequence[Found], view: MarketView, quotes: Mapping[str, Quote]) -> int:
    """How many of them were booked."""
    hit = together[0].hit
    if len(together) > 1:
        account_id, hits = order_of(hit).account_id, [found.hit for found in together]
        if isinstance(hit, Reached):
            reached = [hit for hit in hits if isinstance(hit, Reached)]
            return fill_resting_orders(account_id=account_id, reached=reached, book=view.book, quotes=quotes)
        triggered = [hit for hit in hits if not isinstance(hit, Reached)]
        return trigger_orders(account_id=account_id, reached=triggered, view=view, quotes=quotes)
    if isinstance(hit, Reached):
        return fill_resting_order(
            account_id=hit.order.account_id,
            order_id=hit.order.order_id,
            book=view.book,
            quotes=quotes,
            traded_through=hit.traded_through,
            admitted=(hit.order.price, hit.order.admitted_sequence),
            traded=hit.traded,
        )
    return trigger_order(
        account_id=hit.account_id,
        order_id=hit.order_id,
        view=view,
        quotes=quotes,
        admitted=(hit.trigger_price, hit.admitted_sequence),
    )


def _about(found: Found) -> dict[str, object]:
    order = order_of(found.hit)
    return {"order": str(order.uuid), "account": order.account_id, "market": found.symbol}
