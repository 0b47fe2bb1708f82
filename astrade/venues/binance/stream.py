"""Binance's market streams: those of one market on one combined connection (binance-api.md §9).

    async with MarketStream(profile, "BTCUSDT", watch=Watch(message_s=7)) as stream:
        async for event in stream:                      DepthUpdate, BookTicker or Trade

Opening raises Throttled or Unavailable; reading raises StreamSilent where no depth event comes in time, whatever else
does, and StreamBroken for all else. It ends without an error where the venue says that it is about to close, and
before the day is over after which it would: a new connection is then to be opened at once.
"""

import asyncio
from types import TracebackType
from typing import Any, Self

import msgspec

from astrade.core.clock import Clock, system_clock
from astrade.venues.binance.client import VENUE
from astrade.venues.binance.profiles import Profile
from astrade.venues.binance.public_wire import BookTicker, Combined, DepthMessage, DepthUpdate, Trade
from astrade.venues.budget import Budget, Cost
from astrade.venues.errors import StreamBroken, StreamSilent, VenueError
from astrade.venues.metrics import FAILURES
from astrade.venues.sockets import Socket, Watch
from astrade.venues.wire import decode

LIVES_S = 23 * 3_600.0
CONNECTIONS_PER_MIN = 60  # 300 in five minutes, for our address
NAME_WITHIN = 64  # bytes of a message that hold its stream's name
SHUTDOWN = "!serverShutdown"
Event = DepthUpdate | BookTicker | Trade
_depth = msgspec.json.Decoder(DepthMessage)


class MarketStream:
    """See the module's first lines."""

    def __init__(
        self, profile: Profile, symbol: str, *, watch: Watch, lives_s: float = LIVES_S, clock: Clock = system_clock
    ) -> None:
        name = symbol.lower()
        names = "/".join(f"{name}@{kind}" for kind in ("depth@100ms", "bookTicker", "trade"))
        self._socket = Socket(f"{profile.stream_url}/stream?streams={names}", watch=watch, clock=clock)
        self._connections = Budget(f"{profile.host}/streams", per_minute=CONNECTIONS_PER_MIN, clock=clock)
        self._watch, self._lives_s = watch, lives_s
        self._ends = self._silent_from = float("inf")  # of the event loop's clock

    async def __aenter__(self) -> Self:
        try:
            await self._connections.take_async(Cost.READ, owner=None)
            await self._socket.__aenter__()
        except VenueError as failure:
            self._count(failure)
            raise
        self._ends = asyncio.get_running_loop().time() + self._lives_s
        self._expect(self._watch.first_message_s)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._socket.__aexit__(kind, exc, trace)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        try:
            event = await self._next()
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            failure = StreamBroken("unreadable_message")
            self._count(failure)
            raise failure from exc
        except VenueError as failure:
            self._count(failure)
            raise
        if event is None:
            raise StopAsyncIteration
        return event

    async def _next(self) -> Event | None:
        """The next event; None where the connection's time is over."""
        while True:
            now = asyncio.get_running_loop().time()
            if now >= self._ends:
                return None
            if now >= self._silent_from:
                raise StreamSilent("no_message")
            text = await self._socket.receive(within_s=min(self._silent_from, self._ends) - now)
            if b"@depth" in text[:NAME_WITHIN]:
                self._expect(self._watch.message_s)
                return _depth.decode(text).data
            message: Combined = decode(text, Combined)
            if message.stream == SHUTDOWN:
                return None
            kind = KINDS.get(message.stream.partition("@")[2])
            if kind is not None:
                told: Event = decode(message.data, kind)
                return told

    def _expect(self, within_s: float | None) -> None:
        """Another depth event within that time."""
        self._silent_from = asyncio.get_running_loop().time() + (float("inf") if within_s is None else within_s)

    def _count(self, failure: VenueError) -> None:
        FAILURES.labels(VENUE, "stream_market", type(failure).__name__).inc()


KINDS: dict[str, Any] = {"bookTicker": BookTicker, "trade": Trade}
