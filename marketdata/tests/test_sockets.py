"""Market streams over a real server, with what a feed would put into Redis written by the test."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import re_path
from websockets.exceptions import ConnectionClosed

from astrade.core.clock import system_clock, to_ms
from astrade.core.lifespan import lifespan
from astrade.core.messages import FundingUpdate, Quote
from astrade.core.redis import sync_client
from astrade.core.sockets.subscriptions import PENDING_MAX
from astrade.core.tests.live import LiveServer
from marketdata import frames, keys
from marketdata.catalogue import LISTINGS
from marketdata.consumers import MarketConsumer
from marketdata.selectors import forget_markets
from marketdata.services import list_market

pytestmark = pytest.mark.django_db(transaction=True)
PATHS = [re_path(r"^ws/markets/(?P<symbol>.{1,64}?)/(?P<kind>[a-z]+)$", MarketConsumer.as_asgi())]
SYMBOL = "BTC-USD"
STREAM = keys.stream(f"orderbook:{SYMBOL}")


@pytest.fixture
def server(transactional_db: None, settings: Any) -> Iterator[LiveServer]:
    settings.WS_CONNECTIONS_PER_IP = 1000
    for listing in LISTINGS:
        if listing.symbol == SYMBOL:
            list_market(listing, at=system_clock())
    forget_markets()
    forget_prices()
    with LiveServer(ProtocolTypeRouter({"websocket": URLRouter(PATHS), "lifespan": lifespan})) as running:
        yield running
    forget_prices()


def forget_prices() -> None:
    """No price is known."""
    sync_client().delete(keys.book(SYMBOL), keys.QUOTES, keys.trades(SYMBOL), keys.stats(SYMBOL), keys.candles(SYMBOL))


def snapshot(sequence: int, *, age_s: int = 0) -> bytes:
    """A book whose best bid is its sequence."""
    at = system_clock() - timedelta(seconds=age_s)
    return frames.book_snapshot(SYMBOL, sequence=sequence, bids={str(sequence): "1"}, asks={"99999": "2"}, at=at)


def delta(first: int, last: int) -> bytes:
    """What leads from the book before `first` to the one of `last`."""
    changed = [[str(last), "1"]]
    return frames.book_delta(SYMBOL, first_sequence=first, sequence=last, bids=changed, asks=[], at=system_clock())


def publish(first: int, last: int) -> None:
    """As a feed does: first the book, then the change."""
    sync_client().set(keys.book(SYMBOL), snapshot(last))
    sync_client().publish(STREAM, delta(first, last))


def test_book_begins_with_a_snapshot_and_goes_on_without_a_gap(server: LiveServer) -> None:
    sync_client().set(keys.book(SYMBOL), snapshot(7))

    with server.connect("/ws/markets/btcusd/orderbook") as client:
        first = client.recv()
        sync_client().publish(STREAM, delta(6, 7))
        publish(8, 8)
        publish(9, 11)
        assert [client.recv()["sequence"], client.recv()["sequence"]] == [8, 11]

    assert (first["type"], first["sequence"], first["bids"], first["stale"]) == (
        "orderbook_snapshot", 7, [["7", "1"]], False,
    )  # fmt: skip


def test_gap_gets_a_fresh_snapshot(server: LiveServer) -> None:
    sync_client().set(keys.book(SYMBOL), snapshot(7))

    with server.connect(f"/ws/markets/{SYMBOL}/orderbook") as client:
        assert client.recv()["sequence"] == 7
        sync_client().set(keys.book(SYMBOL), snapshot(10))
        sync_client().publish(STREAM, delta(10, 10))
        again = client.recv()
        publish(11, 11)
        following = client.recv()

    assert (again["type"], again["sequence"]) == ("orderbook_snapshot", 10)
    assert (following["type"], following["first_sequence"]) == ("orderbook_delta", 11)


def test_feed_that_begins_anew_is_followed(server: LiveServer) -> None:
    sync_client().set(keys.book(SYMBOL), snapshot(5000))

    with server.connect(f"/ws/markets/{SYMBOL}/orderbook") as client:
        assert client.recv()["sequence"] == 5000
        sync_client().set(keys.book(SYMBOL), snapshot(3))
        sync_client().publish(STREAM, snapshot(3))
        assert client.recv()["sequence"] == 3
        publish(4, 4)
        assert client.recv()["sequence"] == 4


def test_book_of_a_dead_feed_says_that_it_is_stale(server: LiveServer) -> None:
    sync_client().set(keys.book(SYMBOL), snapshot(7, age_s=60))

    with server.connect(f"/ws/markets/{SYMBOL}/orderbook") as client:
        assert client.recv()["stale"] is True


def test_slow_reader_of_a_book_ends_with_the_right_book(server: LiveServer) -> None:
    filler = [[str(price), "1"] for price in range(2000)]
    sync_client().set(keys.book(SYMBOL), snapshot(1))
    with server.connect(f"/ws/markets/{SYMBOL}/orderbook", max_queue=1) as client:
        sequence = client.recv()["sequence"]
        for number in range(2, 1200):
            wide = frames.book_delta(
                SYMBOL, first_sequence=number, sequence=number, bids=filler, asks=[], at=system_clock()
            )
            sync_client().publish(STREAM, wide)
        sync_client().set(keys.book(SYMBOL), snapshot(1199))
        received = 1
        while sequence < 1199:
            frame = client.recv()
            received += 1
            assert frame["type"] == "orderbook_snapshot" or frame["first_sequence"] == sequence + 1
            sequence = frame["sequence"]

    assert received < 1199 - PENDING_MAX


def test_every_stream_begins_with_what_is_known(server: LiveServer) -> None:
    now = system_clock()
    price = Decimal("100.5")
    quote = Quote(SYMBOL, price, price, price, price, price, now)
    funding = FundingUpdate(SYMBOL, Decimal("0.0001"), now + timedelta(hours=1))
    candle = {"open_time": to_ms(now), "open": "1", "closed": False}
    client = sync_client()
    client.hset(keys.QUOTES, SYMBOL, frames.quote_value(quote, funding).decode())
    client.lpush(keys.trades(SYMBOL), b'{"trade_id":1}', b'{"trade_id":2}')
    client.hset(keys.candles(SYMBOL), "trades", json.dumps({"1m": [candle], "1h": []}))

    found = {}
    for kind in ("ticker", "funding", "trades", "candles"):
        with server.connect(f"/ws/markets/{SYMBOL}/{kind}") as socket:
            found[kind] = socket.recv()
            client.publish(keys.stream(f"{kind}:{SYMBOL}{':1m' * (kind == 'candles')}"), b'{"type":"next"}')
            assert socket.recv() == {"type": "next"}

    assert (found["ticker"]["last"], found["ticker"]["stale"]) == ("100.5", False)
    assert found["funding"]["funding_rate"] == "0.0001"
    assert found["trades"]["trades"] == [{"trade_id": 1}, {"trade_id": 2}]
    assert found["candles"] == {"type": "candle", "symbol": SYMBOL, "timeframe": "1m", "kind": "trades", **candle}


@pytest.mark.parametrize(
    ("path", "code"),
    [("NO-SUCH/ticker", 2000), ("BTC-USD/candles?timeframe=7m", 1001), ("BTC-USD/ticker?timeframe=1m", 1001)],
)
def test_what_does_not_exist_is_told_and_closed(server: LiveServer, path: str, code: int) -> None:
    with server.connect(f"/ws/markets/{path}") as client:
        assert client.recv()["code"] == code
        with pytest.raises(ConnectionClosed) as closed:
            client.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4404


def test_before_the_first_price_nothing_comes_and_then_the_book(server: LiveServer) -> None:
    with server.connect(f"/ws/markets/{SYMBOL}/orderbook") as client:
        with pytest.raises(TimeoutError):
            client.recv(wait_s=0.3)
        sync_client().set(keys.book(SYMBOL), snapshot(1))
        sync_client().publish(STREAM, snapshot(1))
        begun = time.monotonic()
        assert client.recv()["sequence"] == 1

    assert time.monotonic() - begun < 2
