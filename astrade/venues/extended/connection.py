"""One WebSocket to Extended: opened, watched, numbered, read (extended-api.md §9)."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

import msgspec
from django.conf import settings
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from astrade.core.clock import Clock, system_clock
from astrade.core.logging import MASK
from astrade.venues.errors import (
    VENUE_LIMIT,
    Refused,
    StreamBroken,
    StreamGap,
    StreamSilent,
    Throttled,
    Unavailable,
    VenueError,
)
from astrade.venues.extended.calls import THROTTLED_S, TOO_MANY, Access
from astrade.venues.extended.profiles import Profile
from astrade.venues.extended.refusals import NOT_AUTHENTICATED, reason_of
from astrade.venues.extended.sending import VENUE
from astrade.venues.extended.stream_wire import StreamEnvelope
from astrade.venues.extended.wire import ErrorBody, decode
from astrade.venues.metrics import FAILURES
from astrade.venues.transport import USER_AGENT, retry_after_s

T = TypeVar("T")
MESSAGE_BYTES_MAX = 4 * 1024 * 1024
CLOSE_WITHIN_S = 1.0
KEEPALIVE_FAILED = "keepalive ping timeout"  # with which `websockets` gives up on who answers no ping
REFUSED_STATUS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """After how many seconds a stream counts as silent: without an answer to a ping, which tells that the connection
    lives, or without a message, which tells that the subscription does. None where there may be nothing to tell."""

    ping_s: float = 15  # between pings, and as long for the answer
    first_message_s: float | None = 10
    message_s: float | None = None


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """One message: its data, the venue's time in ms, its number."""

    data: T
    ts_ms: int
    seq: int


class Stream(Generic[T]):
    """A context manager that connects, and inside it an iterator of what `read` makes of each message.

    `is_numbered`: whether the numbers must follow each other. On streams of all markets it isn't documented whether
    they count by connection or by market, and nothing there builds on what came before.
    """

    def __init__(
        self,
        profile: Profile,
        path: str,
        read: Callable[[StreamEnvelope], T],
        *,
        watch: Watch,
        access: Access | None = None,
        is_numbered: bool = True,
        clock: Clock = system_clock,
    ) -> None:
        self._url, self._name = profile.stream_url + path, f"stream_{path.split('/')[1]}"
        self._read, self._watch, self._access, self._clock = read, watch, access, clock
        self._is_numbered, self._last = is_numbered, cast(int | None, None)
        self._socket: ClientConnection | None = None

    async def __aenter__(self) -> Self:
        try:
            self._socket = await self._open()
        except VenueError as failure:
            self._count(failure)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            await self._socket.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        try:
            envelope = self._envelope(await self._receive())
            if self._is_numbered and self._last is not None and envelope.seq != self._last + 1:
                raise StreamGap("sequence_gap")
            self._last = envelope.seq
            return self._read(envelope)
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            failure = StreamBroken("unreadable_message")
            self._count(failure)
            raise failure from exc
        except VenueError as failure:
            self._count(failure)
            raise

    async def _open(self) -> ClientConnection:
        headers = {"X-Api-Key": self._access.api_key} if self._access else {}
        try:
            return await connect(
                self._url,
                additional_headers=headers,
                user_agent_header=USER_AGENT,
                proxy=None,
                compression=None,  # costs more memory for each connection than these messages save
                open_timeout=settings.VENUE_READ_TIMEOUT_S,
                ping_interval=self._watch.ping_s,
                ping_timeout=self._watch.ping_s,
                close_timeout=CLOSE_WITHIN_S,
                max_size=MESSAGE_BYTES_MAX,
            )
        except InvalidStatus as exc:
            raise self._refusal(exc) from exc
        except (OSError, InvalidHandshake) as exc:
            raise Unavailable("not_connected") from exc

    def _refusal(self, exc: InvalidStatus) -> VenueError:
        status = exc.response.status_code
        if status == NOT_AUTHENTICATED:
            reason = reason_of(None, status=status, special={})
            return Refused(reason, venue_code=None, venue_message=f"the stream was refused with {status}")
        if status == TOO_MANY:
            after_s = retry_after_s(dict(exc.response.headers.raw_items()), now=self._clock())
            return Throttled(VENUE_LIMIT, retry_after_s=after_s or THROTTLED_S)
        return Unavailable(f"http_{status}")

    async def _receive(self) -> bytes:
        if self._socket is None:
            raise RuntimeError("a stream is read inside `async with`")
        within_s = self._watch.first_message_s if self._last is None else self._watch.message_s
        try:
            async with asyncio.timeout(within_s):
                return await self._socket.recv(decode=False)
        except TimeoutError as exc:
            raise StreamSilent("no_message") from exc
        except ConnectionClosed as exc:
            if exc.sent is not None and exc.sent.reason == KEEPALIVE_FAILED:
                raise StreamSilent("no_sign_of_life") from exc
            raise StreamBroken("disconnected") from exc

    def _envelope(self, text: bytes) -> StreamEnvelope:
        envelope: StreamEnvelope = decode(text, StreamEnvelope)
        if envelope.error is None:
            return envelope
        error = envelope.error if isinstance(envelope.error, ErrorBody) else ErrorBody(message=envelope.error)
        words = error.message.replace(self._access.api_key, MASK) if self._access else error.message
        reason = reason_of(error.code, status=REFUSED_STATUS, special={})
        raise Refused(reason, venue_code=error.code, venue_message=words)

    def _count(self, failure: VenueError) -> None:
        FAILURES.labels(VENUE, self._name, type(failure).__name__).inc()


def one_of(kind: type[T]) -> Callable[[StreamEnvelope], Told[T]]:
    """Reads a message's data as `kind`."""

    def read(envelope: StreamEnvelope) -> Told[Any]:
        return Told(decode(envelope.data, kind), envelope.ts, envelope.seq)

    return read
