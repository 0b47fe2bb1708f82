"""Live feeds from the venue's socket to Redis and the history, on real servers: what readers see."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from asgiref.sync import sync_to_async

from astrade.core.clock import to_ms
from astrade.core.redis import async_client, sync_client
from astrade.emulators.extended.exchange import Exchange
from astrade.emulators.extended.server import served
from astrade.emulators.tests.clocks import ManualClock
from astrade.emulators.tests.harness import BTC
from astrade.tests.live.feeding import AT_FULL_SIZE, Sleeps, sample, until
from astrade.tests.venue import extended_at
from marketdata import keys, live
from marketdata.catalogue import LISTINGS
from marketdata.feeds.selection import FeedOptions
from marketdata.feeds.session import Session
from marketdata.models import Candle, FundingRate, Market, MarketStatus
from marketdata.selectors import forget_markets
from marketdata.services import change_status, list_market
from marketdata.tests.factories import LISTED_AT

pytestmark = [pytest.mark.django_db(transaction=True), AT_FULL_SIZE]
ETH, EUR = "ETH-USD", "EURUSD"
LIVE = FeedOptions(feed="extended", seed=1, ticks_per_s=20, replay=None, mapping={}, speed=1)


@pytest.fixture(autouse=True)
def _nothing_left() -> None:
    for key in sync_client().scan_iter("md:*"):
        sync_client().delete(key)
    forget_markets()


def listed(*symbols: str) -> None:
    for listing in LISTINGS:
        if listing.symbol in symbols:
            list_market(listing, at=LISTED_AT)
    forget_markets()


class Venue:
    """An exchange that can be taken off the net and put back, and the session that follows it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.exchange = Exchange(seed=1, clock=self.clock, symbols=(BTC, ETH))
        self._stack, self._port = AsyncExitStack(), 0

    async def serve(self) -> str:
        url = await self._stack.enter_async_context(served(self.exchange, port=self._port))
        self._port = urlsplit(url).port or 0
        return url

    async def cut(self) -> None:
        await self._stack.aclose()

    def advance(self) -> None:
        self.clock.move(100)
        self.exchange.step()

    def is_told(self, symbol: str) -> bool:
        """Whether readers have the exchange's present prices."""
        quote, venue = live.quotes().get(symbol), self.exchange.market(symbol).view.quote
        return quote is not None and (quote.bid, quote.mark) == (venue.bid, venue.mark)


@asynccontextmanager
async def session(settings: Any) -> AsyncIterator[Venue]:
    venue, stop = Venue(), asyncio.Event()
    with extended_at(await venue.serve(), settings):
        running = Session(LIVE, venue.clock, look_every_s=0.05, sleep=Sleeps(venue.clock))
        task = asyncio.create_task(running.run(stop))
        yield venue
        stop.set()
        await task
        left = [other for other in asyncio.all_tasks() if other.get_coro().__name__ in ("follow", "repeat")]  # type: ignore[union-attr]
        assert left == []
        await venue.cut()


async def test_prices_are_the_venues_and_so_are_history_and_rules(settings: Any) -> None:
    await sync_to_async(listed)(BTC, EUR)
    await Market.objects.filter(symbol=BTC).aupdate(tick_size=5, max_leverage=20)
    async with session(settings) as venue:
        await until(lambda: venue.is_told(BTC) and EUR in live.quotes(), meanwhile=venue.advance)
        book, told = live.view_of(BTC)[0].book, venue.exchange.market(BTC).view.book
        await until(lambda: sync_client().hlen(keys.candles(BTC)) == 3, meanwhile=venue.advance)
        minutes = Candle.objects.filter(market__symbol=BTC, timeframe="1m")
        for _ in range(200):
            if await minutes.acount() >= 3 * 1_438 and await FundingRate.objects.acount() >= 23:
                break
            venue.advance()
            await asyncio.sleep(0.02)
        assert len(book.bids) == len(told.bids)
        market = await Market.objects.aget(symbol=BTC)
        assert (market.tick_size, market.max_leverage, await market.rules_rows.acount()) == (1, 50, 2)
        assert {source async for source in minutes.values_list("source", flat=True)} == {"live"}
        hours = Candle.objects.filter(market__symbol=BTC, timeframe="1h", kind="mark")
        assert await hours.acount() >= 24
        assert {source async for source in hours.values_list("source", flat=True)} == {"live"}
        synthetic = Candle.objects.filter(market__symbol=EUR, timeframe="1m")
        assert {source async for source in synthetic.values_list("source", flat=True)} == {"synthetic"}


async def test_a_market_comes_and_goes_without_a_restart(settings: Any) -> None:
    await sync_to_async(listed)(BTC)
    async with session(settings) as venue:
        await until(lambda: venue.is_told(BTC), meanwhile=venue.advance)
        assert ETH not in live.quotes()
        await sync_to_async(listed)(ETH)
        await until(lambda: venue.is_told(ETH), meanwhile=venue.advance)
        before = sample("astrade_feed_streams", feed="extended", stream="book")
        market = await Market.objects.aget(symbol=ETH)
        await sync_to_async(change_status)(market.pk, status=MarketStatus.DELISTED, actor_id=None)
        forget_markets()
        gone = lambda: sample("astrade_feed_streams", feed="extended", stream="book") == before - 1  # noqa: E731
        await until(gone, meanwhile=venue.advance)
        last = live.quotes()[ETH].at
        for _ in range(5):
            await until(lambda: venue.is_told(BTC), meanwhile=venue.advance)
            venue.advance()
        assert live.quotes()[ETH].at == last
        assert live.is_stale(live.quotes()[BTC].at, now=venue.clock()) is False


async def test_readers_see_stale_prices_while_the_venue_is_away_and_then_the_whole_book(settings: Any) -> None:
    await sync_to_async(listed)(BTC)
    async with session(settings) as venue, async_client().pubsub() as channel:
        await until(lambda: venue.is_told(BTC), meanwhile=venue.advance)
        streams = [keys.stream(f"{kind}:{BTC}") for kind in ("ticker", "orderbook")]
        await channel.subscribe(*streams)
        frames: list[Any] = []

        async def listen() -> None:
            async for message in channel.listen():
                if message["type"] == "message":
                    frames.append(orjson.loads(message["data"]))

        listening = asyncio.create_task(listen())
        await venue.cut()
        cut_ms = to_ms(venue.clock())
        await until(lambda: frames and frames[-1].get("stale"), meanwhile=lambda: venue.clock.move(200))
        assert all(frame["at"] <= cut_ms + 1_000 for frame in frames if frame["type"] == "ticker")
        assert live.ticker_of(BTC, now=venue.clock())["stale"]  # type: ignore[index]
        venue.clock.move(60_000)
        venue.exchange.step()
        frames.clear()
        await venue.serve()
        books = lambda: [frame for frame in frames if frame["type"].startswith("orderbook")]  # noqa: E731
        await until(lambda: books() and not frames[-1].get("stale"), meanwhile=lambda: venue.clock.move(200))
        assert books()[0]["type"] == "orderbook_snapshot"
        await until(lambda: venue.is_told(BTC), meanwhile=lambda: venue.clock.move(50))
        venue_book = venue.exchange.market(BTC).view.book
        assert tuple(live.view_of(BTC)[0].book.bids) == tuple(venue_book.bids)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
