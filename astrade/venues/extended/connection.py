"""One WebSocket to Extended: opened, watched, numbered, read (extended-api.md §9)."""

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

import msgspec

from astrade.core.clock import Clock, system_clock
from astrade.core.logging import MASK
from astrade.venues.errors import Refused, StreamBroken, StreamGap, VenueError
from astrade.venues.extended.calls import Access
from astrade.venues.extended.profiles import Profile
from astrade.venues.extended.refusals import reason_of
from astrade.venues.extended.sending import VENUE
from astrade.venues.extended.stream_wire import StreamEnvelope
from astrade.venues.extended.wire import ErrorBody
from astrade.venues.metrics import FAILURES
from astrade.venues.sockets import Socket, Watch
from astrade.venues.wire import decode

T = TypeVar("T")
REFUSED_STATUS = 400


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
        self._name = f"stream_{path.split('/')[1]}"
        self._read, self._watch, self._access = read, watch, access
        self._is_numbered, self._last = is_numbered, cast(int | None, None)
        headers = {"X-Api-Key": access.api_key} if access else {}
        self._socket = Socket(profile.stream_url + path, watch=watch, headers=headers, clock=clock)

    async def __aenter__(self) -> Self:
        try:
            await self._socket.__aenter__()
        except VenueError as failure:
            self._count(failure)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._socket.__aexit__(kind, exc, trace)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        try:
            within_s = self._watch.first_message_s if self._last is None else self._watch.message_s
            envelope = self._envelope(await self._socket.receive(within_s=within_s))
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
