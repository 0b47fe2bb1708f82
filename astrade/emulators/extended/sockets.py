"""WebSocket v1: one stream a connection, named by its path (extended-api.md §9), and the faults of streams."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, MutableSet, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from astrade.emulators.extended import tape
from astrade.emulators.extended.exchange import Exchange
from astrade.emulators.extended.hub import Inbox, News, Topic
from astrade.emulators.extended.prices import INTERVALS_MS

LATE_S = 0.5
TEXT_FRAME, LENGTH_16_BITS = 0x81, 126  # RFC 6455: a whole text message whose length stands in two bytes
UNKNOWN_STATUS = "TRIGGERED"  # documented, and not in the SDK's enum
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The server pings each `ping_every_s` and drops who hasn't ponged within `pong_within_s`."""

    ping_every_s: float
    pong_within_s: float


HEARTBEAT = Heartbeat(ping_every_s=15, pong_within_s=10)
OPEN: web.AppKey[MutableSet[web.WebSocketResponse]] = web.AppKey("open")


class Connection(ABC):
    """A client's socket: sends what its inbox brings, keeps it alive, breaks it where a fault says so."""

    first_seq = 1

    def __init__(self, exchange: Exchange, request: web.Request, heartbeat: Heartbeat) -> None:
        self.exchange, self.inbox = exchange, Inbox()
        self._request, self._heartbeat = request, heartbeat
        self._socket = web.WebSocketResponse(autoping=False, timeout=heartbeat.pong_within_s)
        self._ponged = asyncio.Event()
        self._seq = self.first_seq
        self._held_back: str | None = None
        self._topics: list[Topic] = []

    @abstractmethod
    def envelope(self, news: News, seq: int) -> Json:
        """A message as it is sent."""

    def wants(self, news: News) -> bool:
        """Whether it is still to be sent when its turn comes."""
        return True

    @abstractmethod
    async def received(self, message: str) -> None:
        """What the client sent."""

    def listen(self, topics: Sequence[Topic], first: Sequence[News]) -> None:
        """Get `first` and, from now on, the topics' news."""
        for news in first:
            self.inbox.put_nowait(news)
        for topic in topics:
            self.exchange.hub.subscribe(topic, self.inbox)
            self._topics.append(topic)

    def ignore(self, topics: Sequence[Topic]) -> None:
        """No more of these topics."""
        for topic in topics:
            self.exchange.hub.unsubscribe(topic, self.inbox)
            self._topics.remove(topic)

    async def serve(self) -> web.StreamResponse:
        """Until one side closes."""
        await self._socket.prepare(self._request)
        self._request.app[OPEN].add(self._socket)
        tasks = [asyncio.create_task(work()) for work in (self._send_news, self._receive, self._beat)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.ignore(list(self._topics))
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(ConnectionError):
                await self._socket.close()
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, ConnectionError):
                raise end
        return self._socket

    async def send(self, body: Json) -> None:
        """Send something that is no news and has no number."""
        await self._socket.send_str(orjson.dumps(body).decode())

    async def _send_news(self) -> None:
        while True:
            await self._send_one(await self.inbox.get())

    async def _send_one(self, news: News) -> None:
        hits = self.exchange.faults.hits
        if not self.wants(news) or hits("stream_silence") or hits("stream_missing"):
            return
        seq, self._seq = self._seq, self._seq + 1
        if hits("sequence_gap"):
            return
        if hits("unknown_status"):
            news = _with_unknown_status(news)
        text = orjson.dumps(self.envelope(news, seq)).decode()
        if hits("disconnect_before_message"):
            self._break_off(b"")
        if hits("disconnect_mid_frame"):
            self._break_off(_half_a_frame(text.encode()))
        if hits("stream_late"):
            await asyncio.sleep(LATE_S)
        if hits("stream_reorder") and self._held_back is None:
            self._held_back = text
            return
        await self._socket.send_str(text)
        if hits("stream_duplicate"):
            await self._socket.send_str(text)
        if self._held_back is not None:
            text, self._held_back = self._held_back, None
            await self._socket.send_str(text)

    def _break_off(self, last: bytes) -> None:
        transport = self._request.transport
        if transport is not None:
            transport.write(last)
            transport.close()
        raise ConnectionResetError("broken off by a fault")

    async def _receive(self) -> None:
        async for message in self._socket:
            await self._take(message)

    async def _take(self, message: WSMessage) -> None:
        if message.type is WSMsgType.PING:
            await self._socket.pong(message.data)
        elif message.type is WSMsgType.PONG:
            self._ponged.set()
        elif message.type is WSMsgType.TEXT:
            await self.received(message.data)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat.ping_every_s)
            if self.exchange.faults.is_on("heartbeat_stops"):
                continue
            self._ponged.clear()
            await self._socket.ping()
            try:
                await asyncio.wait_for(self._ponged.wait(), self._heartbeat.pong_within_s)
            except TimeoutError:
                return


class Stream(Connection):
    """A v1 connection: its topics are those of its path, and what the client sends is ignored."""

    def envelope(self, news: News, seq: int) -> Json:
        kind: Json = {} if news.kind is None else {"type": news.kind}
        return kind | {"data": news.data, "ts": news.at_ms, "seq": seq}

    async def received(self, message: str) -> None:
        """Nothing is expected."""


def routes(exchange: Exchange, *, prefix: str, heartbeat: Heartbeat) -> list[web.RouteDef]:
    """The v1 paths; a market that is left out means all of them."""

    def stream(
        topics_of: Callable[[web.Request], list[Topic]],
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            if exchange.faults.hits("stream_refused"):
                raise web.HTTPServiceUnavailable
            connection = Stream(exchange, request, heartbeat)
            topics = topics_of(request)
            connection.listen(topics, first_of(exchange, topics))
            return await connection.serve()

        return handle

    paths = {
        "/orderbooks": stream(lambda r: _all(exchange, r, tape.TOP if r.query.get("depth") == "1" else tape.BOOK)),
        "/publicTrades": stream(lambda r: _all(exchange, r, tape.TRADES)),
        "/funding": stream(lambda r: _all(exchange, r, tape.FUNDING)),
        "/prices/mark": stream(lambda r: _all(exchange, r, tape.MARK)),
        "/prices/index": stream(lambda r: _all(exchange, r, tape.INDEX)),
    }
    listed = [web.get(prefix + path + end, handle) for path, handle in paths.items() for end in ("", "/{market}")]
    return [
        *listed,
        web.get(prefix + "/candles/{market}/{type}", stream(lambda r: [_candles(exchange, r)])),
        web.get(prefix + "/account", stream(lambda r: [_account(exchange, r)])),
    ]


async def close_all(application: web.Application) -> None:
    """Say goodbye on every open socket."""
    sockets = application[OPEN]
    for socket in tuple(sockets):
        with contextlib.suppress(ConnectionError):
            await socket.close(code=WSCloseCode.GOING_AWAY)


def first_of(exchange: Exchange, topics: Sequence[Topic]) -> list[News]:
    """What a new listener of `topics` gets at once."""
    found: list[News] = []
    for topic in topics:
        if topic[0] == "account":
            found += exchange.first_news(exchange.accounts[int(topic[1])])
        else:
            found += tape.first_news(exchange.prices.markets[topic[1]], topic, now_ms=exchange.now_ms())
    return found


def _all(exchange: Exchange, request: web.Request, scope: str) -> list[Topic]:
    market = request.match_info.get("market")
    if market is not None and market not in exchange.instruments:
        raise web.HTTPNotFound
    return [(scope, name) for name in exchange.instruments if market in (None, name)]


def _candles(exchange: Exchange, request: web.Request) -> Topic:
    market, kind = request.match_info["market"], request.match_info["type"]
    interval = request.query.get("interval", "")
    if market not in exchange.instruments or kind not in tape.KINDS or interval not in INTERVALS_MS:
        raise web.HTTPNotFound
    return (tape.CANDLES, market, kind, interval)


def _account(exchange: Exchange, request: web.Request) -> Topic:
    account = exchange.account_of(request.headers.get("X-Api-Key"))
    if account is None:
        raise web.HTTPUnauthorized
    return ("account", str(account.id))


def _with_unknown_status(news: News) -> News:
    if news.kind != "ORDER":
        return news
    orders = [order | {"status": UNKNOWN_STATUS} for order in news.data["orders"]]
    return News(news.topic, news.kind, {"orders": orders}, news.at_ms, news.is_first)


def _half_a_frame(payload: bytes) -> bytes:
    return bytes([TEXT_FRAME, LENGTH_16_BITS]) + len(payload).to_bytes(2) + payload[: len(payload) // 2]
