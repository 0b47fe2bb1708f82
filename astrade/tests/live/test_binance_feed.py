"""Binance's live feed against the exchange's emulator: what it brings, and that nothing wrong gets through it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from astrade.core.messages import BookSnapshot, CandleUpdate, Quote, TradeTick
from astrade.core.randomness import seeded
from astrade.emulators.tests.binance_harness import BinanceHarness, running
from astrade.tests.live.feeding import AT_FULL_SIZE, Gathered, Sleeps, gathering, sample, until
from astrade.venues.binance.profiles import Network, Profile
from marketdata.feeds.binance import BinanceFeed
from marketdata.feeds.rules import Rules

pytestmark = AT_FULL_SIZE

RESYNCS, STREAMS = "astrade_feed_resyncs_total", "astrade_feed_streams"


def profile_at(url: str) -> Profile:
    """The testnet, found at an emulator."""
    sockets = url.replace("http", "ws", 1)
    return Profile(network=Network.TESTNET, rest_url=url, stream_url=sockets, ws_api_url=f"{sockets}/ws-api/v3")


@asynccontextmanager
async def following(*, faults: str = "", **options: Any) -> AsyncIterator[tuple[BinanceHarness, Gathered, Sleeps]]:
    """An exchange whose only market is followed."""
    async with running() as harness:
        harness.exchange.switch_faults(faults)
        sleeps = Sleeps(harness.clock)
        feed = BinanceFeed(profile_at(harness.url), clock=harness.clock, randomness=seeded(1), sleep=sleeps, **options)
        async with gathering(feed, [harness.market.symbol.rules], now=harness.clock()) as gathered:
            yield harness, gathered, sleeps


def is_in_step(gathered: Gathered, harness: BinanceHarness) -> bool:
    """Whether what was told last is the exchange's book and its best prices."""
    book, venue, quote = gathered.book, harness.book, gathered.quote
    return (
        book is not None
        and quote is not None
        and (tuple(book.bids), tuple(book.asks)) == (tuple(venue.bids), tuple(venue.asks))
        and (quote.bid, quote.ask) == (venue.bids[0][0], venue.asks[0][0])
    )


async def moving(harness: BinanceHarness, is_so: Callable[[], object]) -> None:
    """Wait while prices move."""
    await until(is_so, meanwhile=harness.advance)


async def in_step(harness: BinanceHarness, gathered: Gathered) -> None:
    await moving(harness, lambda: gathered.quote)
    await moving(harness, lambda: is_in_step(gathered, harness))


def counted(reason: str) -> float:
    return sample(RESYNCS, feed="binance", stream="market", reason=reason)


async def test_everything_of_a_market_is_told():
    async with following() as (harness, gathered, _):
        await in_step(harness, gathered)
        for _ in range(20):
            harness.advance()
            await until(lambda: is_in_step(gathered, harness), meanwhile=lambda: harness.clock.move(10))
        await moving(harness, lambda: len(gathered.all(TradeTick)) > 3)
        trades = [trade.trade_id for trade in gathered.all(TradeTick)]
        assert trades == sorted(set(trades))
        sequences = [book.sequence for book in gathered.all(BookSnapshot)]
        assert sequences == sorted(set(sequences)) and len(sequences) > 10
        assert all(quote.mark == quote.index == (quote.bid + quote.ask) / 2 for quote in gathered.all(Quote))
        await moving(harness, lambda: len(gathered.all(CandleUpdate)) > 1_438)
        assert {candle.kind for candle in gathered.all(CandleUpdate)} == {"trades"}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("sequence_gap", "sequence_gap"),
        ("disconnect_mid_frame", "disconnected"),
        ("disconnect_before_message", "disconnected"),
    ],
)
async def test_a_book_that_lost_something_begins_anew(fault: str, reason: str):
    before = counted(reason)
    async with following() as (harness, gathered, _):
        await in_step(harness, gathered)
        harness.exchange.switch_faults(f"{fault}:0.3")
        await moving(harness, lambda: counted(reason) > before)
        harness.exchange.switch_faults("")
        await moving(harness, lambda: is_in_step(gathered, harness))
        assert all(book.bids[0][0] < book.asks[0][0] for book in gathered.all(BookSnapshot))


@pytest.mark.parametrize("fault", ["stream_duplicate", "stream_reorder"])
async def test_what_comes_twice_or_late_does_no_harm(fault: str):
    async with following(faults=f"{fault}:0.3") as (harness, gathered, _):
        await in_step(harness, gathered)
        for _ in range(30):
            harness.advance()
            await asyncio.sleep(0.005)
        harness.exchange.switch_faults("")
        await moving(harness, lambda: is_in_step(gathered, harness))


async def test_a_book_that_pings_and_tells_nothing_is_dead():
    before = counted("no_message")
    async with following(silent_after_s=0.2) as (harness, gathered, _):
        await in_step(harness, gathered)
        await until(lambda: counted("no_message") > before, meanwhile=lambda: harness.clock.move(10))
        await moving(harness, lambda: is_in_step(gathered, harness) and counted("no_message") > before)


async def test_a_snapshot_older_than_the_stream_is_asked_for_again():
    async with following() as (harness, gathered, sleeps):
        await in_step(harness, gathered)
        before = counted("disconnected")
        harness.exchange.switch_faults("stale_snapshot,disconnect_before_message")
        await moving(harness, lambda: counted("disconnected") > before)
        harness.exchange.switch_faults("stale_snapshot")
        books = len(gathered.all(BookSnapshot))
        await moving(harness, lambda: sleeps.asked.count(1.0) >= 2)
        assert len(gathered.all(BookSnapshot)) == books
        harness.exchange.switch_faults("")
        await moving(harness, lambda: is_in_step(gathered, harness))


async def test_rules_are_the_venues():
    async with running() as harness:
        told: dict[int, Rules] = {}

        async def change(market_id: int, rules: Rules) -> None:
            told[market_id] = rules

        sources: dict[str, Any] = {"clock": harness.clock, "sleep": Sleeps(harness.clock)}
        feed = BinanceFeed(profile_at(harness.url), change_rules=change, **sources)
        info = harness.market.symbol.rules
        async with gathering(feed, [info], now=harness.clock()):
            await moving(harness, lambda: told)
        names = ("tick_size", "step_size", "min_quantity", "max_quantity")
        assert told[info.id] == {name: getattr(info, name) for name in names}


@pytest.mark.parametrize("ends", ["server_shutdown", "lifetime"])
async def test_a_connection_whose_time_is_over_is_replaced_at_once(ends: str):
    options: dict[str, Any] = {"lives_s": 0.6} if ends == "lifetime" else {}
    async with following(**options) as (harness, gathered, sleeps):
        await in_step(harness, gathered)
        waits = len([wait for wait in sleeps.asked if wait < 2])
        if ends == "server_shutdown":
            harness.exchange.switch_faults("server_shutdown")
            harness.advance()
            await until(lambda: sample(STREAMS, feed="binance", stream="market") == 0, meanwhile=lambda: None)
            harness.exchange.switch_faults("")
        books = len(gathered.all(BookSnapshot))
        await moving(harness, lambda: len(gathered.all(BookSnapshot)) > books + 30)
        await moving(harness, lambda: is_in_step(gathered, harness))
        assert len([wait for wait in sleeps.asked if wait < 2]) == waits  # nobody waited to reconnect


async def test_nobody_asks_while_the_address_is_banned():
    async with following(faults="banned") as (harness, gathered, _):
        await moving(harness, lambda: counted("venue_limit"))
        harness.exchange.switch_faults("")
        used = harness.exchange.traffic.used("127.0.0.1", now_ms=harness.now_ms)
        for _ in range(20):
            await asyncio.sleep(0.02)
            harness.advance(5_000)
        assert harness.exchange.traffic.used("127.0.0.1", now_ms=harness.now_ms) <= used and gathered.book is None
        await until(lambda: is_in_step(gathered, harness), meanwhile=lambda: harness.advance(500))
