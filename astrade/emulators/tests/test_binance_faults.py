"""Every fault once: what the client sees, and what the exchange then holds."""

import asyncio
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import orjson
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from astrade.emulators.binance.faults import CATALOGUE
from astrade.emulators.binance.server import BASE
from astrade.emulators.connections import Heartbeat
from astrade.emulators.faults import AFTER, BEFORE
from astrade.emulators.tests.binance_harness import BTC, BinanceHarness, ask, code_of, received, running

TESTED: set[str] = set()  # by the tests below; the last one holds it against the catalogue
DEPTH = "/ws/btcusdt@depth@100ms"


async def switch(binance: BinanceHarness, scenario: str) -> None:
    TESTED.update(re.findall(r"[a-z_0-9]+", scenario))
    await binance.switch(scenario)


async def orders_in(binance: BinanceHarness) -> list[tuple[str, str]]:
    """Client ids and states of the first account's orders, counted at the emulator."""
    state = (await binance.http.get("/emulator/state")).json()
    return [(one["clientOrderId"], one["status"]) for one in state[str(binance.account.id)]["orders"]]


@pytest.fixture
async def user_stream(binance: BinanceHarness) -> AsyncIterator[ClientConnection]:
    async with binance.stream("/ws-api/v3") as socket:
        await ask(socket, "userDataStream.subscribe.signature", **binance.rpc_params())
        yield socket


async def place_by_socket(binance: BinanceHarness, socket: ClientConnection, client_id: str) -> Any:
    return await ask(socket, "order.place", **binance.rpc_params(**binance.order(newClientOrderId=client_id)))


@pytest.mark.parametrize("name", ["reset_before_accept", "timeout_before_accept", *BEFORE])
async def test_before_acceptance_nothing_was_done(binance: BinanceHarness, name: str):
    await switch(binance, name)
    if name in BEFORE:
        response = await binance.place()
        assert (response.status_code, response.headers["Content-Type"].partition(";")[0]) == (BEFORE[name], "text/html")
    else:
        with pytest.raises(httpx.TransportError):
            await binance.place()
    assert await orders_in(binance) == []
    assert (await binance.call("GET", "/account")).status_code == 200  # reads are not disturbed


@pytest.mark.parametrize(
    "name",
    [
        "reset_after_accept",
        "accept_then_timeout",
        "unknown_after_accept",
        "overloaded_after_accept",
        "duplicate_execution_refused",
        *AFTER,
    ],
)
async def test_after_acceptance_everything_was_done_once(binance: BinanceHarness, name: str):
    answers = {
        "unknown_after_accept": (504, -1007),
        "overloaded_after_accept": (503, -1008),
        "duplicate_execution_refused": (400, -2010),
    }
    await switch(binance, name)
    if name in AFTER:
        assert (await binance.place(newClientOrderId="mine")).status_code == AFTER[name]
    elif name in answers:
        response = await binance.place(newClientOrderId="mine")
        assert (response.status_code, code_of(response)) == answers[name]
    else:
        with pytest.raises(httpx.TransportError):
            await binance.place(newClientOrderId="mine")
    await switch(binance, "")
    assert (await binance.read("/order", symbol=BTC, origClientOrderId="mine"))["status"] == "NEW"
    assert code_of(await binance.place(newClientOrderId="mine")) == -2010
    assert await orders_in(binance) == [("mine", "NEW")]


@pytest.mark.parametrize(
    ("name", "is_done"),
    [
        ("timeout_before_accept", False),
        ("reset_before_accept", False),
        ("accept_then_timeout", True),
        ("reset_after_accept", True),
    ],
)
async def test_the_websocket_api_falls_silent_or_breaks_off(binance: BinanceHarness, name: str, is_done: bool):
    async with binance.stream("/ws-api/v3") as socket:
        await switch(binance, name)
        with pytest.raises((TimeoutError, ConnectionClosed)):
            await asyncio.wait_for(place_by_socket(binance, socket, "mine"), timeout=0.1)
    assert await orders_in(binance) == [("mine", "NEW")] * is_done


async def test_limits_bans_and_the_firewall(binance: BinanceHarness):
    for name, status, retry_after in (
        ("rate_limited", 429, None),
        ("rate_limited_retry_after", 429, "1"),
        ("banned", 418, "120"),
    ):
        await switch(binance, name)
        refused = await binance.place()
        assert (refused.status_code, code_of(refused)) == (status, -1003)
        assert refused.headers.get("Retry-After") == retry_after
    await switch(binance, "waf_blocked")
    blocked = await binance.place()
    assert (blocked.status_code, blocked.text[:6]) == (403, "<html>")
    assert await orders_in(binance) == []


async def test_answers_that_are_no_json_come_from_orders_that_are_there(binance: BinanceHarness):
    await switch(binance, "wrong_content_type")
    assert (await binance.place(newClientOrderId="one")).headers["Content-Type"] == "text/html"
    await switch(binance, "truncated_json")
    with pytest.raises(ValueError):
        (await binance.place(newClientOrderId="two")).json()
    await switch(binance, "empty_answer")
    assert (await binance.place(newClientOrderId="three")).content == b""
    await switch(binance, "slow_loris")
    slow = await binance.place(newClientOrderId="four")
    assert slow.json()["clientOrderId"] == "four"
    assert slow.elapsed.total_seconds() > 0.001 * len(slow.content)
    assert [name for name, _ in await orders_in(binance)] == ["one", "two", "three", "four"]


async def test_a_late_snapshot_is_older_than_the_updates(binance: BinanceHarness):
    """Signed reads are stale too, though each has a time and a signature of its own."""
    before = await binance.get("/depth", symbol=BTC, limit=50)
    assert await binance.read("/openOrders", symbol=BTC) == []
    async with binance.stream(DEPTH) as socket:
        await switch(binance, "stale_snapshot")
        binance.advance(steps=3)
        await binance.placed()
        await received(socket)
        late = await binance.get("/depth", symbol=BTC, limit=50)
        assert late == before
        assert late["lastUpdateId"] < (await received(socket))["U"]
    assert await binance.read("/openOrders", symbol=BTC) == []
    await switch(binance, "")
    assert len(await binance.read("/openOrders", symbol=BTC)) == 1


async def test_look_ups_keys_and_clocks_that_fail(binance: BinanceHarness):
    await binance.placed(newClientOrderId="mine")
    await switch(binance, "lookup_lag")
    missing = await binance.call("GET", "/order", symbol=BTC, origClientOrderId="mine")
    assert code_of(missing) == -2013
    await switch(binance, "key_revoked")
    refused = await binance.call("GET", "/account")
    assert (refused.status_code, code_of(refused)) == (401, -2015)
    await switch(binance, "clock_skew")
    assert code_of(await binance.call("GET", "/account")) == -1021
    skewed = (await binance.get("/time"))["serverTime"]
    assert skewed == binance.now_ms + 90_000
    assert (await binance.call("GET", "/account", timestamp=skewed)).status_code == 200


async def test_a_closed_market_takes_no_orders_and_lets_them_be_cancelled(binance: BinanceHarness):
    await binance.placed(newClientOrderId="mine")
    await switch(binance, "market_closed")
    assert (await binance.place()).json() == {"code": -2010, "msg": "Market is closed."}
    assert (await binance.get("/exchangeInfo"))["symbols"][0]["status"] == "HALT"
    assert (await binance.call("DELETE", "/order", symbol=BTC, origClientOrderId="mine")).status_code == 200


@pytest.mark.parametrize("scenario", ["slow_loris", "fill_overtakes_ack,slow_loris"])
async def test_fill_overtakes_ack(binance: BinanceHarness, user_stream: ClientConnection, scenario: str):
    """Otherwise the stream waits until the slow answer has ended."""
    await switch(binance, scenario)
    request = asyncio.create_task(binance.take(newOrderRespType="ACK"))
    events = [(await received(user_stream))["event"] for _ in range(4)]
    assert request.done() == (scenario == "slow_loris")
    assert [event.get("X") for event in events] == ["NEW", None, "FILLED", None]
    await request


async def test_fill_overtakes_the_answer_of_the_websocket_api(binance: BinanceHarness, user_stream: ClientConnection):
    await switch(binance, "fill_overtakes_ack,accept_then_timeout")
    params = binance.rpc_params(**binance.order())
    await user_stream.send(orjson.dumps({"id": 1, "method": "order.place", "params": params}).decode())
    assert [(await received(user_stream))["event"].get("X") for _ in range(2)] == ["NEW", None]


async def test_cancel_crosses_fill(binance: BinanceHarness):
    await binance.placed(newClientOrderId="mine")
    await switch(binance, "cancel_crosses_fill")
    refused = await binance.call("DELETE", "/order", symbol=BTC, origClientOrderId="mine")
    assert refused.json() == {"code": -2011, "msg": "Unknown order sent."}
    assert await orders_in(binance) == [("mine", "FILLED")]
    assert binance.balance("BTC")[0] == 2 + Decimal("0.01") * Decimal("0.999")


async def test_replace_half_done(binance: BinanceHarness):
    await binance.placed(newClientOrderId="old")
    await switch(binance, "replace_half_done")
    order = binance.order(newClientOrderId="new")
    names: dict[str, Any] = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": "old"}
    half = await binance.call("POST", "/order/cancelReplace", **names, **order)
    assert (half.status_code, code_of(half)) == (409, -2021)
    assert (half.json()["data"]["cancelResult"], half.json()["data"]["newOrderResult"]) == ("SUCCESS", "FAILURE")
    assert await orders_in(binance) == [("old", "CANCELED")]


async def test_partial_fill_then_silence(binance: BinanceHarness, user_stream: ClientConnection):
    await switch(binance, "partial_fill_then_silence")
    placed = await binance.placed(newClientOrderId="mine")
    assert (placed["status"], placed["executedQty"]) == ("PARTIALLY_FILLED", "0.00500000")
    assert [(await received(user_stream))["event"].get("X") for _ in range(2)] == ["NEW", None]
    await switch(binance, "")
    await binance.placed(newClientOrderId="next")
    assert (await received(user_stream))["event"]["c"] == "next"  # nothing of the fill


async def test_stream_refused(binance: BinanceHarness):
    await switch(binance, "stream_refused")
    for path in (DEPTH, "/stream?streams=btcusdt@trade", "/ws-api/v3"):
        with pytest.raises(InvalidStatus) as refusal:
            await binance.stream(path)
        assert refusal.value.response.status_code == 503


async def test_messages_twice_out_of_order_late_and_missing(binance: BinanceHarness):
    async def ids(scenario: str, *, steps: int, quiet_s: float = 0.05) -> list[int]:
        """What comes of the next steps, each update by its place in their order."""
        await switch(binance, scenario)
        known: list[int] = []
        seen: list[int] = []
        for _ in range(steps):
            known.append(binance.market.depth.last_id + 1)
            binance.advance()
        while True:
            try:
                message = await asyncio.wait_for(received(socket), timeout=quiet_s)
            except TimeoutError:
                return seen
            seen.append(known.index(message["U"]))

    async with binance.stream(DEPTH) as socket:
        assert await ids("stream_duplicate", steps=2) == [0, 0, 1, 1]
        assert await ids("stream_reorder", steps=4) == [1, 0, 3, 2]
        assert await ids("stream_late", steps=1) == []
        assert (await received(socket))["e"] == "depthUpdate"
        for scenario in ("stream_missing:0.5", "sequence_gap:0.5"):
            some = await ids(scenario, steps=12)
            assert some == sorted(some) and 0 < len(some) < 12


async def test_connections_that_break_or_fall_silent(binance: BinanceHarness):
    for name in ("disconnect_mid_frame", "disconnect_before_message"):
        async with binance.stream(DEPTH) as socket:
            await switch(binance, name)
            binance.advance()
            with pytest.raises(ConnectionClosed):
                await socket.recv()
    async with binance.stream(DEPTH) as socket:
        await switch(binance, "stream_silence")
        binance.advance(steps=5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), timeout=0.05)
        await switch(binance, "server_shutdown")
        binance.advance()
        assert (await received(socket))["e"] == "serverShutdown"
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def test_the_user_stream_ends_or_names_what_nobody_knows(binance: BinanceHarness, user_stream: ClientConnection):
    await switch(binance, "unknown_status")
    await binance.placed()
    assert (await received(user_stream))["event"]["X"] == "PENDING_CANCEL"
    await received(user_stream)
    await switch(binance, "server_shutdown:0,user_stream_terminated")
    await binance.placed()
    assert (await received(user_stream))["event"]["e"] == "eventStreamTerminated"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(user_stream.recv(), timeout=0.05)


async def test_heartbeat_stops():
    async with running(heartbeat=Heartbeat(ping_every_s=0.02, pong_within_s=1)) as binance:
        await switch(binance, "heartbeat_stops")
        reader, writer = await asyncio.open_connection("127.0.0.1", int(binance.url.rsplit(":", 1)[1]))
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        writer.write(f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(2), timeout=0.1)
        await binance.switch("")
        assert await asyncio.wait_for(reader.readexactly(2), timeout=1) == b"\x89\x00"
        writer.close()


async def test_a_scenario_is_read_whole_or_not_at_all(binance: BinanceHarness):
    bodies: list[Any] = [{"faults": "banned,nonsense"}, {"faults": "banned:2"}, {"fault": "banned"}, []]
    for bad in bodies:
        assert (await binance.http.post("/emulator/faults", json=bad)).status_code == 400
    faults = (await binance.http.get("/emulator/faults")).json()
    assert (faults["on"], faults["known"].keys()) == ({}, CATALOGUE.keys())
    assert (await binance.http.get(f"{BASE}/ping")).status_code == 200


def test_every_fault_of_the_catalogue_is_tested_above():
    assert set(CATALOGUE) <= TESTED
