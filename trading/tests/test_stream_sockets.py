"""Limits of sockets, and the multiplexed one, end to end."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from astrade.core.clock import system_clock
from astrade.core.redis import sync_client
from astrade.core.tests.live import LiveServer
from marketdata import keys
from marketdata.catalogue import LISTINGS
from marketdata.selectors import forget_markets
from marketdata.services import list_market
from trading.announcing import account_channel
from trading.tests.socket_clients import (
    APPLICATION,
    Trader,
    close_of,
    eventually_connected,
    sequences,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(transactional_db: None, settings: Any) -> Iterator[LiveServer]:
    """A server whose anonymous callers aren't counted against those of other tests."""
    settings.WS_CONNECTIONS_PER_IP = 1000
    with LiveServer(APPLICATION) as running:
        yield running


@pytest.fixture
def trader(server: LiveServer) -> Trader:
    return Trader()


# Limits and bad input


def test_too_many_connections_are_refused_before_the_upgrade(server: LiveServer, trader: Trader, settings: Any) -> None:
    settings.WS_CONNECTIONS_PER_USER = 2
    first = server.connect(trader.path, headers=trader.headers)
    with server.connect("/ws/stream", headers=trader.headers):
        with pytest.raises(InvalidStatus) as refusal:
            server.connect(trader.path, headers=trader.headers)
        with server.connect(trader.path) as late:
            late.send({"token": trader.token})
            assert close_of(late)[0] == 1013
        first.close()
        with eventually_connected(server, trader) as again:
            assert again.recv()["type"] == "connected"

    assert refusal.value.response.status_code == 503
    assert json.loads(refusal.value.response.body or b"")["error"]["code"] == 1202


def test_garbage_gets_error_frames_and_the_connection_stays(server: LiveServer, trader: Trader) -> None:
    garbage: list[Any] = [
        "nonsense", b"\x00\xff", "[]", "1", '"x"', "null", '{"type":', "[" * 5000, '{"a":' * 20 + "1" + "}" * 20,
        "x" * 70_000, {"op": "nothing"}, {"op": 7}, {"op": "subscribe"}, {"op": "subscribe", "args": "ticker:BTC-USD"},
        {"op": "subscribe", "args": [1]}, {"op": "subscribe", "args": ["x" * 101]}, {"type": "ping", "id": {}}, {},
        {"token": 5}, {"op": "subscribe", "args": ["\u0000"] * 201}, {"resume": 5},
    ]  # fmt: skip
    with server.connect("/ws/stream", headers=trader.headers) as client:
        for message in garbage:
            client.send(message)
            error = client.recv()
            assert error["type"] == "error", (message, error)
            assert error["code"] in (1000, 1001, 1007)
        client.send({"type": "ping", "id": "a"})
        assert client.recv() == {"type": "pong", "id": "a"}
        client.send({"op": "ping", "id": 7})
        assert client.recv() == {"type": "ack", "op": "ping", "status": "ok", "id": 7}


def test_flood_of_garbage_is_read_slowly(server: LiveServer) -> None:
    with server.connect("/ws/stream") as client:
        begun = time.monotonic()
        for _ in range(100):
            client.send("garbage")
        errors = [client.recv(wait_s=20)["code"] for _ in range(100)]

    assert errors == [1000] * 100
    assert time.monotonic() - begun > 3  # 100 bad frames weigh 400; 200 are free, then 50 a second


def test_reader_too_slow_for_its_account_is_closed_and_can_resume(server: LiveServer, trader: Trader) -> None:
    channel, filler = account_channel(trader.account.pk), "x" * 60_000
    with server.connect(f"{trader.path}?resume=0", headers=trader.headers, max_queue=1) as client:
        client.of("connected")
        trader.happen()
        assert sequences(client, 1) == [1]
        for sequence in range(2, 502):
            sync_client().publish(channel, json.dumps({"type": "balance_update", "sequence": sequence, "data": filler}))
        code, frames = close_of(client)

    got = [frame["sequence"] for frame in frames if "sequence" in frame]
    assert code == 4408
    assert got == list(range(2, 2 + len(got)))


def test_idle_sockets_close_and_pings_keep_them(server: LiveServer, settings: Any) -> None:
    settings.WS_IDLE_S = 1.5
    with server.connect("/ws/stream") as silent, server.connect("/ws/stream") as talker:
        for _ in range(8):
            time.sleep(0.5)
            talker.send({"type": "ping"})
            assert talker.recv()["type"] == "pong"
        assert close_of(silent)[0] == 1000


def test_shutdown_closes_with_1012(transactional_db: None) -> None:
    with LiveServer(APPLICATION) as server:
        client = server.connect("/ws/stream")
        server.stop()
        assert close_of(client)[0] == 1012


# The account on the multiplexed socket


def test_account_on_the_stream_socket(server: LiveServer, trader: Trader) -> None:
    trader.happen(2)
    stranger = Trader()

    with server.connect("/ws/stream") as client:
        client.send({"op": "subscribe", "args": ["account"], "id": 1})
        assert client.recv()["code"] == 1100
        client.send({"token": trader.token, "id": 2})
        assert client.recv() == {"type": "authenticated", "id": 2}
        client.send({"op": "subscribe", "args": [f"account:{stranger.account.uuid}"], "id": 3})
        refused = client.recv()
        client.send({"op": "subscribe", "args": ["account"], "resume": 1, "id": 4})
        ack, connected = client.recv(), client.recv()
        trader.happen()
        assert sequences(client, 2) == [2, 3]
        client.send({"op": "unsubscribe", "args": ["account"], "id": 5})
        assert client.recv()["streams"] == ["account"]
        trader.happen()
        client.send({"type": "ping"})
        assert client.recv()["type"] == "pong"

    assert (refused["id"], refused["status"], refused["code"]) == (3, "error", 1002)
    assert ack == {"type": "ack", "op": "subscribe", "id": 4, "status": "ok", "streams": ["account"]}
    assert connected["sequence"] == 2


# Markets on the multiplexed socket


@pytest.fixture
def market(server: LiveServer) -> str:
    [listing] = [listing for listing in LISTINGS if listing.symbol == "BTC-USD"]
    list_market(listing, at=system_clock())
    forget_markets()
    sync_client().delete(keys.book("BTC-USD"), keys.QUOTES, keys.trades("BTC-USD"))
    return "BTC-USD"


def test_streams_are_subscribed_acknowledged_and_left(server: LiveServer, market: str) -> None:
    wanted = ["trades:btc/usd", "candles:BTCUSD", "ticker:NO-SUCH", "gossip:BTC-USD", "candles:BTC-USD:7m", "ticker"]
    with server.connect("/ws/stream") as client:
        client.send({"op": "subscribe", "args": wanted, "id": "x"})
        ack = client.recv()
        sync_client().publish(keys.stream("trades:BTC-USD"), b'{"type":"trades","n":1}')
        assert client.recv() == {"type": "trades", "n": 1}
        client.send({"op": "subscribe", "args": ["trades:BTC-USD"]})
        assert client.recv() == {"type": "ack", "op": "subscribe", "status": "ok", "streams": ["trades:BTC-USD"]}
        sync_client().publish(keys.stream("trades:BTC-USD"), b'{"type":"trades","n":2}')
        assert client.recv()["n"] == 2
        client.send({"op": "unsubscribe", "args": ["trades:BTC/USD", "funding:BTC-USD"], "id": 3})
        left = client.recv()
        sync_client().publish(keys.stream("trades:BTC-USD"), b'{"type":"trades","n":3}')
        sync_client().publish(keys.stream("candles:BTC-USD:1m"), b'{"type":"candle"}')
        assert client.recv() == {"type": "candle"}

    assert (ack["id"], ack["status"], ack["code"]) == ("x", "error", 2000)
    assert ack["streams"] == ["trades:BTC-USD", "candles:BTC-USD:1m"]
    refused = {error["arg"]: error["code"] for error in ack["errors"]}
    assert refused == {"ticker:NO-SUCH": 2000, "gossip:BTC-USD": 1001, "candles:BTC-USD:7m": 1001, "ticker": 1001}
    assert (left["id"], left["status"]) == (3, "ok")


def test_subscriptions_are_limited(server: LiveServer, market: str, settings: Any) -> None:
    settings.WS_SUBSCRIPTIONS_MAX = 2
    with server.connect("/ws/stream") as client:
        client.send({"op": "subscribe", "args": [f"candles:BTC-USD:{timeframe}" for timeframe in ("1m", "5m", "1h")]})
        ack = client.recv()

    assert (ack["status"], ack["code"], len(ack["streams"])) == ("error", 1203, 2)
