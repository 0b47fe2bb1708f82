"""Requirement document 3, "WebSocket Real-Time Streams": `/ws/accounts/{account_id}` as its example client speaks."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings as configured

from accounts.tests.factories import signed_in
from astrade.core.lifespan import lifespan
from astrade.core.tests.live import Client, LiveServer
from astrade.routing import websocket_urlpatterns
from trading.tests.api.client import Trader
from trading.tests.conftest import Feed
from trading.tests.socket_clients import close_of

pytestmark = pytest.mark.django_db(transaction=True)
APPLICATION = ProtocolTypeRouter({"websocket": URLRouter(websocket_urlpatterns), "lifespan": lifespan})


@pytest.fixture
def server(transactional_db: None, settings: Any) -> Iterator[LiveServer]:
    """Tells of PnL often."""
    settings.WS_CONNECTIONS_PER_IP = 1000
    settings.WS_PNL_EVERY_S = 0.05
    with LiveServer(APPLICATION) as running:
        yield running


@pytest.fixture
def trader(server: LiveServer, feed: Feed) -> Trader:
    return Trader()


def joined(server: LiveServer, trader: Trader) -> Client:
    """A socket that has sent its token, as in the document's `onopen`."""
    client = server.connect(f"/ws/accounts/{trader.account.uuid}")
    client.send({"token": signed_in(trader.user).access_token})
    return client


def test_connected_follows_the_token(server: LiveServer, trader: Trader) -> None:
    with joined(server, trader) as client:
        assert client.recv() == {"type": "connected", "account_id": str(trader.account.uuid), "sequence": 1}


def test_order_update_tells_of_the_order(server: LiveServer, trader: Trader) -> None:
    with joined(server, trader) as client:
        client.of("connected")
        order = trader.rest().data
        update = client.of("order_update")
        trader.api.delete(f"/orders/{order['id']}")
        gone = client.of("order_update")

    assert update["data"] == order
    assert (gone["data"]["id"], gone["data"]["status"]) == (order["id"], "cancelled")


def test_trade_update_tells_of_the_fill(server: LiveServer, trader: Trader) -> None:
    with joined(server, trader) as client:
        client.of("connected")
        trader.place()
        update = client.of("trade_update")

    assert update["data"] == trader.api.get("/trades").data[0]


def test_position_update_tells_of_the_position(server: LiveServer, trader: Trader) -> None:
    with joined(server, trader) as client:
        client.of("connected")
        trader.place()
        update = client.of("position_update")

    assert update["data"] == trader.api.get("/account/positions").data[0]


def test_balance_update_tells_of_the_money(server: LiveServer, trader: Trader) -> None:
    with joined(server, trader) as client:
        client.of("connected")
        trader.place()
        update = client.of("balance_update")

    assert update["data"] == trader.api.get("/account/balance").data


def test_pnl_update_follows_the_price(server: LiveServer, trader: Trader, feed: Feed) -> None:
    with joined(server, trader) as client:
        client.of("connected")
        trader.place()
        client.of("pnl_update")
        feed(bids=(("119", "1000"),), asks=(("121", "1000"),), sequence=2)
        moved = client.recv_until(
            lambda frame: frame["type"] == "pnl_update" and frame["data"]["unrealized_pnl"] == "19"
        )

    (position,) = moved["data"]["positions"]
    assert (position["symbol"], position["mark_price"], position["unrealized_pnl"]) == ("BTC-USD", "120", "19")


def test_ping_is_answered_with_pong(server: LiveServer, trader: Trader) -> None:
    with joined(server, trader) as client:
        client.of("connected")
        client.send({"type": "ping"})
        assert client.recv() == {"type": "pong"}


def test_every_client_of_an_account_hears_the_same(server: LiveServer, trader: Trader) -> None:
    with joined(server, trader) as first, joined(server, trader) as second:
        first.of("connected"), second.of("connected")
        trader.rest()
        assert first.of("order_update") == second.of("order_update")


def test_another_users_account_is_closed(server: LiveServer, trader: Trader) -> None:
    token = signed_in(trader.user).access_token

    for account in (Trader().account.uuid, uuid4()):
        with server.connect(f"/ws/accounts/{account}") as client:
            client.send({"token": token})
            assert close_of(client)[0] == 4404


def test_a_token_is_required_within_ten_seconds(server: LiveServer, trader: Trader, settings: Any) -> None:
    assert configured.WS_TOKEN_WAIT_S == 10
    settings.WS_TOKEN_WAIT_S = 0.2

    with server.connect(f"/ws/accounts/{trader.account.uuid}") as client:
        assert close_of(client)[0] == 4401


def test_keepalive_is_as_printed() -> None:
    """A client that pings every 30 s is never idle for 60 s; ours comes every 15 s."""
    assert (configured.WS_IDLE_S, configured.WS_HEARTBEAT_S) == (60, 15)
