"""A market stream on one socket: forwards what comes, and what its reader is too slow for becomes the latest state.

    Subscription(load=…)        tickers, trades, candles, funding: begins by `load`, conflated to the newest
    BookSubscription(load=…)    order books: begins with a snapshot; after a gap or conflation with a fresh one again

`load` is awaited in the writer's turn, so a snapshot is always younger than the frames that waited before it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from astrade.core.sockets.metrics import CONFLATED
from astrade.core.sockets.outbox import Outbox
from astrade.core.sockets.protocol import Frame

PENDING_MAX = 64
RELOAD_AFTER_S = 0.25  # between two loads of one stream
STALE_DELTAS_MAX = 20  # as many old deltas in a row are not late but a feed that began anew
Load = Callable[[], Awaitable[Sequence[Frame]]]


class Subscription:
    """Waits in an outbox for its turn; a `Source` there, a `Listener` at the hub."""

    def __init__(self, *, outbox: Outbox, load: Load, active: Callable[[], None]) -> None:
        self.waiting = False
        self._outbox = outbox
        self._load = load
        self._active = active
        self._pending: deque[Frame] = deque()
        self._wants_load = True
        self._loaded_at = 0.0
        self._started = self._ended = False

    def start(self) -> None:
        """Send the first frames; call once the hub delivers, until then frames wait. A second call does nothing."""
        if not self._started:
            self._started = True
            self._outbox.mark(self)

    def end(self) -> None:
        """Send nothing more."""
        self._ended = True
        self._pending.clear()

    def deliver(self, channel: str, frame: Frame) -> None:
        """A frame was published."""
        self._active()
        is_next = self._started and not self._pending and not self._wants_load and self._follows(frame)
        if is_next and self._outbox.write(frame):
            self._passed(frame)
            return
        if len(self._pending) >= PENDING_MAX:
            CONFLATED.inc()
            self._conflate()
        self._pending.append(frame)
        if self._started:
            self._outbox.mark(self)

    def _follows(self, frame: Frame) -> bool:
        """Whether it is what comes next for the reader, who has got all before it."""
        return True

    def _passed(self, frame: Frame) -> None:
        """It was sent."""

    def resync(self, channel: str) -> None:
        """Frames may be lost: begin anew."""
        self._wants_load = True
        if self._started:
            self._outbox.mark(self)

    @property
    def has_more(self) -> bool:
        """Whether there is something to do now."""
        return bool(self._pending) and not self._ended

    def _conflate(self) -> None:
        self._pending.clear()

    async def take(self) -> Frame | None:
        """The next frame to send."""
        if self._ended:
            return None
        if self._wants_load and self._may_load():
            await self._reload()
        return self._next()

    def _may_load(self) -> bool:
        """Whether the last load is long enough ago; otherwise there is another turn when it is."""
        loop = asyncio.get_running_loop()
        wait_s = self._loaded_at + RELOAD_AFTER_S - loop.time()
        if wait_s > 0:
            loop.call_later(wait_s, self._outbox.mark, self)
            return False
        self._loaded_at = loop.time()
        return True

    async def _reload(self) -> None:
        self._wants_load = False
        self._pending.clear()  # contained in what is read now
        frames = await self._load()
        self._pending.extendleft(reversed(frames))

    def _next(self) -> Frame | None:
        return self._pending.popleft() if self._pending and not self._ended else None


class BookSubscription(Subscription):
    """Hands out a snapshot, then each delta that follows on it without a gap."""

    def __init__(self, *, outbox: Outbox, load: Load, active: Callable[[], None]) -> None:
        super().__init__(outbox=outbox, load=load, active=active)
        self._sequence = 0
        self._old = 0

    @property
    def has_more(self) -> bool:
        """Deltas wait for the snapshot."""
        return super().has_more and not self._wants_load

    def _follows(self, frame: Frame) -> bool:
        head = frame.head
        return head.first_sequence is not None and head.first_sequence <= self._sequence + 1 <= head.sequence

    def _passed(self, frame: Frame) -> None:
        self._sequence, self._old = frame.head.sequence, 0

    def _conflate(self) -> None:
        self._pending.clear()
        self._wants_load = True

    async def _reload(self) -> None:
        self._wants_load = False
        snapshots = await self._load()
        if not snapshots:
            self._wants_load = True
            asyncio.get_running_loop().call_later(RELOAD_AFTER_S * 4, self._outbox.mark, self)
            return
        self._begin(snapshots[-1])
        self._pending.appendleft(snapshots[-1])

    def _begin(self, snapshot: Frame) -> None:
        """Later deltas continue `snapshot`, what it contains already is forgotten."""
        newer = [frame for frame in self._pending if frame.head.sequence > snapshot.head.sequence]
        self._pending = deque(newer)
        self._sequence = snapshot.head.sequence - 1
        self._old = 0

    def _next(self) -> Frame | None:
        while self._pending and not (self._wants_load or self._ended):
            frame = self._pending.popleft()
            head = frame.head
            if head.sequence <= self._sequence:
                self._old += 1
                went_back = head.first_sequence is None and head.sequence < self._sequence
                self._wants_load = went_back or self._old > STALE_DELTAS_MAX
            elif head.first_sequence is None or head.first_sequence <= self._sequence + 1:
                self._passed(frame)
                return frame
            else:
                self._wants_load = True  # a gap: never silently a wrong book
            if self._wants_load:
                self._outbox.mark(self)
        return None
