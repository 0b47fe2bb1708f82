"""A client's WebSocket at an emulated venue: news as they come, a heartbeat, and the faults of streams."""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, MutableSet, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from astrade.emulators.faults import Faults
from astrade.emulators.hub import Hub, Inbox, News, Topic

LATE_S = 0.5
TEXT_FRAME, LENGTH_16_BITS = 0x81, 126  # RFC 6455: a whole text message whose length stands in two bytes
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The server pings each `ping_every_s` and drops who hasn't ponged within `pong_within_s`."""

    ping_every_s: float
    pong_within_s: float


class Connection(ABC):
    """A client's socket: sends what its inbox brings, keeps it alive, breaks it where a fault says so."""

    first_seq = 1

    def __init__(self, request: web.Request, *, hub: Hub, faults: Faults, heartbeat: Heartbeat) -> None:
        self.inbox = Inbox()
        self._request, self._hub, self._faults, self._heartbeat = request, hub, faults, heartbeat
        self._socket = web.WebSocketResponse(autoping=False, timeout=heartbeat.pong_within_s)
        self._ponged = asyncio.Event()
        self._seq = self.first_seq
        self._held_back: str | None = None
        self._topics: list[Topic] = []

    @abstractmethod
    def envelope(self, news: News, seq: int) -> Any:
        """A message as it is sent."""

    def wants(self, news: News) -> bool:
        """Whether it is still to be sent when its turn comes."""
        return True

    def altered(self, news: News) -> News:
        """What is sent instead, where a fault of the venue's own says so."""
        return news

    def is_numbered(self, news: News) -> bool:
        """Whether leaving it out is seen by a number that is missing."""
        return True

    @abstractmethod
    async def received(self, message: str) -> None:
        """What the client sent."""

    def listen(self, topics: Sequence[Topic], first: Sequence[News]) -> None:
        """Get `first` and, from now on, the topics' news."""
        for news in first:
            self.inbox.put_nowait(news)
        for topic in topics:
            self._hub.subscribe(topic, self.inbox)
            self._topics.append(topic)

    def ignore(self, topics: Sequence[Topic]) -> None:
        """No more of these topics."""
        for topic in topics:
            self._hub.unsubscribe(topic, self.inbox)
            self._topics.remove(topic)

    async def serve(self) -> web.StreamResponse:
        """Until one side closes."""
        await self._socket.prepare(self._request)
        self._request.app[OPEN].add(self)
        tasks = [asyncio.ensure_future(work()) for work in self.works()]
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

    def works(self) -> Sequence[Callable[[], Awaitable[None]]]:
        """What goes on while it is open; it is closed when the first of them ends."""
        return self._send_news, self._receive, self._beat

    def goodbye(self) -> Any:
        """What is said before it is closed from this side; None for nothing."""
        return None

    async def leave(self) -> None:
        """Say goodbye."""
        if (last := self.goodbye()) is not None:
            await self.send(last)

    async def close(self) -> None:
        """The venue goes away."""
        with contextlib.suppress(ConnectionError):
            await self.leave()
            await self._socket.close(code=WSCloseCode.GOING_AWAY)

    async def send(self, body: Json) -> None:
        """Send something that is no news and has no number."""
        await self._socket.send_str(orjson.dumps(body).decode())

    async def _send_news(self) -> None:
        while True:
            await self.deliver(await self.inbox.get())

    async def deliver(self, news: News) -> None:
        """Send one of what the topics brought, as the faults let it."""
        hits = self._faults.hits
        if not self.wants(news) or hits("stream_silence") or hits("stream_missing"):
            return
        seq, self._seq = self._seq, self._seq + 1
        if self.is_numbered(news) and hits("sequence_gap"):
            return
        text = orjson.dumps(self.envelope(self.altered(news), seq)).decode()
        if hits("disconnect_before_message"):
            self.break_off(b"")
        if hits("disconnect_mid_frame"):
            self.break_off(_half_a_frame(text.encode()))
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

    def break_off(self, last: bytes) -> None:
        """End the connection without a word but `last`. Raises ConnectionResetError."""
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
            if self._faults.is_on("heartbeat_stops"):
                continue
            self._ponged.clear()
            await self._socket.ping()
            try:
                await asyncio.wait_for(self._ponged.wait(), self._heartbeat.pong_within_s)
            except TimeoutError:
                return


OPEN: web.AppKey[MutableSet[Connection]] = web.AppKey("open")


async def close_all(application: web.Application) -> None:
    """Say goodbye on every open socket."""
    connections = application[OPEN]
    for connection in tuple(connections):
        await connection.close()


def _half_a_frame(payload: bytes) -> bytes:
    return bytes([TEXT_FRAME, LENGTH_16_BITS]) + len(payload).to_bytes(2) + payload[: len(payload) // 2]
