"""Every fault once: what the client sees, and what the exchange then holds."""

import asyncio
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from astrade.core.clock import to_ms
from astrade.emulators.connections import Heartbeat
from astrade.emulators.extended.faults import CATALOGUE
from astrade.emulators.faults import AFTER, BEFORE, Faults, UnknownFault
from astrade.emulators.tests.harness import BTC, Harness, code_of, received, running

TESTED: set[str] = set()  # by the tests below; the last one holds it against the catalogue


async def switch(harness: Harness, scenario: str) -> None:
    """By the emulator's own endpoint."""
    TESTED.update(re.findall(r"[a-z_0-9]+", scenario))
    response = await harness.http.post("/emulator/faults", json={"faults": scenario})
    assert response.status_code == 200, response.text


async def orders_in(harness: Harness) -> list[str]:
    """External ids of the orders that the exchange accepted."""
    state = (await harness.http.get("/emulator/state")).json()
    return list(state[str(harness.account.id)]["orders"])


@pytest.fixture
async def account_stream(harness: Harness) -> AsyncIterator[ClientConnection]:
    """The account's stream behind its first messages."""
    async with harness.stream("/account", account=harness.account) as socket:
        for _ in range(3):
            await received(socket)
        yield socket


@pytest.mark.parametrize("name", ["reset_before_accept", *BEFORE])
async def test_before_acceptance_nothing_was_done(harness: Harness, name: str):
    await switch(harness, name)
    if name in BEFORE:
        response = await harness.place()
        assert response.status_code == BEFORE[name]
        assert response.headers["Content-Type"].startswith("text/html")
    else:
        with pytest.raises(httpx.ReadError):
            await harness.place()
    assert await orders_in(harness) == []
    assert (await harness.call("GET", "/user/balance")).status_code == 200  # reads are not disturbed


@pytest.mark.parametrize("name", ["reset_after_accept", *AFTER])
async def test_after_acceptance_everything_was_done(harness: Harness, name: str):
    await switch(harness, name)
    if name in AFTER:
        assert (await harness.place(id="mine")).status_code == AFTER[name]
    else:
        with pytest.raises(httpx.ReadError):
            await harness.place(id="mine")
    await switch(harness, "")
    (order,) = await harness.get("/user/orders/external/mine")
    assert order["status"] == "NEW"
    assert code_of(await harness.place(id="mine")) == 1134
    assert await orders_in(harness) == ["mine"]


async def test_accept_then_timeout(harness: Harness):
    await switch(harness, "accept_then_timeout")
    with pytest.raises(httpx.ReadTimeout):
        await harness.call("POST", "/user/order", json=harness.order_body(id="mine"), timeout=0.1)
    await switch(harness, "")
    (order,) = await harness.get("/user/orders/external/mine")
    assert order["status"] == "NEW"


async def test_error_in_200(harness: Harness):
    await switch(harness, "error_in_200")
    response = await harness.place()
    assert (response.status_code, code_of(response)) == (200, 1006)
    assert await orders_in(harness) == []


async def test_duplicate_execution_refused(harness: Harness):
    await switch(harness, "duplicate_execution_refused")
    assert code_of(await harness.place(id="mine")) == 1134
    assert await orders_in(harness) == ["mine"]


async def test_rate_limits_with_and_without_a_hint(harness: Harness):
    await switch(harness, "rate_limited")
    limited = await harness.call("GET", "/user/balance")
    assert (limited.status_code, "Retry-After" in limited.headers) == (429, False)
    await switch(harness, "rate_limited_retry_after")
    limited = await harness.place()
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "1")
    assert await orders_in(harness) == []


async def test_a_slow_answer_is_whole_in_the_end(harness: Harness, account_stream: ClientConnection):
    """Until it has ended, the streams say nothing of the order: each byte takes 2 ms."""
    await switch(harness, "slow_loris")
    request = asyncio.create_task(harness.place(id="mine"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(received(account_stream), timeout=0.05)
    assert not request.done()
    response = await request
    assert response.json()["data"]["externalId"] == "mine"
    assert response.elapsed.total_seconds() > 0.001 * len(response.content)
    assert (await received(account_stream))["data"]["orders"][0]["externalId"] == "mine"


async def test_answers_that_are_no_json_come_from_orders_that_are_there(harness: Harness):
    await switch(harness, "wrong_content_type")
    assert (await harness.place(id="one")).headers["Content-Type"] == "text/html"
    await switch(harness, "truncated_json")
    with pytest.raises(ValueError):
        (await harness.place(id="two")).json()
    await switch(harness, "empty_answer")
    assert (await harness.place(id="three")).content == b""
    assert await orders_in(harness) == ["one", "two", "three"]


async def test_stale_snapshot(harness: Harness):
    before = await harness.get("/user/orders")
    await switch(harness, "stale_snapshot")
    await harness.place(id="mine")
    assert await harness.get("/user/orders") == before == []
    assert len(await harness.get("/user/orders", params={"market": BTC})) == 1  # never asked before
    await switch(harness, "")
    assert len(await harness.get("/user/orders")) == 1


async def test_lookup_lag(harness: Harness):
    await switch(harness, "lookup_lag")
    number = (await harness.place(id="mine")).json()["data"]["id"]
    assert await harness.get("/user/orders/external/mine") == []
    assert (await harness.call("GET", f"/user/orders/{number}")).status_code == 404
    await switch(harness, "")
    assert len(await harness.get("/user/orders/external/mine")) == 1


async def test_a_revoked_key(harness: Harness):
    await switch(harness, "key_revoked")
    assert (await harness.call("GET", "/user/balance")).status_code == 401
    assert (await harness.place()).status_code == 401
    await switch(harness, "")
    assert (await harness.call("GET", "/user/balance")).status_code == 200


async def test_clock_skew(harness: Harness):
    short = to_ms(harness.clock()) + 60_000
    await switch(harness, "clock_skew")
    assert code_of(await harness.place(expiryEpochMillis=short)) == 1135
    order = await harness.placed()
    assert order["createdTime"] == to_ms(harness.clock()) + 90_000
    response = await harness.call("GET", "/user/balance")
    assert response.headers["Date"] == "Sat, 21 Nov 2026 12:02:00 GMT"


async def test_fill_overtakes_ack(harness: Harness, account_stream: ClientConnection):
    await switch(harness, "fill_overtakes_ack,accept_then_timeout")
    price = str(harness.book.asks[0][0])
    body = harness.order_body(id="mine", price=price, timeInForce="IOC")
    request = asyncio.create_task(harness.call("POST", "/user/order", json=body))
    order, trade = await received(account_stream), await received(account_stream)
    assert not request.done()
    assert (order["data"]["orders"][0]["status"], trade["type"]) == ("FILLED", "TRADE")
    with pytest.raises(httpx.TransportError):
        await request


async def test_late_refusal(harness: Harness):
    await switch(harness, "late_refusal")
    order = await harness.placed()
    assert (order["status"], order["statusReason"]) == ("REJECTED", "NOT_ENOUGH_FUNDS")


async def test_replace_cancels_both(harness: Harness):
    await harness.placed(id="old")
    await switch(harness, "replace_cancels_both")
    new = await harness.placed(id="new", cancelId="old")
    assert (new["status"], new["statusReason"]) == ("CANCELLED", "PREV_ORDER_NOT_FOUND")
    (old,) = await harness.get("/user/orders/external/old")
    assert old["status"] == "CANCELLED"
    assert await harness.get("/user/orders") == []


async def test_cancel_crosses_fill(harness: Harness):
    await harness.placed(id="mine", qty="0.01")
    await switch(harness, "cancel_crosses_fill")
    cancelled = await harness.call("DELETE", "/user/order?externalId=mine")
    assert cancelled.json() == {"status": "OK"}
    (order,) = await harness.get("/user/orders/external/mine")
    assert (order["status"], order["filledQty"]) == ("FILLED", "0.01")
    assert harness.account.held(BTC) == Decimal("0.01")


async def test_partial_fill_then_silence(harness: Harness, account_stream: ClientConnection):
    await switch(harness, "partial_fill_then_silence")
    order = await harness.placed(id="mine", qty="0.01")
    assert (order["status"], order["filledQty"]) == ("PARTIALLY_FILLED", "0.005")
    assert (await received(account_stream))["data"]["orders"][0]["status"] == "NEW"
    await harness.call("DELETE", "/user/order?externalId=mine")
    await switch(harness, "")
    await harness.place(id="next")
    assert (await received(account_stream))["data"]["orders"][0]["externalId"] == "next"  # nothing of the rest


async def test_leverage_refused(harness: Harness):
    await switch(harness, "leverage_refused")
    response = await harness.call("PATCH", "/user/leverage", json={"market": BTC, "leverage": "5"})
    assert code_of(response) == 1052
    assert harness.account.leverage == {}


async def test_modes_refuse_orders_and_let_cancels_through(harness: Harness):
    await harness.placed(id="mine")
    await harness.take()
    reducing = {"side": "SELL", "reduceOnly": True, "price": "80000"}
    for mode, code, allowed in (
        ("maintenance", 1010, None),
        ("market_disabled", 1002, None),
        ("post_only_mode", 1011, {"postOnly": True}),
        ("reduce_only_mode", 1012, reducing),
        ("market_reduce_only", 1014, reducing),
    ):
        await switch(harness, mode)
        assert code_of(await harness.place()) == code
        if allowed:
            assert (await harness.place(**allowed)).status_code == 200
        (market,) = await harness.get("/info/markets")
        assert market["status"] == ("REDUCE_ONLY" if mode == "market_reduce_only" else "ACTIVE")
    assert (await harness.call("DELETE", "/user/order?externalId=mine")).status_code == 200


async def test_stream_refused(harness: Harness):
    await switch(harness, "stream_refused")
    for path, version in (("/account", "v1"), ("/rpc", "v2")):
        with pytest.raises(InvalidStatus) as refusal:
            await harness.stream(path, account=harness.account, version=version)
        assert refusal.value.response.status_code == 503


async def test_messages_twice_out_of_order_and_missing(harness: Harness, account_stream: ClientConnection):
    async def seen(scenario: str, count: int) -> list[tuple[int, str]]:
        await switch(harness, scenario)
        for name in ("a", "b", "c"):
            await harness.place(id=f"{scenario}-{name}")
        await switch(harness, "")
        await harness.place(id=f"{scenario}-end")
        messages = [await received(account_stream) for _ in range(count)]
        return [(m["seq"], m["data"]["orders"][0]["externalId"].rsplit("-", 1)[1]) for m in messages]

    assert await seen("stream_duplicate", 7) == [(4, "a"), (4, "a"), (5, "b"), (5, "b"), (6, "c"), (6, "c"), (7, "end")]
    assert await seen("stream_reorder", 4) == [(9, "b"), (8, "a"), (11, "end"), (10, "c")]
    assert await seen("stream_missing", 1) == [(12, "end")]
    assert await seen("sequence_gap", 1) == [(16, "end")]
    assert await seen("stream_silence", 1) == [(17, "end")]


async def test_stream_late(harness: Harness, account_stream: ClientConnection):
    await switch(harness, "stream_late")
    await harness.place()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(received(account_stream), timeout=0.2)
    assert (await received(account_stream))["type"] == "ORDER"


@pytest.mark.parametrize("name", ["disconnect_mid_frame", "disconnect_before_message"])
async def test_connections_that_break(harness: Harness, account_stream: ClientConnection, name: str):
    await switch(harness, name)
    assert (await harness.place(id="mine")).status_code == 200
    with pytest.raises(ConnectionClosed) as end:
        await account_stream.recv()
    assert end.value.rcvd is None  # no closing handshake
    await switch(harness, "")
    async with harness.stream("/account", account=harness.account) as again:
        messages: list[Any] = [await received(again) for _ in range(3)]
        assert messages[2]["data"]["orders"][0]["externalId"] == "mine"


async def test_unknown_status(harness: Harness, account_stream: ClientConnection):
    await switch(harness, "unknown_status")
    await harness.place()
    assert (await received(account_stream))["data"]["orders"][0]["status"] == "TRIGGERED"


async def test_heartbeat_stops():
    async with running(heartbeat=Heartbeat(ping_every_s=0.02, pong_within_s=1)) as harness:
        await switch(harness, "heartbeat_stops")
        reader, writer = await asyncio.open_connection("127.0.0.1", int(harness.url.rsplit(":", 1)[1]))
        writer.write(
            b"GET /stream.extended.exchange/v1/funding HTTP/1.1\r\nHost: x\r\nUser-Agent: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), timeout=0.2)
        await switch(harness, "")
        assert await asyncio.wait_for(reader.read(1), timeout=5) == b"\x89"
        writer.close()


async def test_a_scenario_that_names_no_fault_is_refused_and_changes_nothing(harness: Harness):
    await switch(harness, "maintenance")
    bodies: list[Any] = [
        {"faults": "nonsense"},
        {"faults": "maintenance:2"},
        {"faults": "maintenance:x"},
        {"faults": 7},
        {},
        [],
    ]
    for body in bodies:
        assert (await harness.http.post("/emulator/faults", json=body)).status_code == 400
    assert (await harness.http.get("/emulator/faults")).json()["on"] == {"maintenance": "1"}
    with pytest.raises(UnknownFault):
        Faults("nonsense", seed=1, catalogue=CATALOGUE)


def test_shares_are_drawn_from_the_seed():
    def drawn(seed: int) -> list[bool]:
        faults = Faults("rate_limited:0.25", seed=seed, catalogue=CATALOGUE)
        return [faults.hits("rate_limited") for _ in range(1_000)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 200 < sum(drawn(1)) < 300
    assert not any(Faults("rate_limited:0", seed=1, catalogue=CATALOGUE).hits("rate_limited") for _ in range(100))


def test_every_fault_was_tried():
    assert len(CATALOGUE) >= 25
    assert set(CATALOGUE) - TESTED == set()
