"""The feed process from start to restart, on real servers: prices, numbers and candles go on where they were left."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import orjson
import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured

from astrade.core.clock import from_ms, system_clock, to_ms
from astrade.core.messages import FundingUpdate, TradeTick
from astrade.core.redis import async_client, sync_client
from marketdata import keys, live
from marketdata.feeds.backfill import MINUTES
from marketdata.feeds.base import Paced
from marketdata.feeds.recovery import read_left
from marketdata.feeds.runner import FeedRunner, feed_runners
from marketdata.feeds.selection import FeedOptions, options_from_settings
from marketdata.models import Candle
from marketdata.tape import Tape
from marketdata.tests.factories import MarketFactory, quote_of
from marketdata.tests.test_feeds import info
from marketdata.timeframes import MINUTE_MS, open_time_ms

pytestmark = pytest.mark.django_db(transaction=True)
TICKS_WITHIN_S = 30
SYNTHETIC = FeedOptions(feed="synthetic", seed=1, ticks_per_s=20, replay=None, mapping={}, speed=1)


async def run_for(ticks: int, options: FeedOptions = SYNTHETIC) -> None:
    """Run the feeds until one market has had that many ticks, and public trades."""
    stop = asyncio.Event()
    async with async_client().pubsub() as channel:
        await channel.subscribe(keys.TICKS)
        running = asyncio.create_task(FeedRunner(options).run(stop))
        async with asyncio.timeout(TICKS_WITHIN_S):
            seen = 0
            while seen < ticks or not live.trades_of("BTC-USD", limit=1):
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=1)
                seen += message is not None and b"BTC-USD" in message["data"]
    stop.set()
    await asyncio.wait_for(running, timeout=TICKS_WITHIN_S)


async def test_every_market_has_prices_and_a_day_of_history() -> None:
    markets = [await sync_to_async(MarketFactory.create)(symbol=symbol) for symbol in ("BTC-USD", "ETH-USD")]
    await run_for(20)
    quotes = live.quotes()

    assert set(quotes) == {"BTC-USD", "ETH-USD"}
    assert all(not live.is_stale(quote.at, now=system_clock()) for quote in quotes.values())
    book = live.view_of("BTC-USD")[0].book
    assert len(book.bids) == len(book.asks) == 50
    minutes = Candle.objects.filter(market=markets[0], timeframe="1m")
    assert await minutes.filter(kind="trades", source="synthetic").acount() in (MINUTES, MINUTES + 1)
    assert await Candle.objects.filter(timeframe="1h", kind="mark").acount() >= 2 * 24
    ticker = live.ticker_of("BTC-USD", now=system_clock())
    assert ticker is not None and ticker["change_24h"] is not None


async def test_a_restart_goes_on_with_price_and_numbers() -> None:
    await sync_to_async(MarketFactory.create)(symbol="BTC-USD")
    await run_for(10)
    book, quote, trades = live.view_of("BTC-USD")[0].book, live.quotes()["BTC-USD"], live.trades_of("BTC-USD", limit=1)
    await run_for(10)
    later_book, later = live.view_of("BTC-USD")[0].book, live.quotes()["BTC-USD"]

    assert later_book.sequence > book.sequence
    assert abs(later.mark / quote.mark - 1) < Decimal("0.005")
    newest, oldest = (orjson.loads(live.trades_of("BTC-USD", limit=500)[place])["trade_id"] for place in (0, -1))
    assert newest > orjson.loads(trades[0])["trade_id"] >= oldest


async def test_a_minute_that_ended_while_nothing_ran_is_kept() -> None:
    market = await sync_to_async(MarketFactory.create)(symbol="BTC-USD")
    minute_ms = open_time_ms(to_ms(system_clock()), timeframe="1m") - 3 * MINUTE_MS
    tape = Tape("BTC-USD")
    tape.take(quote_of("BTC-USD", "49000"), now_ms=minute_ms)
    tape.take(TradeTick("BTC-USD", 1, "buy", Decimal(51_000), Decimal(2), from_ms(minute_ms)), now_ms=minute_ms + 1)
    pipe = sync_client().pipeline(transaction=False)
    tape.queue(pipe, now_ms=minute_ms + 1)
    pipe.execute()
    await run_for(1)

    kept = await Candle.objects.aget(market=market, kind="trades", timeframe="1m", open_time=from_ms(minute_ms))
    assert (kept.open, kept.high, kept.close, kept.volume, kept.trades) == (49_000, 51_000, 51_000, 2, 1)


async def test_what_was_left_is_read_back_whole() -> None:
    now = system_clock()
    tape, now_ms = Tape("BTC-USD"), to_ms(now)
    tape.take(quote_of("BTC-USD", "49000", at=now), now_ms=now_ms)
    tape.take(FundingUpdate("BTC-USD", Decimal("0.0001"), from_ms(now_ms)), now_ms=now_ms)
    pipe = sync_client().pipeline(transaction=False)
    tape.queue(pipe, now_ms=now_ms)
    pipe.execute()
    left = await read_left(async_client(), ["BTC-USD", "ETH-USD"])

    assert left["BTC-USD"].quote == tape.quote and left["BTC-USD"].funding == tape.funding
    assert left["BTC-USD"].minutes["trades"] == tape.series["trades"].minute
    resumed = Tape("BTC-USD").extremes
    assert left["BTC-USD"].extremes is not None
    resumed.resume(left["BTC-USD"].extremes)
    assert (resumed.second, resumed.pairs) == (tape.extremes.second, tape.extremes.pairs)
    assert (left["ETH-USD"].quote, left["ETH-USD"].sequence, left["ETH-USD"].minutes) == (None, 0, {})


def test_a_funding_rate_is_applied_when_its_hour_has_come() -> None:
    tape, hour = Tape("X"), system_clock()
    assert tape.take_funding(FundingUpdate("X", Decimal("0.1"), hour)) is None
    assert tape.take_funding(FundingUpdate("X", Decimal("0.2"), hour)) is None
    applied = tape.take_funding(FundingUpdate("X", Decimal("0.3"), hour + timedelta(hours=1)))
    assert applied is not None and (applied.rate, applied.at) == (Decimal("0.2"), hour)


async def test_a_recording_plays_on_its_market_and_others_are_made_up(tmp_path: Path) -> None:
    for symbol in ("BTC-USD", "ETH-USD"):
        await sync_to_async(MarketFactory.create)(symbol=symbol)
    rows = "".join(f"{n * 50},{n},{30_000 + n},1,True\n" for n in range(2_000))
    (tmp_path / "btcusdt-trades.csv").write_text("time_ms,trade_id,price,quantity,buyer_maker\n" + rows)
    options = FeedOptions(feed="replay", seed=1, ticks_per_s=20, replay=tmp_path, mapping={}, speed=1)
    await run_for(10, options)
    first = live.quotes()["BTC-USD"].last
    await run_for(10, options)

    assert 30_000 < first < live.quotes()["BTC-USD"].last < 30_200
    assert "ETH-USD" in live.quotes()
    assert sync_client().get(keys.replay("BTC-USD")) is not None


async def test_a_paced_feed_keeps_to_the_grid() -> None:
    now, slept, asked = [10_030_000], list[float](), list[int]()

    class Steps:
        name, source, symbols = "x", "synthetic", ("X",)

        def step(self, now_us: int) -> list[Any]:
            asked.append(now_us)
            return []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += round(seconds * 1_000_000)

    stop = asyncio.Event()
    paced = Paced(Steps(), ticks_per_s=4, clock=lambda: from_ms(now[0] // 1000), sleep=sleep)  # type: ignore[arg-type]
    async for _ in paced.batches(stop):
        if len(asked) == 3:
            stop.set()
    assert asked == [10_030_000, 10_250_000, 10_500_000]


@pytest.mark.parametrize(
    "wrong",
    [
        {"FEED": "magic"},
        {"FEED": "replay", "REPLAY": "/nowhere"},
        {"REPLAY_MAP": "BTC"},
        {"FEED_TICKS_PER_S": 0},
        {"REPLAY_SPEED": 0},
    ],
)
def test_impossible_settings_are_refused(settings: Any, wrong: dict[str, Any]) -> None:
    for name, value in wrong.items():
        setattr(settings, name, value)
    with pytest.raises(ImproperlyConfigured):
        options_from_settings()


@pytest.mark.parametrize(
    ("feed", "venues"),
    [
        ("synthetic", set()),
        ("extended", {"extended"}),
        ("binance", {"binance"}),
        ("live", {"extended", "binance"}),
    ],
)
def test_a_live_feed_pulls_its_venues_markets_while_they_are_listed(feed: str, venues: set[str]) -> None:
    options = options_from_settings(feed=feed)
    assert options.venues == venues
    for venue, status in product(("extended", "binance", "practice"), ("active", "halted", "prelisted", "delisted")):
        is_wanted = venue not in venues or status in ("active", "halted")
        assert options.is_pulled(replace(info(), venue=venue, status=status)) is is_wanted


def test_the_streams_process_gets_one_runner(settings: Any, tmp_path: Path) -> None:
    assert [runner.name for runner in feed_runners()] == ["feeds"]
    options = options_from_settings(feed="replay", replay=str(tmp_path), mapping="BTCUSDT=ETH-USD")
    assert (options.feed, options.replay, options.mapping) == ("replay", tmp_path, {"BTCUSDT": "ETH-USD"})
