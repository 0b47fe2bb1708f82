"""Streams over real sockets: v1, one a connection, and v2 with all in one."""

import asyncio
from decimal import Decimal
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from astrade.core.clock import to_ms
from astrade.emulators.connections import Heartbeat
from astrade.emulators.tests.harness import BTC, Harness, received, received_until, running

Levels = dict[str, Decimal]


def added_up(levels: Levels, changes: list[dict[str, str]]) -> None:
    """As the official client does it: by adding changes, deleting at 0; each result must be the absolute size told."""
    for change in changes:
        price, size = change["p"], levels_of(levels, change["p"]) + Decimal(change["q"])
        assert size == Decimal(change["c"])
        if size:
            levels[price] = size
        else:
            del levels[price]


def levels_of(levels: Levels, price: str) -> Decimal:
    return levels.get(price, Decimal(0))


async def test_a_book_added_up_from_its_changes_is_the_book(harness: Harness):
    async with harness.stream(f"/orderbooks/{BTC}") as socket:
        books: tuple[Levels, Levels] = ({}, {})
        kinds = []
        for number in range(1, 41):
            if number > 1:
                harness.advance(1_000)
            message = await received(socket)
            assert message["seq"] == number
            assert message["type"] == message["data"]["t"]
            kinds.append(message["type"])
            if message["type"] == "SNAPSHOT":
                books = ({}, {})
            for levels, side in zip(books, ("b", "a"), strict=True):
                added_up(levels, message["data"][side])
        for levels, side in zip(books, (harness.book.bids, harness.book.asks), strict=True):
            assert {Decimal(price): size for price, size in levels.items()} == dict(side)
        snapshots = [number for number, kind in enumerate(kinds) if kind == "SNAPSHOT"]
        assert snapshots == [0, 30]  # at first, and when the minute was full


async def test_the_whole_book_comes_again_each_minute(harness: Harness):
    async with harness.stream(f"/orderbooks/{BTC}") as socket:
        kinds = []
        for _ in range(120):
            harness.advance(1_000)
        for _ in range(121):
            message = await received(socket)
            if message["type"] == "SNAPSHOT":
                kinds.append(message["ts"] // 60_000)
        first = to_ms(harness.clock()) // 60_000 - 2
        assert kinds == [first, first + 1, first + 2]


async def test_all_markets_share_one_connection_and_its_numbers():
    async with running(symbols=(BTC, "ETH-USD")) as harness, harness.stream("/orderbooks") as socket:
        harness.advance()
        messages = [await received(socket) for _ in range(4)]
        assert [message["seq"] for message in messages] == [1, 2, 3, 4]
        assert [message["data"]["m"] for message in messages] == [BTC, "ETH-USD"] * 2


async def test_depth_one_is_snapshots_of_the_best_level(harness: Harness):
    async with harness.stream(f"/orderbooks/{BTC}?depth=1") as socket:
        harness.advance(1_000, steps=5)
        for _ in range(3):
            message = await received(socket)
            assert message["type"] == "SNAPSHOT"
            assert [len(message["data"][side]) for side in "ab"] == [1, 1]


async def test_trades_prices_candles_and_funding(harness: Harness):
    paths = (
        "/publicTrades",
        f"/prices/mark/{BTC}",
        "/prices/index",
        f"/candles/{BTC}/trades?interval=PT1M",
        "/funding",
    )
    sockets = [await harness.stream(path) for path in paths]
    trades, mark, index, candles, funding = sockets
    harness.advance(1_000, steps=3)
    harness.advance(3_600_000)

    batch = await received(trades)
    assert "type" not in batch
    assert batch["data"][0].keys() == {"i", "m", "S", "tT", "T", "p", "q"}
    for socket, kind in ((mark, "MP"), (index, "IP")):
        message = await received(socket)
        assert (message["type"], message["seq"], message["data"]["m"]) == (kind, 1, BTC)
    first = await received(candles)
    assert first["data"][0].keys() == {"o", "h", "l", "c", "v", "T"}
    applied = await received(funding)
    assert applied["data"].keys() == {"m", "T", "f"}
    assert applied["data"]["T"] % 3_600_000 == 0
    for socket in sockets:
        await socket.close()


async def test_the_account_stream_begins_with_the_whole_state_even_if_empty(harness: Harness):
    async with harness.stream("/account", account=harness.account) as socket:
        first = [await received(socket) for _ in range(3)]
        assert [(message["type"], message["seq"]) for message in first] == [
            ("BALANCE", 1),
            ("POSITION", 2),
            ("ORDER", 3),
        ]
        assert (first[1]["data"], first[2]["data"]) == ({"positions": []}, {"orders": []})


async def test_an_order_is_answered_before_it_is_told_of(harness: Harness):
    async with harness.stream("/account", account=harness.account) as socket:
        for _ in range(3):
            await received(socket)
        placed = (await harness.place(id="mine")).json()["data"]
        (order,) = (await received(socket))["data"]["orders"]
        assert (order["id"], order["externalId"], order["status"]) == (placed["id"], "mine", "NEW")


async def test_a_fill_is_told_as_order_trade_position_and_balance(harness: Harness):
    async with harness.stream("/account", account=harness.account) as socket:
        for _ in range(3):
            await received(socket)
        await harness.take("BUY", "0.01", id="mine")
        messages = [await received(socket) for _ in range(4)]

        order, trade, position, balance = (message["data"] for message in messages)
        assert [message["type"] for message in messages] == ["ORDER", "TRADE", "POSITION", "BALANCE"]
        assert order["orders"][0]["status"] == "FILLED"
        assert trade["trades"][0]["externalOrderId"] == "mine"
        assert position["positions"][0]["size"] == "0.01"
        assert balance["balance"]["balance"] == str(harness.account.balance)

        await harness.take("SELL", "0.01")
        closed = (await received_until(socket, "POSITION"))["data"]["positions"][0]
        assert (closed["status"], closed["size"]) == ("CLOSED", "0")


async def test_a_trigger_has_another_key_on_the_stream(harness: Harness):
    trigger = {"triggerPrice": "90000", "triggerPriceType": "MARK", "direction": "UP", "executionPriceType": "LIMIT"}
    async with harness.stream("/account", account=harness.account) as socket:
        for _ in range(3):
            await received(socket)
        order = await harness.placed(type="CONDITIONAL", price="90000", trigger=trigger)
        told = (await received(socket))["data"]["orders"][0]
    assert (order["trigger"]["triggerPriceDirection"], told["trigger"]["direction"]) == ("UP", "UP")
    assert "direction" not in order["trigger"]


async def test_an_account_hears_nothing_of_another(harness: Harness):
    async with harness.stream("/account", account=harness.second) as socket:
        for _ in range(3):
            await received(socket)
        await harness.take()
        await harness.place(id="own", account=harness.second)
        (order,) = (await received(socket))["data"]["orders"]
        assert order["externalId"] == "own"


@pytest.mark.parametrize(
    ("path", "status"),
    [("/account", 401), ("/orderbooks/NO-USD", 404), (f"/candles/{BTC}/trades?interval=PT3M", 404)],
)
async def test_streams_that_are_not_there(harness: Harness, path: str, status: int):
    with pytest.raises(InvalidStatus) as refusal:
        await harness.stream(path)
    assert refusal.value.response.status_code == status


async def test_a_stream_needs_a_user_agent(harness: Harness):
    url = harness.url.replace("http", "ws", 1) + "/stream.extended.exchange/v1/orderbooks"
    with pytest.raises(InvalidStatus) as refusal:
        await connect(url, user_agent_header=None)
    assert refusal.value.response.status_code == 403


async def test_the_server_pings_and_drops_who_does_not_answer():
    async with running(heartbeat=Heartbeat(ping_every_s=0.05, pong_within_s=0.1)) as harness:
        async with harness.stream("/funding") as socket:
            await asyncio.sleep(0.3)
            await (await socket.ping())
        reader, writer = await asyncio.open_connection("127.0.0.1", int(harness.url.rsplit(":", 1)[1]))
        writer.write(
            b"GET /stream.extended.exchange/v1/funding HTTP/1.1\r\nHost: x\r\nUser-Agent: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await reader.readuntil(b"\r\n\r\n")
        frames = await asyncio.wait_for(reader.read(), timeout=5)  # to the end: it was dropped
        assert frames.startswith(b"\x89\x00")
        writer.close()


class Rpc:
    """A v2 client in a few lines."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.news: list[Any] = []

    async def call(self, method: str, **params: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": "1", "method": method} | ({"params": params} if params else {})
        await self.socket.send(orjson.dumps(request).decode())
        while "id" not in (message := await received(self.socket)):
            self.news.append(message)
        return message


async def test_one_rpc_connection_counts_from_0_over_all_its_subscriptions(harness: Harness):
    account = harness.account
    async with harness.stream("/rpc", version="v2") as socket:
        rpc = Rpc(socket)
        book = await rpc.call("subscribe", scope="orderbooks", selector={"market": BTC, "depth": "full"})
        await rpc.call("subscribe", scope="account", selector={"account": str(account.id)}, apiKey=account.api_key)
        await rpc.call("subscribe", scope="prices", selector={"type": "mark", "market": None})
        await rpc.call("subscribe", scope="candles", selector={"type": "last", "market": BTC, "interval": "PT1M"})
        await rpc.call("subscribe", scope="trades", selector={"market": None})
        listed = await rpc.call("list-subscriptions")
        harness.advance(1_000)
        await harness.place()
        while not rpc.news or rpc.news[-1]["type"] != "ACCOUNT.ORDER" or rpc.news[-1]["data"]["isSnapshot"]:
            rpc.news.append(await received(socket))

    assert book["result"]["subscription"] == f"orderbooks.{BTC}"
    assert listed["result"]["subscriptions"] == [
        f"orderbooks.{BTC}",
        f"account.{account.id}",
        "prices.mark.all",
        f"candles.last.{BTC}.PT1M",
        "trades.all",
    ]
    assert [message["seq"] for message in rpc.news] == list(range(len(rpc.news)))
    assert {message["type"] for message in rpc.news} >= {
        "ORDERBOOKS.SNAPSHOT",
        "ORDERBOOKS.DELTA",
        "ACCOUNT.BALANCE",
        "ACCOUNT.ORDER",
        "PRICES.MP",
        "CANDLES",
    }
    assert rpc.news[0]["data"]["d"] == "f"


async def test_rpc_requests_that_cannot_be_answered_have_their_numbers(harness: Harness):
    async with harness.stream("/rpc", version="v2") as socket:
        rpc = Rpc(socket)
        for method, params, code in (
            ("listen", {}, -32601),
            ("subscribe", {}, -32602),
            ("subscribe", {"scope": "gossip", "selector": {}}, -32602),
            ("subscribe", {"scope": ["trades"], "selector": {}}, -32602),
            ("subscribe", {"scope": "trades", "selector": {"market": "NO-USD"}}, -32602),
            ("subscribe", {"scope": "orderbooks", "selector": {"depth": "7"}}, -32602),
            ("subscribe", {"scope": "account", "selector": {"account": "1"}, "apiKey": "wrong"}, -32001),
            (
                "subscribe",
                {
                    "scope": "account",
                    "selector": {"account": str(harness.second.id)},
                    "apiKey": harness.account.api_key,
                },
                -32001,
            ),
        ):
            assert (await rpc.call(method, **params))["error"]["code"] == code, params
        for text, code in (("{", -32700), ("[]", -32600)):
            await socket.send(text)
            assert (await received(socket))["error"]["code"] == code
        assert (await rpc.call("ping"))["result"] == {}


async def test_an_unsubscribed_topic_falls_silent_and_takes_no_number(harness: Harness):
    async with harness.stream("/rpc", version="v2") as socket:
        rpc = Rpc(socket)
        for kind in ("mark", "index"):
            await rpc.call("subscribe", scope="prices", selector={"type": kind, "market": BTC})
        await rpc.call("unsubscribe", scope="prices", selector={"type": "mark", "market": BTC})
        harness.advance(steps=2)
        news = [await received(socket) for _ in range(2)]
        assert [(message["type"], message["seq"]) for message in news] == [("PRICES.IP", 0), ("PRICES.IP", 1)]


async def test_a_closed_connection_is_forgotten(harness: Harness):
    async with harness.stream("/account", account=harness.account):
        assert harness.exchange.hub.topics("account") == [("account", str(harness.account.id))]
    for _ in range(100):
        if not harness.exchange.hub.topics("account"):
            break
        await asyncio.sleep(0.01)
    assert harness.exchange.hub.topics("account") == []


async def test_an_emulator_that_stops_closes_its_streams():
    async with running() as harness:
        socket = await harness.stream("/funding")
    with pytest.raises(ConnectionClosed):
        await socket.recv()
