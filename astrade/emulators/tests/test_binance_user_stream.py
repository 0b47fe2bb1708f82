"""The WebSocket API: requests, sessions, subscriptions, and what the user data stream tells."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection

from astrade.emulators.binance.server import BASE
from astrade.emulators.tests.binance_harness import (
    BTC,
    BinanceHarness,
    ask,
    ed25519_of,
    received,
    sorted_payload,
)

SUBSCRIBE = "userDataStream.subscribe.signature"


@pytest.fixture
async def api(binance: BinanceHarness) -> AsyncIterator[ClientConnection]:
    """A connection to the WebSocket API."""
    async with binance.stream("/ws-api/v3") as socket:
        yield socket


@pytest.fixture
async def user_stream(binance: BinanceHarness) -> AsyncIterator[ClientConnection]:
    """The same with a subscription to the first account."""
    async with binance.stream("/ws-api/v3") as socket:
        assert (await ask(socket, SUBSCRIBE, **binance.rpc_params()))["result"] == {"subscriptionId": 0}
        yield socket


async def told(socket: ClientConnection, count: int) -> list[Any]:
    """The next events."""
    messages = [await received(socket) for _ in range(count)]
    assert {message["subscriptionId"] for message in messages} == {0}
    return [message["event"] for message in messages]


async def nothing_comes(socket: ClientConnection) -> bool:
    try:
        await asyncio.wait_for(socket.recv(), timeout=0.05)
    except TimeoutError:
        return True
    return False


async def test_requests_are_those_of_rest(binance: BinanceHarness, api: ClientConnection):
    assert (await ask(api, "ping"))["result"] == {}
    assert (await ask(api, "time"))["result"] == {"serverTime": binance.now_ms}
    depth = await ask(api, "depth", symbol=BTC, limit=5)
    assert depth["result"] == await binance.get("/depth", symbol=BTC, limit=5)
    assert (await ask(api, "exchangeInfo", symbols=[BTC]))["result"]["symbols"][0]["symbol"] == BTC
    placed = await ask(api, "order.place", **binance.rpc_params(**binance.order(newClientOrderId="mine")))
    assert (placed["status"], placed["result"]["status"]) == (200, "NEW")
    found = await ask(api, "order.status", **binance.rpc_params(symbol=BTC, origClientOrderId="mine"))
    assert found["result"] == await binance.read("/order", symbol=BTC, origClientOrderId="mine")
    cancelled = await ask(api, "order.cancel", **binance.rpc_params(symbol=BTC, origClientOrderId="mine"))
    assert cancelled["result"]["status"] == "CANCELED"


async def test_refusals_have_status_and_number(binance: BinanceHarness, api: ClientConnection):
    good = binance.rpc_params(symbol=BTC, orderId=1)
    for params, status, code in (
        (good, 400, -2013),
        (good | {"orderId": 2}, 400, -1022),
        (good | {"apiKey": "nobody"}, 401, -2015),
        ({}, 401, -2014),
        (binance.rpc_params(symbol=BTC, orderId=1, timestamp=binance.now_ms - 5_001), 400, -1021),
    ):
        answer = await ask(api, "order.status", **params)
        assert (answer["status"], answer["error"]["code"]) == (status, code)
    for odd in ("{", "[]", '{"method": ["ping"]}', '{"method": "ping", "params": 5}', '{"method": "order.wish"}'):
        await api.send(odd)
        assert (await received(api))["status"] == 400
    await api.send('{"method": "depth", "params": {"symbol": {"name": ["BTCUSDT"]}}}')
    assert (await received(api))["error"]["code"] == -1121
    await api.send('{"method": "ping", "params": null}')
    assert (await received(api))["status"] == 200


async def test_weights_are_counted_with_those_of_rest(binance: BinanceHarness, api: ClientConnection):
    (before,) = (await ask(api, "ping"))["rateLimits"]
    assert before == {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": 6000,
        "count": 3,
    }
    used = (await binance.http.get(f"{BASE}/ping")).headers["X-MBX-USED-WEIGHT-1M"]
    assert used == "4", "2 for the connection, 1 for each ping"
    assert "rateLimits" not in await ask(api, "ping", returnRateLimits=False)
    await binance.switch("banned")
    banned = await ask(api, "ping")
    assert (banned["status"], banned["error"]["data"]["retryAfter"]) == (418, binance.now_ms + 120_000)


async def test_a_resting_order_from_new_to_cancelled(binance: BinanceHarness, user_stream: ClientConnection):
    price = Decimal(binance.near("0.98"))
    placed = await binance.placed(newClientOrderId="mine", price=str(price), quantity="0.5")
    report, position = await told(user_stream, 2)
    assert report == report | {
        "e": "executionReport",
        "s": BTC,
        "c": "mine",
        "C": "",
        "S": "BUY",
        "o": "LIMIT",
        "f": "GTC",
        "q": "0.50000000",
        "p": f"{price:.8f}",
        "x": "NEW",
        "X": "NEW",
        "i": placed["orderId"],
        "t": -1,
        "n": "0",
        "N": None,
        "w": True,
        "m": False,
        "O": placed["transactTime"],
        "W": placed["workingTime"],
        "V": "EXPIRE_MAKER",
        "r": "NONE",
    }
    assert position["e"] == "outboundAccountPosition"
    assert position["B"] == [
        {"a": "BTC", "f": "2.00000000", "l": "0.00000000"},
        {"a": "USDT", "f": f"{100_000 - price / 2:.8f}", "l": f"{price / 2:.8f}"},
    ]
    await binance.call("DELETE", "/order", symbol=BTC, origClientOrderId="mine", newClientOrderId="gone")
    report, position = await told(user_stream, 2)
    assert (report["x"], report["X"], report["c"], report["C"]) == ("CANCELED", "CANCELED", "gone", "mine")
    assert (report["w"], position["B"][1]["l"]) == (False, "0.00000000")


async def test_each_execution_is_told_once_and_adds_up(binance: BinanceHarness, user_stream: ClientConnection):
    quantity = sum(quantity for _, quantity in binance.book.bids[:3])
    taken = await binance.take("SELL", str(quantity))
    events = await told(user_stream, 8)
    reports = [event for event in events if event["e"] == "executionReport"]
    assert [(one["x"], one["X"]) for one in reports] == [
        ("NEW", "NEW"),
        ("TRADE", "PARTIALLY_FILLED"),
        ("TRADE", "PARTIALLY_FILLED"),
        ("TRADE", "FILLED"),
    ]
    assert [(one["t"], one["L"], one["l"], one["n"], one["N"]) for one in reports[1:]] == [
        (fill["tradeId"], fill["price"], fill["qty"], fill["commission"], fill["commissionAsset"])
        for fill in taken["fills"]
    ]
    assert len({(one["i"], one["I"]) for one in reports}) == 4
    assert (reports[-1]["z"], reports[-1]["Z"]) == (taken["executedQty"], taken["cummulativeQuoteQty"])
    balances = {one["a"]: Decimal(one["f"]) for one in events[-1]["B"]}
    assert balances == {asset: binance.balance(asset)[0] for asset in ("BTC", "USDT")}
    expired = await binance.placed(price=str(binance.book.asks[0][0]), quantity="1.2", timeInForce="FOK")
    assert expired["status"] == "EXPIRED"
    *_, report, _ = await told(user_stream, 4)
    assert (report["x"], report["eR"]) == ("EXPIRED", "UNFILLED_FOK_ORDER_EXPIRED")


async def test_deposits_are_told(binance: BinanceHarness, user_stream: ClientConnection):
    body = {"account_id": binance.account.id, "asset": "USDT", "amount": "12.5"}
    assert (await binance.http.post("/emulator/deposits", json=body)).json()["free"] == "100012.50000000"
    update, position = await told(user_stream, 2)
    assert (update["e"], update["a"], update["d"]) == ("balanceUpdate", "USDT", "12.50000000")
    assert position["B"] == [{"a": "USDT", "f": "100012.50000000", "l": "0.00000000"}]
    assert (await binance.http.post("/emulator/deposits", json={**body, "amount": "much"})).status_code == 400


async def test_a_subscription_is_one_accounts_and_ends_when_told(
    binance: BinanceHarness, user_stream: ClientConnection
):
    again = await ask(user_stream, SUBSCRIBE, **binance.rpc_params())
    assert again["error"]["code"] == -2035
    second = await ask(user_stream, SUBSCRIBE, **binance.rpc_params(binance.second))
    assert second["result"] == {"subscriptionId": 1}
    assert len((await ask(user_stream, "session.subscriptions"))["result"]) == 2
    await binance.call("POST", "/order", account=binance.second, **binance.order())
    assert {(await received(user_stream))["subscriptionId"] for _ in range(2)} == {1}
    assert (await ask(user_stream, "userDataStream.unsubscribe", subscriptionId=0))["result"] == {}
    ended = await received(user_stream)
    assert (ended["subscriptionId"], ended["event"]["e"]) == (0, "eventStreamTerminated")
    unknown = await ask(user_stream, "userDataStream.unsubscribe", subscriptionId=0)
    assert unknown["error"]["code"] == -2036
    await binance.placed()
    assert await nothing_comes(user_stream)


async def test_a_session_needs_one_signature_only(binance: BinanceHarness, api: ClientConnection):
    account = binance.account
    assert (await ask(api, "userDataStream.subscribe"))["status"] == 401
    refused = await ask(api, "session.logon", **binance.rpc_params())
    assert refused["status"] == 400, "an HMAC key can't"
    params = {"apiKey": account.ed25519_api_key, "timestamp": binance.now_ms}
    signature = ed25519_of(account.ed25519_private_key, sorted_payload(params))
    logged_on = await ask(api, "session.logon", **params, signature=signature)
    assert logged_on["result"]["apiKey"] == account.ed25519_api_key
    assert (await ask(api, "userDataStream.subscribe"))["result"] == {"subscriptionId": 0}
    placed = await ask(api, "order.place", **binance.order(), timestamp=binance.now_ms)
    assert placed["result"]["status"] == "NEW"
    assert [event["e"] for event in await told(api, 2)] == ["executionReport", "outboundAccountPosition"]
    assert (await ask(api, "session.logout"))["result"]["apiKey"] is None
    assert (await received(api))["event"]["e"] == "eventStreamTerminated"
    assert (await ask(api, "account.status", timestamp=binance.now_ms))["error"]["code"] == -2014


async def test_a_revoked_key_ends_its_stream(binance: BinanceHarness, user_stream: ClientConnection):
    await binance.placed()
    await told(user_stream, 2)
    await binance.switch("key_revoked")
    binance.exchange.deposit(binance.account, "USDT", Decimal(1))
    binance.exchange.publish(binance.exchange.take_news())
    notice = orjson.loads(await user_stream.recv())
    assert (notice["id"], notice["status"], notice["error"]["code"]) == (None, 401, -2015)
    assert await nothing_comes(user_stream)
