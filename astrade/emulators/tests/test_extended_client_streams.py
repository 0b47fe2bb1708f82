"""Our streams against the exchange's, over real sockets: what is told, and how each fault ends a stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from aiohttp import web
from prometheus_client import REGISTRY

from astrade.emulators.tests.extended_client import access_to, profile_at
from astrade.emulators.tests.harness import BTC, Harness, running
from astrade.venues.errors import Refused, StreamBroken, StreamGap, StreamSilent, Throttled, Unavailable
from astrade.venues.extended.account_wire import Order
from astrade.venues.extended.calls import Access
from astrade.venues.extended.connection import Stream, Told
from astrade.venues.extended.profiles import Network, Profile
from astrade.venues.extended.public_wire import CandleType
from astrade.venues.extended.stream import (
    account_stream,
    book_stream,
    candle_stream,
    funding_stream,
    index_price_stream,
    mark_price_stream,
    trade_stream,
)
from astrade.venues.extended.stream_wire import AccountNews
from astrade.venues.extended.wire import OrderStatus
from astrade.venues.sockets import Watch

T = TypeVar("T")
ETH = "ETH-USD"
FIRST = 3  # balance, positions, orders


def account(harness: Harness, **options: Any) -> Stream[Told[AccountNews]]:
    return account_stream(profile_at(harness.url), access_to(harness.account), **options)


async def first(stream: Stream[T], number: int = FIRST) -> list[T]:
    return [await anext(stream) for _ in range(number)]


async def until_broken(stream: Stream[Any]) -> None:
    async for _ in stream:
        pass


async def test_the_account_stream_begins_with_what_there_is(harness: Harness):
    order = await harness.placed(id="mine")
    async with account(harness) as stream:
        told = await first(stream)
        assert [message.seq for message in told] == [1, 2, 3]
        (balance,) = [message.data.balance for message in told if message.data.balance]
        assert balance.balance == 100_000
        (orders,) = [message.data.orders for message in told if message.data.orders is not None]
        assert [(one.id, one.external_id, one.status) for one in orders] == [(order["id"], "mine", OrderStatus.NEW)]
        assert [message.data.positions for message in told if message.data.positions is not None] == [[]]


async def test_the_account_stream_tells_of_a_trade_and_what_it_changes(harness: Harness):
    async with account(harness) as stream:
        await first(stream)
        await harness.take(id="mine")
        orders: list[Order] = []
        news = AccountNews()
        while not (news.balance and news.balance.balance < 100_000):
            news = (await anext(stream)).data
            orders += news.orders or []
            if news.trades:
                (trade,) = news.trades
            if news.positions:
                (position,) = news.positions
        assert (trade.external_order_id, trade.qty, trade.order_id) == ("mine", Decimal("0.01"), orders[0].id)
        assert (position.size, position.open_price, position.is_closed) == (Decimal("0.01"), trade.price, False)
        assert orders[-1].status is OrderStatus.FILLED


async def test_a_condition_is_read_under_the_streams_name_for_it(harness: Harness):
    condition = {
        "triggerPrice": "90000",
        "triggerPriceType": "MARK",
        "direction": "UP",
        "executionPriceType": "LIMIT",
    }
    async with account(harness) as stream:
        await first(stream)
        await harness.placed(type="CONDITIONAL", price="90000", trigger=condition)
        news = (await anext(stream)).data
        assert news.orders and news.orders[0].trigger is not None
        assert news.orders[0].trigger.fires.value == "UP"
        assert news.orders[0].expires_ms is not None


async def test_the_book_is_kept_as_the_exchange_has_it(harness: Harness):
    async with book_stream(profile_at(harness.url), BTC) as stream:
        book = await anext(stream)
        for _ in range(30):
            harness.advance()
            book = await anext(stream)
        snapshot = book.snapshot()
        assert snapshot.bids == tuple(harness.book.bids) and snapshot.asks == tuple(harness.book.asks)
        assert snapshot.sequence == 31
        harness.advance(60_000)  # the whole book again
        assert (await anext(stream)).snapshot().bids == tuple(harness.book.bids)


async def test_public_streams_tell_trades_prices_funding_and_candles(harness: Harness):
    profile = profile_at(harness.url)
    async with (
        trade_stream(profile, BTC) as trades,
        mark_price_stream(profile, BTC) as marks,
        index_price_stream(profile, BTC) as indices,
        candle_stream(profile, BTC, CandleType.TRADES, interval="PT1M") as candles,
        funding_stream(profile, BTC) as funding,
    ):
        (candle,) = (await anext(candles)).data
        assert candle.low <= candle.close <= candle.high
        harness.advance()
        assert (await anext(marks)).data.price == harness.quote.mark
        assert (await anext(indices)).data.price == harness.quote.index
        harness.advance_until(lambda: bool(harness.exchange.market(BTC).trades))
        assert (await anext(trades)).data[0].market == BTC
        harness.advance(3_600_000)
        assert (await anext(funding)).data.market == BTC


async def test_a_stream_of_all_markets_is_one_connection():
    async with running(symbols=(BTC, ETH)) as harness, mark_price_stream(profile_at(harness.url)) as stream:
        harness.advance()
        told = await first(stream, 2)
        assert {message.data.market for message in told} == {BTC, ETH}
        harness.exchange.switch_faults("sequence_gap:0.5")
        harness.advance(steps=5)
        await first(stream, 3)  # whose numbers these are is not documented


@pytest.mark.parametrize("fault", ["sequence_gap", "stream_duplicate", "stream_reorder"])
async def test_numbers_that_do_not_follow_are_a_gap(harness: Harness, fault: str):
    async with account(harness) as stream:
        await first(stream)
        harness.exchange.switch_faults(fault)
        for _ in range(2):
            await harness.placed()
        harness.exchange.switch_faults("")
        await harness.placed()
        with pytest.raises(StreamGap) as gap:
            await until_broken(stream)
        assert (gap.value.cause, gap.value.code) == ("sequence_gap", 5004)


@pytest.mark.parametrize("fault", ["disconnect_mid_frame", "disconnect_before_message"])
async def test_a_connection_that_breaks_ends_the_stream(harness: Harness, fault: str):
    async with account(harness) as stream:
        await first(stream)
        harness.exchange.switch_faults(fault)
        await harness.place()
        with pytest.raises(StreamBroken) as broken:
            await until_broken(stream)
        assert broken.value.cause == "disconnected"


async def test_an_unknown_status_is_unknown_and_ends_nothing(harness: Harness):
    async with account(harness) as stream:
        await first(stream)
        harness.exchange.switch_faults("unknown_status")
        await harness.placed()
        news = (await anext(stream)).data
        assert news.orders and news.orders[0].status is OrderStatus.TRIGGERED


async def test_a_subscription_without_a_first_message_is_silent(harness: Harness):
    harness.exchange.switch_faults("stream_silence")
    async with account(harness, watch=Watch(first_message_s=0.2)) as stream:
        with pytest.raises(StreamSilent) as silent:
            await anext(stream)
        assert silent.value.cause == "no_message"


async def test_a_stream_that_stops_telling_what_it_should_is_silent(harness: Harness):
    async with book_stream(profile_at(harness.url), BTC, watch=Watch(message_s=0.2)) as stream:
        await anext(stream)
        with pytest.raises(StreamSilent):
            await anext(stream)  # prices stand still


async def test_a_key_that_is_none_is_refused_with_5001(harness: Harness):
    with pytest.raises(Refused) as refused:
        async with account_stream(profile_at(harness.url), Access("wrong-key", 1)):
            raise AssertionError("not reached")
    assert (refused.value.code, refused.value.status) == (5001, 401)


async def test_a_stream_that_is_not_opened_is_unavailable(harness: Harness):
    labels = {"venue": "extended", "call": "stream_account", "kind": "Unavailable"}
    before = REGISTRY.get_sample_value("astrade_venue_failures_total", labels) or 0
    harness.exchange.switch_faults("stream_refused")
    with pytest.raises(Unavailable) as away:
        async with account(harness):
            raise AssertionError("not reached")
    assert away.value.cause == "http_503"
    with pytest.raises(Unavailable) as nobody:
        async with mark_price_stream(Profile(network=Network.TESTNET, rest_url="http://127.0.0.1:1/api/v1")):
            raise AssertionError("not reached")
    assert nobody.value.cause == "not_connected"
    assert REGISTRY.get_sample_value("astrade_venue_failures_total", labels) == before + 1


@asynccontextmanager
async def speaking(handle: Any) -> AsyncIterator[Profile]:
    """A server with one handler for every stream, for what the emulator doesn't do."""
    application = web.Application()
    application.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield Profile(network=Network.TESTNET, rest_url=f"http://{host}:{port}/api/v1")
    await runner.cleanup()


def saying(*messages: str) -> Any:
    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for message in messages:
            await socket.send_str(message)
        await socket.receive()  # the client's farewell
        return socket

    return handle


ERROR = '{"ts":1,"seq":1,"error":{"code":1500,"message":"no account for key hidden-key"}}'
BEFORE_SNAPSHOT = '{"ts":1,"seq":1,"type":"DELTA","data":{"t":"DELTA","m":"BTC-USD","b":[],"a":[]}}'
CROSSED = (
    '{"ts":1,"seq":1,"data":{"t":"SNAPSHOT","m":"BTC-USD","b":[{"p":"2","q":"1"}],"a":[{"p":"2","q":"1","c":"1"}]}}'
)


async def test_an_error_in_a_message_is_a_refusal_without_the_key():
    async with speaking(saying(ERROR)) as profile, account_stream(profile, Access("hidden-key", 1)) as stream:
        with pytest.raises(Refused) as refused:
            await anext(stream)
        assert refused.value.code == 5001
        assert "hidden-key" not in str(refused.value.details) and "no account" in str(refused.value.details)


@pytest.mark.parametrize(
    ("message", "kind", "cause"),
    [
        (BEFORE_SNAPSHOT, StreamGap, "delta_without_snapshot"),
        (CROSSED, StreamBroken, "crossed_book"),
        ("{", StreamBroken, "unreadable_message"),
        ('{"ts":1,"seq":1,"data":{"t":"SNAPSHOT"}}', StreamBroken, "unreadable_message"),
        ('{"ts":1,"seq":1,"data":"' + "x" * 5_000_000 + '"}', StreamBroken, "disconnected"),
    ],
    ids=["delta first", "crossed", "no JSON", "no book", "too large"],
)
async def test_messages_that_cannot_be_true_end_a_book(message: str, kind: type[StreamBroken], cause: str):
    async with speaking(saying(message)) as profile, book_stream(profile, BTC) as stream:
        with pytest.raises(kind) as broken:
            await anext(stream)
        assert broken.value.cause == cause


async def test_a_peer_that_answers_no_ping_is_silent():
    async def deaf(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await asyncio.sleep(5)
        return socket

    async with speaking(deaf) as profile:
        watch = Watch(ping_s=0.2, first_message_s=None)
        async with account_stream(profile, Access("key", 1), watch=watch) as stream:
            with pytest.raises(StreamSilent) as silent:
                await anext(stream)
            assert silent.value.cause == "no_sign_of_life"


async def test_a_stream_over_the_limit_is_throttled():
    async def limited(request: web.Request) -> web.StreamResponse:
        assert request.headers["User-Agent"].startswith("AsTrade/")
        return web.Response(status=429, headers={"Retry-After": "9"})

    async with speaking(limited) as profile:
        with pytest.raises(Throttled) as throttled:
            async with mark_price_stream(profile):
                raise AssertionError("not reached")
        assert throttled.value.retry_after_s == 9
