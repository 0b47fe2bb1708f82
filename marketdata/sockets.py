"""Market streams for sockets: which there are, and what a new subscriber sees at once.

stream_of("orderbook:btcusd")       the stream a client means; raises UnknownMarket or ValidationFailed. Blocking
MarketStreams(…)                    the market subscriptions of one socket
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import orjson
from django.conf import settings

from astrade.core.api.renderers import encode
from astrade.core.clock import from_ms, system_clock
from astrade.core.errors import AstradeError, TooManySubscriptions, ValidationFailed
from astrade.core.sockets.hub import FrameHub
from astrade.core.sockets.outbox import Outbox
from astrade.core.sockets.protocol import Frame
from astrade.core.sockets.subscriptions import BookSubscription, Subscription
from astrade.core.sockets.threads import in_thread
from marketdata import frames, keys, live
from marketdata.selectors import market_by_symbol
from marketdata.timeframes import BASE, TIMEFRAMES

FIRST_TRADES = 50
FUNDING_FIELDS = ("symbol", "funding_rate", "next_funding_at", "at")


@dataclass(frozen=True, slots=True)
class Stream:
    """One public stream; `timeframe` is empty but for candles."""

    kind: str
    symbol: str
    timeframe: str = ""

    @property
    def name(self) -> str:
        """As clients and channels spell it."""
        return ":".join(part for part in (self.kind, self.symbol, self.timeframe) if part)


def _book(stream: Stream) -> list[bytes]:
    now = system_clock()
    raw = live.opening_frame(stream.name, now=now)
    if raw is None:
        return []
    book = orjson.loads(raw)
    return [orjson.dumps(book | {"stale": True}) if live.is_stale(from_ms(book["at"]), now=now) else raw]


def _ticker(stream: Stream) -> list[bytes]:
    raw = live.opening_frame(stream.name, now=system_clock())
    return [] if raw is None else [raw]


def _trades(stream: Stream) -> list[bytes]:
    newest_first = live.trades_of(stream.symbol, limit=FIRST_TRADES)
    return [frames.trades(stream.symbol, newest_first[::-1])] if newest_first else []


def _candles(stream: Stream) -> list[bytes]:
    header = {"type": "candle", "symbol": stream.symbol, "timeframe": stream.timeframe, "kind": "trades"}
    candles = live.running_candles(stream.symbol, kind="trades", timeframe=stream.timeframe)
    return [encode(header | candle) for candle in candles]


def _funding(stream: Stream) -> list[bytes]:
    body = live.ticker_of(stream.symbol, now=system_clock())
    return [] if body is None else [encode({"type": "funding", **{name: body[name] for name in FUNDING_FIELDS}})]


OPENINGS: Mapping[str, Callable[[Stream], list[bytes]]] = {
    "orderbook": _book,
    "trades": _trades,
    "candles": _candles,
    "funding": _funding,
    "ticker": _ticker,
}


def stream_of(text: str) -> Stream:
    """The stream named `kind:symbol[:timeframe]`; the symbol in any of its spellings."""
    kind, _, rest = text.partition(":")
    if kind not in OPENINGS or not rest:
        raise ValidationFailed(f"Unknown stream; there are {', '.join(OPENINGS)}", details={"stream": text[:100]})
    symbol, _, timeframe = rest.partition(":")
    return named_stream(kind, symbol=symbol, timeframe=timeframe)


def named_stream(kind: str, *, symbol: str, timeframe: str) -> Stream:
    """The stream of these parts; candles are of one minute unless said."""
    market = market_by_symbol(symbol)
    if kind == "candles":
        timeframe = timeframe or BASE
        if timeframe not in TIMEFRAMES:
            raise ValidationFailed(f"Timeframes are {', '.join(TIMEFRAMES)}", details={"timeframe": timeframe[:100]})
    elif timeframe:
        raise ValidationFailed("Only candles have a timeframe", details={"timeframe": timeframe[:100]})
    return Stream(kind, market.symbol, timeframe)


def resolve(names: Sequence[str]) -> dict[str, Stream | AstradeError]:
    """What each name means, or what is wrong with it. Blocking."""
    found: dict[str, Stream | AstradeError] = {}
    for name in names:
        try:
            found[name] = stream_of(name)
        except AstradeError as error:
            found[name] = error
    return found


class Openings:
    """First frames; sockets that ask for the same stream at the same time share one read."""

    _loops: ClassVar[WeakKeyDictionary[Any, dict[Stream, asyncio.Task[list[Frame]]]]] = WeakKeyDictionary()

    @classmethod
    async def of(cls, stream: Stream) -> list[Frame]:
        """The frames a subscriber of `stream` begins with, none while Redis is away."""
        running = cls._loops.setdefault(asyncio.get_running_loop(), {})
        task = running.get(stream)
        if task is None:
            task = running[stream] = asyncio.create_task(cls._read(stream))
            task.add_done_callback(lambda _: running.pop(stream, None))
        return await asyncio.shield(task)

    @staticmethod
    async def _read(stream: Stream) -> list[Frame]:
        try:
            payloads = await in_thread(OPENINGS[stream.kind], stream)
        except AstradeError:
            return []
        return [Frame(payload) for payload in payloads]


class MarketStreams:
    """What one socket subscribed to."""

    def __init__(self, *, hub: FrameHub, outbox: Outbox, active: Callable[[], None]) -> None:
        self._hub = hub
        self._outbox = outbox
        self._active = active
        self._subscriptions: dict[str, Subscription] = {}

    def __len__(self) -> int:
        return len(self._subscriptions)

    async def add(self, stream: Stream) -> None:
        """Subscribe, once; nothing is sent before `start`. Raises TooManySubscriptions."""
        if stream.name in self._subscriptions:
            return
        if len(self) >= settings.WS_SUBSCRIPTIONS_MAX:
            raise TooManySubscriptions(details={"limit": settings.WS_SUBSCRIPTIONS_MAX})
        kind = BookSubscription if stream.kind == "orderbook" else Subscription
        subscription = kind(outbox=self._outbox, load=partial(Openings.of, stream), active=self._active)
        self._subscriptions[stream.name] = subscription
        await self._hub.join(keys.stream(stream.name), subscription)

    def start(self, names: Iterable[str]) -> None:
        """Let subscriptions that were added send; those that do already are left as they are."""
        for name in names:
            if subscription := self._subscriptions.get(name):
                subscription.start()

    def remove(self, names: Iterable[str]) -> None:
        """Unsubscribe; what isn't subscribed is passed over."""
        for name in names:
            subscription = self._subscriptions.pop(name, None)
            if subscription is not None:
                subscription.end()
                self._hub.leave(keys.stream(name), subscription)

    def close(self) -> None:
        """Leave all."""
        self.remove(tuple(self._subscriptions))
