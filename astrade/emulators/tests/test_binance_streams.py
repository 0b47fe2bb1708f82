"""The market streams: update ids without a gap, klines that close, control messages, and the end of a connection."""

import asyncio
from decimal import Decimal
from itertools import pairwise
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from astrade.emulators.connections import Heartbeat
from astrade.emulators.tests.binance_harness import BTC, BinanceHarness, received, running

MINUTE_MS = 60_000


class LocalBook:
    """Kept as binance-api.md §9 says; raises what a client has to notice."""

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.id = snapshot["lastUpdateId"]
        self.sides = {side: dict(snapshot[side]) for side in ("bids", "asks")}

    def apply(self, event: dict[str, Any]) -> None:
        if event["u"] <= self.id:
            return
        if event["U"] > self.id + 1:
            raise LookupError(f"{event['U']} after {self.id}")
        for name, side in (("b", self.sides["bids"]), ("a", self.sides["asks"])):
            for price, quantity in event[name]:
                side[price] = quantity
                if Decimal(quantity) == 0:
                    del side[price]
        self.id = event["u"]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalBook) and (self.id, self.sides) == (other.id, other.sides)


async def collected(socket: ClientConnection) -> list[Any]:
    """Everything that was sent until now."""
    found = []
    while True:
        try:
            found.append(await asyncio.wait_for(received(socket), timeout=0.05))
        except TimeoutError:
            return found


async def say(socket: ClientConnection, **message: Any) -> Any:
    await socket.send(orjson.dumps(message).decode())
    return await received(socket)


async def snapshot_of(binance: BinanceHarness) -> LocalBook:
    return LocalBook(await binance.get("/depth", symbol=BTC, limit=5000))


@pytest.mark.parametrize(("stream", "events"), [("btcusdt@depth@100ms", 40), ("btcusdt@depth", 4)])
async def test_a_local_book_of_snapshot_and_updates_is_the_exchanges(binance: BinanceHarness, stream: str, events: int):
    """At the slow pace the snapshot falls into the middle of an update: that overlap is no gap."""
    async with binance.stream(f"/ws/{stream}") as socket:
        binance.advance(steps=7)
        book = await snapshot_of(binance)
        binance.advance(steps=40 - 2)
        messages = await collected(socket)
        assert len(messages) in (events + 5, events), "one each 100 ms, or one each second"
        for earlier, later in pairwise(messages):
            assert later["U"] == earlier["u"] + 1
        applicable = [event for event in messages if event["u"] > book.id]
        if stream == "btcusdt@depth":
            assert applicable[0]["U"] < book.id < applicable[0]["u"]
        for event in applicable:
            book.apply(event)
        while book != (now := await snapshot_of(binance)):  # the slow stream tells with the next second
            assert stream == "btcusdt@depth" and book.id < now.id
            binance.advance()
            for event in await collected(socket):
                book.apply(event)


async def test_a_missing_update_is_seen_by_its_numbers(binance: BinanceHarness):
    async with binance.stream("/ws/btcusdt@depth@100ms") as socket:
        book = await snapshot_of(binance)
        await binance.switch("sequence_gap")
        binance.advance()
        assert await collected(socket) == []
        await binance.switch("")
        binance.advance()
        with pytest.raises(LookupError):
            book.apply(await received(socket))


async def test_partial_depth_and_best_prices_are_the_top_of_the_book(binance: BinanceHarness):
    async with binance.stream("/stream?streams=btcusdt@depth5@100ms/btcusdt@bookTicker") as socket:
        binance.advance()
        top = await binance.get("/depth", symbol=BTC, limit=5)
        by_name = {message["stream"]: message["data"] for message in await collected(socket)}
        assert by_name["btcusdt@depth5@100ms"] == top
        best = by_name["btcusdt@bookTicker"]
        assert "e" not in best and "E" not in best
        assert ([best["b"], best["B"]], [best["a"], best["A"]]) == (top["bids"][0], top["asks"][0])


async def test_trades_have_ids_without_a_gap_and_klines_add_them_up(binance: BinanceHarness):
    async with binance.stream("/stream?streams=btcusdt@trade/btcusdt@aggTrade/btcusdt@kline_1m") as socket:
        binance.advance(steps=299)  # almost to the next minute
        await collected(socket)
        binance.advance(steps=700)
        messages = await collected(socket)
    trades = [m["data"] for m in messages if m["stream"] == "btcusdt@trade"]
    aggregates = [m["data"] for m in messages if m["stream"] == "btcusdt@aggTrade"]
    klines = [m["data"]["k"] for m in messages if m["stream"] == "btcusdt@kline_1m"]
    assert [trade["t"] for trade in trades] == list(range(trades[0]["t"], trades[0]["t"] + len(trades)))
    assert [(one["a"], one["p"], one["q"]) for one in aggregates] == [(t["t"], t["p"], t["q"]) for t in trades]
    _, closed = (kline for kline in klines if kline["x"])
    inside = [trade for trade in trades if closed["f"] <= trade["t"] <= closed["L"]]
    assert len(inside) == closed["n"] == closed["L"] - closed["f"] + 1
    assert sum(Decimal(trade["q"]) for trade in inside) == Decimal(closed["v"])
    assert sum(Decimal(trade["q"]) for trade in inside if not trade["m"]) == Decimal(closed["V"])
    assert sum(Decimal(trade["p"]) * Decimal(trade["q"]) for trade in inside) == Decimal(closed["q"])
    assert max(Decimal(trade["p"]) for trade in inside) == Decimal(closed["h"])
    rows = await binance.get("/klines", symbol=BTC, interval="1m", startTime=closed["t"], limit=1)
    assert rows[0][:6] == [closed["t"], *(closed[name] for name in "ohlcv")]
    running = [kline for kline in klines if kline["t"] == closed["t"] + MINUTE_MS]
    assert running and not any(kline["x"] for kline in running)


async def test_tickers_come_once_a_second_with_the_days_figures(binance: BinanceHarness):
    async with binance.stream("/stream?streams=btcusdt@ticker/btcusdt@miniTicker/!miniTicker@arr") as socket:
        binance.advance(steps=20)
        messages = await collected(socket)
        day = await binance.get("/ticker/24hr", symbol=BTC)
    assert [m["stream"] for m in messages] == ["btcusdt@ticker", "btcusdt@miniTicker", "!miniTicker@arr"] * 2
    ticker, mini, every = (message["data"] for message in messages[-3:])
    names = {"c": "lastPrice", "o": "openPrice", "h": "highPrice", "l": "lowPrice", "v": "volume", "q": "quoteVolume"}
    assert {name: ticker[name] for name in names} == {name: mini[name] for name in names}
    assert every == [mini]
    assert {name: ticker[name] for name in names} == {name: day[long] for name, long in names.items()}
    assert (ticker["F"], ticker["L"], ticker["n"]) == (day["firstId"], day["lastId"], day["count"])
    assert day["lastId"] - day["firstId"] + 1 == day["count"]


async def test_control_messages_change_what_comes(binance: BinanceHarness):
    async with binance.stream("/ws") as socket:
        answer = await say(socket, method="SUBSCRIBE", params=["btcusdt@depth@100ms", "nosuch@trade"], id=1)
        assert answer == {"result": None, "id": 1}
        listed = await say(socket, method="LIST_SUBSCRIPTIONS", id="two")
        assert listed == {"result": ["btcusdt@depth@100ms", "nosuch@trade"], "id": "two"}
        binance.advance()
        assert (await received(socket))["e"] == "depthUpdate"
        assert (await say(socket, method="SET_PROPERTY", params=["combined", True], id=3))["result"] is None
        binance.advance()
        assert (await received(socket))["stream"] == "btcusdt@depth@100ms"
        await say(socket, method="UNSUBSCRIBE", params=["btcusdt@depth@100ms"], id=4)
        binance.advance(steps=20)
        assert await collected(socket) == []


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"{", 3),
        (b"[]", 2),
        (b'{"method": "PLEASE", "id": 1}', 2),
        (b'{"method": "SUBSCRIBE", "params": "btcusdt@trade", "id": 1}', 2),
        (b'{"method": "GET_PROPERTY", "params": ["colour"], "id": 1}', 0),
        (b'{"method": "SET_PROPERTY", "params": ["combined", 1], "id": 1}', 1),
    ],
)
async def test_a_bad_control_message_is_answered_and_the_connection_stays(
    binance: BinanceHarness, message: bytes, code: int
):
    async with binance.stream("/ws/btcusdt@depth@100ms") as socket:
        await socket.send(message.decode())
        assert (await received(socket))["code"] == code
        binance.advance()
        assert (await received(socket))["e"] == "depthUpdate"


async def test_who_says_too_much_is_disconnected(binance: BinanceHarness):
    async with binance.stream("/ws") as socket:
        for number in range(5):
            await say(socket, method="LIST_SUBSCRIPTIONS", id=number)
        binance.advance(1_000)
        await say(socket, method="LIST_SUBSCRIPTIONS", id=5)
        with pytest.raises(ConnectionClosed):
            for number in range(6, 12):
                await say(socket, method="LIST_SUBSCRIPTIONS", id=number)


async def test_a_connection_ends_with_a_warning():
    async with running(lifetime_s=0.1) as binance, binance.stream("/stream?streams=btcusdt@trade") as socket:
        last = await received(socket)
        assert last == {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": binance.now_ms}}
        with pytest.raises(ConnectionClosed):
            await received(socket)


async def test_a_client_that_does_not_answer_pings_is_dropped():
    async with (
        running(heartbeat=Heartbeat(ping_every_s=0.05, pong_within_s=0.1)) as binance,
        binance.stream("/ws") as polite,
    ):
        await asyncio.sleep(0.12)
        assert await say(polite, method="LIST_SUBSCRIPTIONS", id=1)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(binance.url.rsplit(":", 1)[1]))
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        writer.write(f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n".encode())
        heard = await asyncio.wait_for(reader.read(), timeout=5)
        assert b"\x89\x00" in heard, "it was pinged, and the connection ended"
        writer.close()
