"""One Redis subscription a web process: a channel is joined once, its frames go to every socket that wants them.

    hub()                               the running event loop's hub
    await hub.join(channel, listener)   returns when Redis has confirmed, so what is published from now on arrives
    hub.leave(channel, listener)
    hub.enrol(socket), hub.dismiss(socket)      heartbeats and revocations reach enrolled sockets
    hub.pulse(Pulse)                    this hub's one `Pulse()`, whose `run` is awaited before each heartbeat

Pub/sub is a hint: whoever lost the connection is told by `resync` to read the truth again.
"""

import asyncio
import contextlib
import logging
import random
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

import msgspec
from django.conf import settings

from astrade.core.clock import system_clock, to_ms
from astrade.core.lifespan import on_shutdown
from astrade.core.permissions import Caller
from astrade.core.redis import channel_named, redis_errors
from astrade.core.sockets.identity import identity
from astrade.core.sockets.limits import ConnectionCounter
from astrade.core.sockets.metrics import HUB_CHANNELS, HUB_RECONNECTS
from astrade.core.sockets.outbox import count_written
from astrade.core.sockets.protocol import Frame
from astrade.core.sockets.subscriber import Subscriber
from astrade.core.sockets.threads import close_threads, in_thread

AUTH_CHANNEL = channel_named("auth")
JOIN_WAIT_S = 2.0
TICK_S = 1.0
RECHECK_S = 60.0  # revocations are announced; should one get lost, this finds it
PULSE_WAIT_S = 5.0
RETRY_S_MIN, RETRY_S_MAX = 0.1, 5.0
logger = logging.getLogger(__name__)


class Listener(Protocol):
    """Gets a channel's frames; neither call may wait."""

    def deliver(self, channel: str, frame: Frame) -> None:
        """A frame was published."""

    def resync(self, channel: str) -> None:
        """Frames may have been lost."""


class Enrolled(Protocol):
    """A socket as the hub sees it; no call may wait."""

    caller: Caller | None

    def tick(self, now: float) -> None:
        """Once a second, with the loop's time."""

    def beat(self, at_ms: int) -> None:
        """A heartbeat is due."""

    def revoke(self) -> None:
        """The caller may no longer be here."""


class Pulse(Protocol):
    """Work done once a heartbeat for all sockets together."""

    async def run(self) -> None:
        """Before the heartbeats are sent."""


P = TypeVar("P", bound=Pulse)


class Room:
    """The listeners of one channel."""

    def __init__(self) -> None:
        self.listeners: set[Listener] = set()
        self.confirmed = asyncio.Event()
        self.missed = False  # whether frames may have been lost before the next confirmation


class FrameHub:
    """See the module; one a process, made by `hub()`."""

    def __init__(self, *, join_wait_s: float = JOIN_WAIT_S) -> None:
        self.counter = ConnectionCounter()
        self._join_wait_s = join_wait_s
        self._rooms: dict[str, Room] = {}
        self._sockets: set[Enrolled] = set()
        self._pulses: dict[type[Pulse], Pulse] = {}
        self._subscriber = Subscriber(on_message=self._published, on_confirmed=self._confirmed)
        self._rooms[AUTH_CHANNEL] = Room()
        self._rooms[AUTH_CHANNEL].missed = True  # whoever is revoked before the first confirmation is found by it
        self._gate = Gate(self._sockets)
        self._rooms[AUTH_CHANNEL].listeners.add(self._gate)
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._keep_time())]

    async def join(self, channel: str, listener: Listener) -> None:
        """Deliver `channel` to `listener`. Returns after a moment even when Redis is away; `resync` follows then."""
        room = self._rooms.get(channel)
        if room is None:
            room = self._rooms[channel] = Room()
            self._subscriber.subscribe(channel)
            HUB_CHANNELS.set(len(self._rooms))
        room.listeners.add(listener)
        try:
            async with asyncio.timeout(self._join_wait_s):
                await room.confirmed.wait()
        except TimeoutError:
            room.missed = True

    def leave(self, channel: str, listener: Listener) -> None:
        """Stop; the channel is dropped with its last listener."""
        room = self._rooms.get(channel)
        if room is None:
            return
        room.listeners.discard(listener)
        if not room.listeners:
            del self._rooms[channel]
            self._subscriber.unsubscribe(channel)
            HUB_CHANNELS.set(len(self._rooms))

    def enrol(self, socket: Enrolled) -> None:
        """Send it heartbeats and revocations."""
        self._sockets.add(socket)

    def dismiss(self, socket: Enrolled) -> None:
        """The socket is gone."""
        self._sockets.discard(socket)

    def pulse(self, kind: type[P]) -> P:
        """The hub's own `kind()`, made by the first call; what is done once for all sockets before a heartbeat."""
        found = self._pulses.get(kind)
        if not isinstance(found, kind):
            found = self._pulses[kind] = kind()
        return found

    async def stop(self) -> None:
        """End the hub's tasks."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.counter.forget_process()

    def _published(self, channel: str, payload: bytes) -> None:
        room = self._rooms.get(channel)
        if room is None:
            return
        try:
            frame = Frame(payload)
            for listener in tuple(room.listeners):
                listener.deliver(channel, frame)
        except Exception:  # one bad message must not cut off every channel of the process
            logger.exception("frame_not_delivered", extra={"channel": channel})

    def _confirmed(self, channel: str) -> None:
        room = self._rooms.get(channel)
        if room is None:
            return
        room.confirmed.set()
        if room.missed:
            room.missed = False
            for listener in tuple(room.listeners):
                listener.resync(channel)

    async def _listen(self) -> None:
        failures = 0
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await self._subscriber.session(tuple(self._rooms))
            except redis_errors as exc:
                lasted = asyncio.get_running_loop().time() - started
                failures = 1 if lasted > RETRY_S_MAX else failures + 1
                logger.warning("hub_connection_lost", extra={"error": repr(exc), "failures": failures})
            except Exception:  # a bug must not silence every socket of the process for good
                failures += 1
                logger.exception("hub_failed")
            HUB_RECONNECTS.inc()
            for room in self._rooms.values():
                room.confirmed.clear()
                room.missed = True
            await asyncio.sleep(min(RETRY_S_MAX, RETRY_S_MIN * 2 ** min(failures, 10)) * random.uniform(0.5, 1))

    async def _keep_time(self) -> None:
        loop = asyncio.get_running_loop()
        beat_at = loop.time() + settings.WS_HEARTBEAT_S
        recheck_at = loop.time() + RECHECK_S
        while True:
            await asyncio.sleep(min(TICK_S, settings.WS_HEARTBEAT_S))
            now = loop.time()
            try:
                for socket in tuple(self._sockets):
                    socket.tick(now)
                count_written()
                if now >= beat_at:
                    beat_at = now + settings.WS_HEARTBEAT_S
                    await self._beat()
                if now >= recheck_at:
                    recheck_at = now + RECHECK_S
                    self._gate.resync(AUTH_CHANNEL)
                await self.counter.renew(now=now)
            except Exception:  # one socket's bug must not stop the clock of all
                logger.exception("hub_tick_failed")

    async def _beat(self) -> None:
        for pulse in self._pulses.values():
            try:
                async with asyncio.timeout(PULSE_WAIT_S):
                    await pulse.run()
            except Exception:  # the database may be away: sockets live on, the next beat asks again
                logger.warning("hub_pulse_failed", extra={"pulse": type(pulse).__name__}, exc_info=True)
        at_ms = to_ms(system_clock())
        for socket in tuple(self._sockets):
            socket.beat(at_ms)


class Gate:
    """Closes sockets whose caller was frozen or revoked."""

    def __init__(self, sockets: set[Enrolled]) -> None:
        self._sockets = sockets
        self._check: asyncio.Task[None] | None = None

    def deliver(self, channel: str, frame: Frame) -> None:
        """`{"user": row id}`, `{"family": uuid}` or `{"api_key": row id}`."""
        try:
            named: dict[str, Any] = msgspec.json.decode(frame.payload)
            user, family, key = named.get("user"), named.get("family"), named.get("api_key")
        except (msgspec.DecodeError, AttributeError):
            logger.warning("auth_message_malformed")
            return
        for socket in tuple(self._sockets):
            if (caller := socket.caller) and (
                (user is not None and caller.user_id == user)
                or (family is not None and caller.family_id == family)
                or (key is not None and caller.api_key_id == key)
            ):
                socket.revoke()

    def resync(self, channel: str) -> None:
        """Messages may have been lost: ask the truth about everybody here."""
        if self._check is None or self._check.done():
            self._check = asyncio.create_task(self._check_all())

    async def _check_all(self) -> None:
        callers = {socket.caller for socket in self._sockets if socket.caller is not None}
        try:
            revoked = await in_thread(identity().revoked, tuple(callers)) if callers else set()
        except Exception:  # the database is away: the next check asks again
            logger.warning("revocation_check_failed", exc_info=True)
            return
        for socket in tuple(self._sockets):
            if socket.caller in revoked:
                socket.revoke()


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, FrameHub] = WeakKeyDictionary()


def hub() -> FrameHub:
    """The running event loop's hub, started by its first use."""
    loop = asyncio.get_running_loop()
    found = _hubs.get(loop)
    if found is None:
        found = _hubs[loop] = FrameHub()
    return found


async def stop_hub() -> None:
    """End this loop's hub and the threads of the sockets; the server has closed the sockets with 1012 by then."""
    found = _hubs.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.stop()
        with contextlib.suppress(RuntimeError):
            await asyncio.to_thread(close_threads)


on_shutdown(stop_hub)
