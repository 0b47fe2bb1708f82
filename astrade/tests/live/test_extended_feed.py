"""Extended's live feed against the exchange's emulator: what it brings, and that nothing wrong gets through it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web

from astrade.core.messages import BookSnapshot, CandleUpdate, FundingApplied, FundingUpdate, Quote, TradeTick
from astrade.core.randomness import seeded
from astrade.emulators.extended.markets import instruments
from astrade.emulators.serving import serve
from astrade.emulators.tests.clocks import ManualClock
from astrade.emulators.tests.extended_client import profile_at
from astrade.emulators.tests.harness import BTC, Harness, running
from astrade.tests.live.feeding import AT_FULL_SIZE, Gathered, Sleeps, gathering, sample, until
from marketdata.feeds.extended import ExtendedFeed

pytestmark = AT_FULL_SIZE

RESYNCS, STREAMS = "astrade_feed_resyncs_total", "astrade_feed_streams"


@asynccontextmanager
async def following(**options: Any) -> AsyncIterator[tuple[Harness, Gathered, Sleeps]]:
    """An exchange whose only market is followed."""
    faults = options.pop("faults", "")
    async with running() as harness:
        harness.exchange.switch_faults(faults)
        sleeps = Sleeps(harness.clock)
        feed = ExtendedFeed(profile_at(harness.url), clock=harness.clock, randomness=seeded(1), sleep=sleeps, **options)
        info = harness.exchange.instruments[BTC].rules
        async with gathering(feed, [info], now=harness.clock()) as gathered:
            yield harness, gathered, sleeps


def is_as_the_venue(book: BookSnapshot | None, harness: Harness) -> bool:
    return book is not None and (tuple(book.bids), tuple(book.asks)) == (
        tuple(harness.book.bids),
        tuple(harness.book.asks),
    )


async def brought(harness: Harness, is_so: Callable[[], object]) -> None:
    """Wait while time passes and prices stand still."""
    await until(is_so, meanwhile=lambda: harness.clock.move(50))


async def settled(harness: Harness, gathered: Gathered) -> None:
    """The feed has what the exchange has."""
    await brought(harness, lambda: is_as_the_venue(gathered.book, harness))
    await brought(harness, lambda: gathered.quote and gathered.quote.bid == harness.quote.bid)


async def test_everything_of_a_market_is_told():
    async with following() as (harness, gathered, _):
        await brought(harness, lambda: gathered.quote)
        for _ in range(20):
            harness.advance()
            await settled(harness, gathered)
        await until(lambda: gathered.all(TradeTick), meanwhile=harness.advance)
        quote, venue, funding = gathered.all(Quote)[-1], harness.quote, harness.exchange.market(BTC).funding
        assert (quote.bid, quote.ask, quote.mark, quote.index) == (venue.bid, venue.ask, venue.mark, venue.index)
        assert harness.clock() - quote.at < timedelta(seconds=1)
        assert funding is not None and gathered.all(FundingUpdate)[-1].rate == funding.rate
        sequences = [book.sequence for book in gathered.all(BookSnapshot)]
        assert sequences == sorted(set(sequences)) and len(sequences) > 10
        trades = [trade.trade_id for trade in gathered.all(TradeTick)]
        assert trades == sorted(set(trades))


async def test_the_venues_history_is_told_and_what_was_missed_of_it():
    async with following() as (harness, gathered, _):
        await brought(harness, lambda: len({candle.kind for candle in gathered.all(CandleUpdate)}) == 3)
        await brought(harness, lambda: gathered.all(FundingApplied))
        for kind in ("trades", "mark", "index"):
            minutes = [candle for candle in gathered.all(CandleUpdate) if candle.kind == kind]
            assert len(minutes) >= 1_438 and all(c.closed for c in minutes)
            assert all(b.open_time - a.open_time == timedelta(minutes=1) for a, b in pairwise(minutes[:1_438]))
        assert len({rate.at for rate in gathered.all(FundingApplied)}) >= 23
        last = max(candle.open_time for candle in gathered.all(CandleUpdate))
        for _ in range(30):
            harness.advance(10_000)
        until_minute = last + timedelta(minutes=5)
        await brought(harness, lambda: max(c.open_time for c in gathered.all(CandleUpdate)) == until_minute)
        told = {c.open_time: c for c in gathered.all(CandleUpdate) if c.kind == "trades"}
        bars = harness.exchange.market(BTC).candles("trades", interval_ms=60_000, end_ms=2**50, limit=5)
        for bar in bars[1:]:
            candle = next(c for at, c in told.items() if at.timestamp() * 1000 == bar.open_ms)
            assert (candle.open, candle.high, candle.low, candle.close) == (bar.open, bar.high, bar.low, bar.close)
            assert candle.volume == bar.volume


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("sequence_gap", "sequence_gap"),
        ("stream_duplicate", "sequence_gap"),
        ("stream_reorder", "sequence_gap"),
        ("disconnect_mid_frame", "disconnected"),
        ("disconnect_before_message", "disconnected"),
    ],
)
async def test_a_book_that_lost_something_begins_anew(fault: str, reason: str):
    before = sample(RESYNCS, feed="extended", stream="book", reason=reason)
    async with following() as (harness, gathered, _):
        await brought(harness, lambda: gathered.quote)
        harness.exchange.switch_faults(f"{fault}:0.3")
        counted = lambda: sample(RESYNCS, feed="extended", stream="book", reason=reason) > before  # noqa: E731
        await until(counted, meanwhile=harness.advance)
        harness.exchange.switch_faults("")
        harness.advance()
        await settled(harness, gathered)
        assert all(book.bids[0][0] < book.asks[0][0] for book in gathered.all(BookSnapshot))


async def test_a_book_that_pings_and_tells_nothing_is_dead():
    before = sample(RESYNCS, feed="extended", stream="book", reason="no_message")
    async with following(silent_after_s=0.3) as (harness, gathered, _):
        await brought(harness, lambda: gathered.quote)
        harness.exchange.switch_faults("stream_silence")
        harness.advance()
        books = len(gathered.all(BookSnapshot))
        await brought(harness, lambda: sample(RESYNCS, feed="extended", stream="book", reason="no_message") > before)
        harness.exchange.switch_faults("")
        await brought(
            harness, lambda: len(gathered.all(BookSnapshot)) > books
        )  # the snapshot alone: no price has moved
        await settled(harness, gathered)


async def test_a_connection_without_a_first_message_is_no_stream_and_is_tried_later_and_later():
    before = sample(RESYNCS, feed="extended", stream="book", reason="no_message")
    there = lambda: sample(STREAMS, feed="extended", stream="book")  # noqa: E731
    async with following(faults="stream_silence", silent_after_s=0.03) as (harness, gathered, sleeps):
        seen = set[float]()
        failed = lambda: sample(RESYNCS, feed="extended", stream="book", reason="no_message") - before  # noqa: E731

        def wait() -> None:
            harness.clock.move(500)
            seen.add(there())

        await until(lambda: failed() >= 5, meanwhile=wait)
        waits = [wait for wait in sleeps.asked if wait not in (1.0, 15.0) and wait < 31]
        assert seen == {0.0} and gathered.book is None
        assert max(waits) >= 16
        harness.exchange.switch_faults("")
        await until(lambda: there() == 1, meanwhile=lambda: harness.clock.move(500))
    assert there() == 0


async def test_a_price_is_as_old_as_the_oldest_of_what_it_is_made_of():
    async with following() as (harness, gathered, _):
        await brought(harness, lambda: gathered.quote)
        harness.exchange.switch_faults("stream_silence")
        silent_at = harness.clock()
        asked = len(gathered.all(FundingUpdate))
        harness.clock.move(20_000)  # mark and index are asked for by REST meanwhile, the book is not
        await brought(harness, lambda: len(gathered.all(FundingUpdate)) > asked + 1)
        assert gathered.all(Quote)[-1].at <= silent_at


async def test_trades_of_before_the_stream_are_not_told_as_new():
    async with following() as (harness, gathered, _):
        await brought(harness, lambda: gathered.quote)
        harness.advance_until(lambda: bool(harness.exchange.market(BTC).trades))
        some = harness.exchange.market(BTC).trades[-1]
        now = harness.clock()
        batch = [
            replace(some, trade_id=some.trade_id + number, at=now - timedelta(seconds=age_s))
            for number, age_s in ((2, 0), (1, 10))
        ]
        harness.exchange.take(batch)
        await brought(harness, lambda: some.trade_id + 2 in {trade.trade_id for trade in gathered.all(TradeTick)})
        assert some.trade_id + 1 not in {trade.trade_id for trade in gathered.all(TradeTick)}


async def test_a_crossed_book_is_never_shown():
    """The exchange's emulator has none: this server tells a book, then crosses it, again and again."""
    whole = '{"t":"SNAPSHOT","m":"BTC-USD","b":[{"p":"9","q":"1","c":"1"}],"a":[{"p":"11","q":"1","c":"1"}]}'
    crossed = '{"t":"DELTA","m":"BTC-USD","b":[{"p":"12","q":"1","c":"1"}],"a":[]}'

    async def handle(request: web.Request) -> web.StreamResponse:
        if "orderbooks" not in request.path:
            raise web.HTTPNotFound
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for number, data in enumerate((whole, crossed), start=1):
            await socket.send_str(f'{{"ts":1,"seq":{number},"data":{data}}}')
        await socket.receive()
        return socket

    application = web.Application()
    application.router.add_get("/{path:.*}", handle)
    before = sample(RESYNCS, feed="extended", stream="book", reason="crossed_book")
    clock = ManualClock()
    async with serve(application, host="127.0.0.1", port=0) as url:
        feed = ExtendedFeed(profile_at(url), clock=clock, sleep=Sleeps(clock))
        async with gathering(feed, [instruments()[BTC].rules], now=clock()) as gathered:
            counted = lambda: sample(RESYNCS, feed="extended", stream="book", reason="crossed_book") > before + 2  # noqa: E731
            await until(counted, meanwhile=lambda: clock.move(100))
            books = gathered.all(BookSnapshot)
    assert all(book.bids[0][0] == 9 for book in books)
