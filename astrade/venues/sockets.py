"""A WebSocket to a venue: opened, kept alive by pings, read within a time.

    async with Socket(url, watch=Watch(), headers={…}) as socket:
        text = await socket.receive(within_s=10)

Opening raises Refused (5001) for a key that isn't one, Throttled, or Unavailable; reading raises StreamSilent or
StreamBroken.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from django.conf import settings
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from astrade.core.clock import Clock, system_clock
from astrade.venues.errors import (
    VENUE_LIMIT,
    InvalidVenueCredentials,
    Refused,
    StreamBroken,
    StreamSilent,
    Throttled,
    Unavailable,
    VenueError,
)
from astrade.venues.transport import NOT_AUTHENTICATED, THROTTLED_S, TOO_MANY, USER_AGENT, retry_after_s

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
CLOSE_WITHIN_S = 1.0
KEEPALIVE_FAILED = "keepalive ping timeout"  # with which `websockets` gives up on who answers no ping


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """After how many seconds a stream counts as silent: without an answer to a ping, which tells that the connection
    lives, or without a message, which tells that the subscription does. None where there may be nothing to tell."""

    ping_s: float = 15  # between pings, and as long for the answer
    first_message_s: float | None = 10
    message_s: float | None = None


class Socket:
    """See the module's first lines."""

    def __init__(
        self, url: str, *, watch: Watch, headers: Mapping[str, str] | None = None, clock: Clock = system_clock
    ) -> None:
        self._url, self._watch, self._headers, self._clock = url, watch, headers or {}, clock
        self._connection: ClientConnection | None = None

    async def __aenter__(self) -> Self:
        try:
            self._connection = await connect(
                self._url,
                additional_headers=self._headers,
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
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def receive(self, *, within_s: float | None) -> bytes:
        """The next message, however long it takes where `within_s` is None."""
        if self._connection is None:
            raise RuntimeError("a stream is read inside `async with`")
        try:
            async with asyncio.timeout(within_s):
                return await self._connection.recv(decode=False)
        except TimeoutError as exc:
            raise StreamSilent("no_message") from exc
        except ConnectionClosed as exc:
            if exc.sent is not None and exc.sent.reason == KEEPALIVE_FAILED:
                raise StreamSilent("no_sign_of_life") from exc
            raise StreamBroken("disconnected") from exc

    def _refusal(self, exc: InvalidStatus) -> VenueError:
        status = exc.response.status_code
        if status == NOT_AUTHENTICATED:
            words = f"the stream was refused with {status}"
            return Refused(InvalidVenueCredentials, venue_code=None, venue_message=words)
        if status == TOO_MANY:
            after_s = retry_after_s(dict(exc.response.headers.raw_items()), now=self._clock())
            return Throttled(VENUE_LIMIT, retry_after_s=after_s or THROTTLED_S)
        return Unavailable(f"http_{status}")
