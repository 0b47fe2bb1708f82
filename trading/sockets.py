"""An account's events on a socket: each sequence number once, in order, whatever gets lost on the way.

The database is the truth and pub/sub a hint. A published frame that follows on the last one is forwarded as it is;
anything else, and anything that may have been missed, is read from the event table.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings

from astrade.core.errors import ValidationFailed
from astrade.core.permissions import Caller
from astrade.core.sockets.hub import FrameHub
from astrade.core.sockets.metrics import CAUGHT_UP
from astrade.core.sockets.outbox import Outbox
from astrade.core.sockets.protocol import Frame, error_frame, reply
from astrade.core.sockets.threads import in_thread
from trading import selectors
from trading.announcing import account_channel
from trading.profits import ProfitPulse, ProfitView

PAGE = 200
RETRY_S = 1.0
GATHER_S = 0.05
SLOW_AFTER_S = 20.0  # a replay that waits so long for its reader is given up
logger = logging.getLogger(__name__)


def account_uuid_of(text: str) -> UUID | None:
    """The UUID that a client wrote, None when it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def resume_of(value: Any) -> int | None:
    """`resume` as a number, None when nothing was asked; raises ValidationFailed."""
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValidationFailed(
            "resume is the last sequence number that was received", details={"resume": str(value)[:64]}
        )
    return value


class AccountPulse:
    """All account streams of the process: one query tells all of them where their accounts are.

    It runs before each heartbeat, and soon after the hub was cut off, so that only those who missed something read it.
    """

    def __init__(self) -> None:
        self.streams: set[AccountStream] = set()
        self._wanted = False
        self._soon: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Tell each stream its account's present sequence."""
        account_ids = {stream.account_id for stream in self.streams}
        if not account_ids:
            return
        present = await in_thread(selectors.current_sequences, account_ids)
        for stream in tuple(self.streams):
            stream.learn(present.get(stream.account_id, 0))

    def soon(self) -> None:
        """Run once for all who ask within a moment."""
        self._wanted = True
        if self._soon is None or self._soon.done():
            self._soon = asyncio.create_task(self._run_soon())

    async def _run_soon(self) -> None:
        while self._wanted:
            await asyncio.sleep(GATHER_S)
            self._wanted = False
            try:
                await self.run()
            except Exception:  # the database is away: the next heartbeat asks again
                logger.warning("sequences_unavailable", exc_info=True)


class AccountStream:
    """One account's events for one socket. `open` it, `start` it, `stop` it."""

    def __init__(
        self, *, hub: FrameHub, outbox: Outbox, active: Callable[[], None], too_slow: Callable[[], None]
    ) -> None:
        self.account_id = 0
        self.account_uuid: UUID | None = None
        self.last = 0  # sequence of the last frame queued for the client
        self._seen = 0  # highest sequence heard of
        self._hub, self._outbox = hub, outbox
        self._active, self._too_slow = active, too_slow
        self._pulse = hub.pulse(AccountPulse)
        self._profits, self._profit = hub.pulse(ProfitPulse), ProfitView(outbox=outbox, active=active)
        self._live = False  # whether published frames are forwarded
        self._beat_due: int | None = None
        self._catching: asyncio.Task[None] | None = None
        self._release: asyncio.TimerHandle | None = None

    async def open(self, caller: Caller, account_uuid: UUID | None) -> None:
        """Find the caller's account and listen to it; raises NotFound. Nothing is sent before `start`."""
        self.account_id, self.account_uuid, self.last = await in_thread(selectors.owned_account, caller, account_uuid)
        self._seen = self.last
        self._pulse.streams.add(self)
        await self._hub.join(account_channel(self.account_id), self)

    def start(self, *, resume: int | None, waits: bool) -> None:
        """Send `connected` with the present sequence, then all after it, or after `resume`.

        What happened between reading that sequence and listening comes from the database. `waits`: the client may still
        say where to resume, so hold frames back for a moment.
        """
        self._outbox.put(reply("connected", account_id=self.account_uuid, sequence=self.last))
        self._profits.join(self.account_id, self._profit)
        if resume is not None:
            self._move_to(resume, present=self.last)
        if waits and resume is None:
            loop = asyncio.get_running_loop()
            self._release = loop.call_later(settings.WS_RESUME_WAIT_S, self._catch_up)
        else:
            self._catch_up()

    async def resume(self, after: int) -> None:
        """Send everything after `after` (again); an impossible one is answered with the present sequence."""
        present = await in_thread(selectors.current_sequences, [self.account_id])
        waiting = self._release is not None
        if self._move_to(after, present=present.get(self.account_id, 0)) and not waiting:
            self._outbox.put(reply("resumed", sequence=after))
        self._catch_up()

    def _move_to(self, after: int, *, present: int) -> bool:
        if 0 <= after <= present:
            self.last = after
            return True
        error = ValidationFailed("There is no such sequence to resume from", details={"sequence": present})
        self._outbox.put(error_frame(error))
        return False

    def stop(self) -> None:
        """Leave the channel."""
        self._pulse.streams.discard(self)
        self._profits.leave(self.account_id, self._profit)
        self._hub.leave(account_channel(self.account_id), self)
        self._live = False
        if self._release is not None:
            self._release.cancel()
        if self._catching is not None:
            self._catching.cancel()

    # The hub's calls

    def deliver(self, channel: str, frame: Frame) -> None:
        """A frame was published."""
        self._active()
        self._profits.changed(self.account_id)
        sequence = frame.head.sequence
        self._seen = max(self._seen, sequence)
        if not self._live:
            return  # the catch-up in progress will read it
        if sequence == self.last + 1:
            self.last = sequence
            self._outbox.put(frame)
        elif sequence > self.last:
            self._catch_up()

    def resync(self, channel: str) -> None:
        """Frames may be lost."""
        self._pulse.soon()

    def learn(self, sequence: int) -> None:
        """The database's present sequence; ahead of ours when a frame got lost."""
        self._seen = max(self._seen, sequence)
        if self._live and self._seen > self.last:
            self._profits.changed(self.account_id)
            self._catch_up()

    def beat(self, at_ms: int) -> None:
        """A heartbeat with the sequence up to which everything was sent; after the catch-up if there is one."""
        if self._live:
            self._outbox.put(reply("heartbeat", at=at_ms, sequence=self.last))
        else:
            self._beat_due = at_ms

    # The database

    def _catch_up(self) -> None:
        """Read what is missing, then go on with published frames."""
        if self._release is not None:
            self._release.cancel()
            self._release = None
        self._live = False
        if self._catching is None or self._catching.done():
            self._catching = asyncio.create_task(self._read_missed())

    async def _read_missed(self) -> None:
        CAUGHT_UP.inc()
        while True:
            try:
                async with asyncio.timeout(SLOW_AFTER_S):
                    await self._outbox.drained()
            except TimeoutError:
                self._too_slow()
                return
            try:
                done = await self._read_page()
            except Exception:  # the database is away: nothing is lost, it is read when it is back
                logger.warning("events_unavailable", extra={"account": self.account_id}, exc_info=True)
                await asyncio.sleep(RETRY_S)
                continue
            if done:
                self._go_live()
                return

    async def _read_page(self) -> bool:
        """Queue one page of events after `last`; whether that was all there is.

        What was heard of while it was read may be later than the page, so it is read again; what was heard of before
        and isn't in it does not exist.
        """
        after, seen = self.last, self._seen
        page = await in_thread(selectors.event_frames, self.account_id, after=after, limit=PAGE)
        if self.last != after:
            return False  # the client asked for another place meanwhile
        for sequence, payload in page:
            if not self._outbox.put(Frame(payload)):
                return True
            self.last = sequence
        nothing_came = self.last == after and self._seen == seen
        return len(page) < PAGE and (self.last >= self._seen or nothing_came)

    def _go_live(self) -> None:
        self._live = True
        self._seen = self.last
        if self._beat_due is not None:
            at_ms, self._beat_due = self._beat_due, None
            self.beat(at_ms)
