"""Requirement document 1, §4.1.5: its five streams, on a socket each and all on one."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from accounts.tests.factories import signed_in
from astrade.core.clock import system_clock
from astrade.core.messages import FundingUpdate
from astrade.core.redis import sync_client
from astrade.core.tests.live import LiveServer
from astrade.tests.contract.test_tunicoin_stream import APPLICATION
from marketdata import frames, keys
from trading.tests.api.client import Trader
from trading.tests.conftest import Feed

pytestmark = pytest.mark.django_db(transaction=True)
SYMBOL = "BTC-USD"


@pytest.fixture
def server(transactional_db: None, settings: Any) -> Iterator[LiveServer]:
    settings.WS_CONNECTIONS_PER_IP = 1000
    with LiveServer(APPLICATION) as running:
        yield running


@pytest.mark.parametrize("path", ["/ws/markets/BTC-USD/orderbook", "/ws/markets/btc-usd/orderbook/"])
def test_order_book_stream_begins_with_a_snapshot(server: LiveServer, feed: Feed, path: str) -> None:
    sync_client().set(keys.book(SYMBOL), snapshot())
    with server.connect(path) as client:
        frame = client.recv()

    assert (frame["type"], frame["symbol"], frame["sequence"], frame["bids"]) == (
        "orderbook_snapshot", SYMBOL, 7, [["99", "1"]],
    )  # fmt: skip


def snapshot() -> bytes:
    """A book as a feed publishes it."""
    return frames.book_snapshot(SYMBOL, sequence=7, bids={"99": "1"}, asks={"101": "1"}, at=system_clock())


@pytest.mark.parametrize(
    ("kind", "stream", "frame"),
    [
        ("trades", "trades:BTC-USD", b'{"type":"trades","symbol":"BTC-USD","n":1}'),
        ("candles", "candles:BTC-USD:1m", b'{"type":"candle","symbol":"BTC-USD","n":1}'),
        ("ticker", "ticker:BTC-USD", b'{"type":"ticker","symbol":"BTC-USD","n":1}'),
    ],
)
def test_trades_candles_and_ticker_have_a_socket_each(
    server: LiveServer, feed: Feed, kind: str, stream: str, frame: bytes
) -> None:
    with server.connect(f"/ws/markets/BTC-USD/{kind}") as client:
        client.send({"type": "ping"})
        client.of("pong")
        sync_client().publish(keys.stream(stream), frame)
        assert client.recv_until(lambda got: "n" in got)["symbol"] == SYMBOL


def test_funding_stream_tells_of_the_rate(server: LiveServer, feed: Feed) -> None:
    update = FundingUpdate(SYMBOL, Decimal("0.0001"), system_clock())
    with server.connect("/ws/markets/BTC-USD/funding") as client:
        client.send({"type": "ping"})
        client.of("pong")
        sync_client().publish(keys.stream(f"funding:{SYMBOL}"), frames.funding(update, at=system_clock()))
        assert client.of("funding")["symbol"] == SYMBOL


def test_all_streams_and_the_account_on_one_socket(server: LiveServer, feed: Feed) -> None:
    trader = Trader()
    wanted = [
        "orderbook:BTC-USD", "trades:BTC-USD", "candles:BTC-USD:1m", "funding:BTC-USD", "ticker:BTC-USD", "account",
    ]  # fmt: skip
    token = signed_in(trader.user).access_token
    with server.connect("/ws/stream", headers={"Authorization": f"Bearer {token}"}) as client:
        client.send({"op": "subscribe", "args": wanted, "id": 1})
        ack = client.of("ack")
        trader.rest()
        order = client.of("order_update")
        client.send({"op": "unsubscribe", "args": wanted, "id": 2})
        left = client.of("ack")
        client.send({"op": "ping", "id": 3})
        pong = client.recv_until(lambda frame: frame.get("id") == 3)

    assert (ack["id"], ack["status"], set(ack["streams"])) == (1, "ok", set(wanted))
    assert order["data"]["status"] == "open"
    assert (left["id"], left["status"], set(left["streams"])) == (2, "ok", set(wanted))
    assert (pong["op"], pong["status"]) == ("ping", "ok")
