"""What the feeds of all venues share: a set of markets that may change, streams kept open for each, and one outlet.

Streams only note what they bring; whoever consumes the feed gets all of it that has come meanwhile as one batch, with
each book once, as it is then. So a slow consumer gets fewer books, never a growing backlog of them.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from astrade.core.clock import Clock, system_clock
from astrade.core.messages import BookSnapshot, Message
from astrade.core.randomness import Randomness, system_randomness
from astrade.venues.errors import VenueError
from marketdata.feeds.base import Sleep, Start
from marketdata.feeds.following import follow, repeat
from marketdata.feeds.prices import LivePrices
from marketdata.feeds.rules import REFRESHED_EVERY_S, ChangeRules, Rules
from marketdata.models import PriceKind, PriceSource, Venue
from marketdata.selectors import MarketInfo

TELL_EVERY_S = 1.0  # an empty batch at the latest: what depends on the clock goes on though nothing comes
PAST_TRADE = timedelta(seconds=2)  # older ones, at the begin of a stream, tell of what was before it
Work = Coroutine[Any, Any, None]
logger = logging.getLogger(__name__)


class VenueFeed(ABC):
    """A venue's markets, live. Its methods are called on one event loop."""

    source = PriceSource.LIVE
    name: str
    venue: Venue
    told_kinds: frozenset[PriceKind]  # whose minutes come from the venue's history

    def __init__(
        self,
        *,
        clock: Clock = system_clock,
        randomness: Randomness = system_randomness,
        sleep: Sleep = asyncio.sleep,
        change_rules: ChangeRules | None = None,
    ) -> None:
        """`change_rules` is told the venue's rules of each market every ten minutes; without it nobody asks."""
        self._clock, self._randomness, self._sleep = clock, randomness, sleep
        self._change_rules = change_rules
        self._prices: dict[str, LivePrices] = {}
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}
        self._messages: list[Message] = []
        self._books: dict[str, Callable[[], BookSnapshot]] = {}
        self._news = asyncio.Event()
        self._is_over = False

    @property
    def symbols(self) -> tuple[str, ...]:
        """The markets that are being followed."""
        return tuple(self._prices)

    @abstractmethod
    def works(self, prices: LivePrices, *, market: MarketInfo, start: Start) -> Sequence[Work]:
        """Everything that has to run, each until cancelled, to follow the market."""

    @abstractmethod
    async def rules_of(self, symbol: str) -> Rules:
        """The market's rules as the venue has them now."""

    @abstractmethod
    async def close(self) -> None:
        """Give connections back; nothing is followed any more."""

    def follow(self, markets: Sequence[MarketInfo], *, starts: Mapping[str, Start]) -> None:
        """Follow these besides those that are followed already; nothing once `batches` has ended."""
        for market in markets if not self._is_over else ():
            start = starts[market.symbol]
            prices = self._prices[market.symbol] = LivePrices(market.symbol, start=start)
            works = [*self.works(prices, market=market, start=start)]
            if self._change_rules is not None:
                works.append(self._keep_asking("rules", partial(self._refresh_rules, market, self._change_rules)))
            self._tasks[market.symbol] = [asyncio.create_task(work) for work in works]

    async def unfollow(self, symbols: Sequence[str]) -> None:
        """Let go of these."""
        tasks: list[asyncio.Task[None]] = []
        for symbol in symbols:
            del self._prices[symbol]
            self._books.pop(symbol, None)
            tasks += self._tasks.pop(symbol)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._messages = [message for message in self._messages if message.symbol not in symbols]

    async def batches(self, stop: asyncio.Event) -> AsyncIterator[Sequence[Message]]:
        """What came since the last batch, as soon as something has, and at least each second."""
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self._news.set())
        try:
            while not stop.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(TELL_EVERY_S):
                        await self._news.wait()
                yield self._taken()
        finally:
            self._is_over = True
            stopping.cancel()
            await self.unfollow(self.symbols)
            await self.close()

    def _taken(self) -> Sequence[Message]:
        self._news.clear()
        messages, self._messages = self._messages, []
        books, self._books = self._books, {}
        for symbol, book in books.items():
            try:
                messages.append(book())
            except VenueError as failure:  # whoever keeps the book meets the same at once
                logger.warning("feed_book_withheld", extra={"feed": self.name, "market": symbol, "error": str(failure)})
        return messages

    def _tell(self, *messages: Message | None) -> None:
        """Have these consumed."""
        self._messages += [message for message in messages if message is not None]
        self._news.set()

    def _tell_book(self, symbol: str, book: Callable[[], BookSnapshot]) -> None:
        """Have the book consumed as it is then, unless it is withdrawn before."""
        self._books[symbol] = book
        self._news.set()

    def _withdraw_book(self, symbol: str) -> None:
        """The book isn't kept any more: what it has become since it was told of is nothing to rely on."""
        self._books.pop(symbol, None)

    async def _refresh_rules(self, market: MarketInfo, change_rules: ChangeRules) -> float:
        await change_rules(market.id, await self.rules_of(market.symbol))
        return REFRESHED_EVERY_S

    def _keep_open(self, stream: str, told: Callable[[], AsyncGenerator[None, None]]) -> Work:
        return follow(told, feed=self.name, stream=stream, randomness=self._randomness, sleep=self._sleep)

    def _keep_asking(self, question: str, ask: Callable[[], Awaitable[float]]) -> Work:
        return repeat(ask, feed=self.name, question=question, sleep=self._sleep)
