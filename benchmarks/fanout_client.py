"""Many WebSocket readers in one process: raw asyncio protocols that count frames and time some of them.

It runs by itself (`python -m benchmarks.fanout_client`), takes an `Audience` as JSON on standard input, says `ready`
when all sockets are open, reads until a line comes, and answers a `Heard` as JSON.
"""

import asyncio
import base64
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import cast

import uvloop

MARK = b'"at_us":'  # stands before the time of publication, microseconds of 16 digits
TIMED_ONE_IN = 20


@dataclass(frozen=True)
class Audience:
    """How many sockets on which address."""

    port: int
    path: str
    sockets: int


@dataclass
class Heard:
    """Frames that bear a time, over all sockets, and by the socket that got fewest; latencies of every twentieth socket
    in milliseconds.
    """

    frames: int = 0
    fewest: int = 0
    closed: int = 0
    latencies_ms: list[float] = field(default_factory=list)


class Reader(asyncio.Protocol):
    """One socket: the handshake, then frames, of which only the time is looked at."""

    def __init__(self, *, audience: Audience, heard: Heard, is_timed: bool) -> None:
        self._audience, self._heard, self._is_timed = audience, heard, is_timed
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.frames = 0
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {self._audience.path} HTTP/1.1", f"Host: 127.0.0.1:{self._audience.port}"]
        lines += ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        cast(asyncio.Transport, transport).write("\r\n".join([*lines, "", ""]).encode())

    def data_received(self, data: bytes) -> None:
        if not self.open.done():
            self._rest += data
            head, end, rest = self._rest.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head:
                self.open.set_exception(ConnectionError(head.decode("latin-1")[:200]))
                return
            self.open.set_result(None)
            data, self._rest = rest, b""
        data = self._rest + data
        self._rest = data[-len(MARK) - 16 :]  # a time may be cut in two; one that wasn't is not counted again
        self._count(data)

    def _count(self, data: bytes) -> None:
        at = data.find(MARK)
        while at >= 0 and at + len(MARK) + 16 <= len(data):
            end = at + len(MARK) + 16
            self.frames += 1
            if self._is_timed:
                self._heard.latencies_ms.append(time.time() * 1000 - int(data[at + len(MARK) : end]) / 1000)
            if end > len(data) - len(self._rest):
                self._rest = data[end:]
            at = data.find(MARK, end)

    def connection_lost(self, exc: Exception | None) -> None:
        self._heard.closed += 1


async def listen(audience: Audience) -> Heard:
    """Open all sockets, read until standard input has a line."""
    heard, readers, loop = Heard(), list[Reader](), asyncio.get_running_loop()
    for number in range(audience.sockets):
        is_timed = number % TIMED_ONE_IN == 0
        _, reader = await loop.create_connection(
            lambda is_timed=is_timed: Reader(audience=audience, heard=heard, is_timed=is_timed),  # type: ignore[misc]
            "127.0.0.1",
            audience.port,
        )
        await reader.open
        readers.append(reader)
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    heard.frames = sum(reader.frames for reader in readers)
    heard.fewest = min(reader.frames for reader in readers)
    return heard


def main() -> None:
    audience = Audience(**json.loads(sys.stdin.readline()))
    print(json.dumps(asdict(uvloop.run(listen(audience)))), flush=True)


if __name__ == "__main__":
    main()
