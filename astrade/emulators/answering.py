"""How a venue's HTTP answers reach a client, and the faults that befall them on the way."""

import asyncio
import contextlib
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from email.utils import formatdate

from aiohttp import web

from astrade.emulators.faults import AFTER, BEFORE, Faults

READS_KEPT = 1_000
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


class Answering:
    """Sends answers. `hang_s` is how long a request hangs that is never answered, `byte_every_s` the pace of a slow
    answer."""

    def __init__(self, faults: Faults, now_ms: Callable[[], int], *, hang_s: float, byte_every_s: float) -> None:
        self._faults, self._now_ms, self._hang_s, self._byte_every_s = faults, now_ms, hang_s, byte_every_s
        self._reads: OrderedDict[Hashable, bytes] = OrderedDict()

    def earlier(self, key: Hashable) -> bytes | None:
        """What the same read was answered before, while snapshots are stale."""
        return self._reads[key] if key in self._reads and self._faults.hits("stale_snapshot") else None

    def keep(self, key: Hashable, body: bytes) -> None:
        """Remember a read's answer, unless snapshots are stale."""
        if self._faults.is_on("stale_snapshot"):
            return
        self._reads[key] = body
        self._reads.move_to_end(key)
        if len(self._reads) > READS_KEPT:
            self._reads.popitem(last=False)

    def broken_before(self, request: web.Request) -> web.StreamResponse | None:
        """What a change gets that isn't carried out."""
        if self._faults.hits("reset_before_accept"):
            return reset(request)
        status = self._faults.first_hit(BEFORE)
        return None if status is None else gateway_error(status)

    async def broken_after(self, request: web.Request, *, carry_out: Callable[[], None]) -> web.StreamResponse | None:
        """What a change gets instead of its answer; `carry_out` is what else was to follow the answer."""
        if self._faults.hits("accept_then_timeout"):
            carry_out()
            return await self.hang(request)
        if self._faults.hits("reset_after_accept"):
            return reset(request)
        status = self._faults.first_hit(AFTER)
        return None if status is None else gateway_error(status)

    async def hang(self, request: web.Request) -> web.StreamResponse:
        """Say nothing for long, then break off."""
        await asyncio.sleep(self._hang_s)
        return reset(request)

    async def send(
        self, request: web.Request, body: bytes, *, status: int, headers: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        """The answer, as whole and as fast as the faults let it be."""
        hits = self._faults.hits
        content_type = "text/html" if hits("wrong_content_type") else "application/json"
        if hits("empty_answer"):
            body = b""
        elif hits("truncated_json"):
            body = body[: len(body) // 2]
        pause_s = self._byte_every_s if hits("slow_loris") else 0
        date = formatdate(self._now_ms() // 1000, usegmt=True)
        response = web.StreamResponse(
            status=status, headers={"Content-Type": content_type, "Date": date, **(headers or {})}
        )
        response.content_length = len(body)
        with contextlib.suppress(ConnectionError):  # whoever left hears nothing
            await response.prepare(request)
            for part in _parts(body, size=1 if pause_s else len(body)):
                await response.write(part)
                await asyncio.sleep(pause_s)
            await response.write_eof()
        return response


def reset(request: web.Request) -> web.Response:
    """Break the connection off so that the client sees a reset; what is returned goes nowhere."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        request.transport.abort()
    return web.Response()


def gateway_error(status: int) -> web.Response:
    """A page of whatever stands before the venue."""
    return web.Response(status=status, text=f"<html><h1>{status}</h1></html>", content_type="text/html")


def _parts(body: bytes, *, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)] if body else []
