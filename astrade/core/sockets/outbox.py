"""What waits to be written to one socket: bounded, and emptied by one writer task. What nothing stands before doesn't
wait where the server takes it at once (`astrade.core.sockets.server`).

Plain frames (answers, account data) keep their order; when they exceed the limits their reader is too slow and the
socket is closed. Market streams wait as `Subscription`s, which hold little and are cut to their latest state instead.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from astrade.core.sockets.metrics import DROPPED, SENT
from astrade.core.sockets.protocol import Frame

MAX_FRAMES = 1000
MAX_BYTES = 1 << 20
Send = Callable[[str], Awaitable[None]]
Close = Callable[[int, str], Awaitable[None]]
Write = Callable[[bytes], bool]  # a whole frame; False where it would have to wait


class Source(Protocol):
    """A stream that says what to send when its turn comes."""

    waiting: bool

    async def take(self) -> Frame | None:
        """The next frame, None when there is none now."""

    @property
    def has_more(self) -> bool:
        """Whether another turn is wanted."""


class Outbox:
    """Filled without waiting by whoever has news, emptied by `run`."""

    written = 0  # frames of all sockets since they were last counted

    def __init__(self, *, on_overflow: Callable[[], None], write: Write | None = None) -> None:
        self._on_overflow, self._write = on_overflow, write
        self._is_idle = False  # nothing is queued, and the writer is in the middle of nothing
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._sources: deque[Source] = deque()
        self._news = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._farewell: tuple[int, str] | None = None

    def write(self, frame: Frame) -> bool:
        """Send a frame now; False where it has to wait for its turn, and nothing was done."""
        if self._is_idle and self._write is not None and self._write(frame.wire):
            Outbox.written += 1
            return True
        return False

    def put(self, frame: Frame) -> bool:
        """Send or queue a frame; False when the socket is closing or its reader is too slow, which closes it."""
        if self._farewell is not None:
            return False
        if self.write(frame):
            return True
        if len(self._frames) >= MAX_FRAMES or self._bytes + frame.size > MAX_BYTES:
            DROPPED.inc(len(self._frames) + 1)
            self._forget()
            self._on_overflow()
            return False
        self._frames.append(frame)
        self._bytes += frame.size
        if len(self._frames) * 2 > MAX_FRAMES or self._bytes * 2 > MAX_BYTES:
            self._drained.clear()
        self._wake()
        return True

    def _wake(self) -> None:
        self._is_idle = False
        self._news.set()

    def mark(self, source: Source) -> None:
        """Give `source` a turn."""
        if not source.waiting and self._farewell is None:
            source.waiting = True
            self._sources.append(source)
            self._wake()

    async def drained(self) -> None:
        """Return once at least half of the room is free; for those who read ahead from the database."""
        await self._drained.wait()

    def finish(self, *, code: int, reason: str) -> None:
        """Send what is queued, then close; nothing is taken any more."""
        if self._farewell is None:
            self._farewell = (code, reason)
            self._sources.clear()
            self._wake()
            self._drained.set()

    def _forget(self) -> None:
        self._frames.clear()
        self._bytes = 0
        self._drained.set()

    async def run(self, send: Send, close: Close) -> None:
        """Write until `finish`, one frame at a time, streams in turn."""
        while True:
            if self._frames:
                await self._send_frame(send)
            if self._sources:
                await self._serve(self._sources.popleft(), send)
            if self._frames or self._sources:
                continue
            if self._farewell is not None:
                await close(*self._farewell)
                return
            self._news.clear()
            self._is_idle = True
            await self._news.wait()

    async def _send_frame(self, send: Send) -> None:
        frame = self._frames.popleft()
        self._bytes -= frame.size
        if len(self._frames) * 2 <= MAX_FRAMES and self._bytes * 2 <= MAX_BYTES:
            self._drained.set()
        await send(frame.text)
        Outbox.written += 1

    async def _serve(self, source: Source, send: Send) -> None:
        source.waiting = False
        frame = await source.take()
        if frame is not None:
            await send(frame.text)
            Outbox.written += 1
        if source.has_more:
            self.mark(source)


def count_written() -> None:
    """Tell the metrics what was written since; a counter of theirs takes longer than writing a frame's bytes."""
    written, Outbox.written = Outbox.written, 0
    SENT.inc(written)
