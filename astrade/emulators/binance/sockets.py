"""What all WebSockets of the exchange have in common (binance-api.md §9): pings, a longest life, a goodbye."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import WSMessage, web

from astrade.emulators.binance import events
from astrade.emulators.binance.exchange import Exchange
from astrade.emulators.binance.refusals import Refused
from astrade.emulators.connections import Connection, Heartbeat, Json
from astrade.emulators.hub import News

HEARTBEAT = Heartbeat(ping_every_s=20, pong_within_s=60)
LIFETIME_S = 24 * 3_600.0
RATE_WINDOW_MS = 1_000
MESSAGES_MAX = 5  # in a window, pings and pongs among them


class BinanceConnection(Connection):
    """A socket that lives `lifetime_s` at most and is closed without a word when too much is sent on it."""

    def __init__(
        self, exchange: Exchange, request: web.Request, *, heartbeat: Heartbeat, lifetime_s: float = LIFETIME_S
    ) -> None:
        super().__init__(request, hub=exchange.hub, faults=exchange.faults, heartbeat=heartbeat)
        self.exchange, self._lifetime_s = exchange, lifetime_s
        self._taken_ms: deque[int] = deque(maxlen=MESSAGES_MAX)

    def works(self) -> Sequence[Callable[[], Awaitable[None]]]:
        return (*super().works(), self._expire)

    async def deliver(self, news: News) -> None:
        if self.exchange.faults.hits("server_shutdown"):
            await self.leave()
            raise ConnectionResetError("closed by a fault")
        await super().deliver(news)

    async def _take(self, message: WSMessage) -> None:
        if self.is_limited and self._is_too_much():
            raise ConnectionResetError("too many messages")
        await super()._take(message)

    @property
    def is_limited(self) -> bool:
        """Whether it may send a few messages a second only."""
        return True

    def _is_too_much(self) -> bool:
        now_ms, taken = self.exchange.now_ms(), self._taken_ms
        is_full = len(taken) == MESSAGES_MAX and now_ms - taken[0] < RATE_WINDOW_MS
        taken.append(now_ms)
        return is_full

    async def _expire(self) -> None:
        await asyncio.sleep(self._lifetime_s)
        await self.leave()


def turned_away(exchange: Exchange, request: web.Request, *, weight: int = 0) -> web.Response | None:
    """Count a connection attempt and what it weighs; what whoever has no more left is answered."""
    if exchange.faults.hits("stream_refused"):
        return web.Response(status=503)
    address, now_ms = request.remote or "", exchange.now_ms()
    try:
        exchange.traffic.connect(address, now_ms=now_ms)
    except Refused as refusal:
        headers = {"Retry-After": str(refusal.retry_after_s)}
        return web.json_response(refusal.body, status=refusal.status, headers=headers)
    exchange.traffic.charge(address, weight=weight, now_ms=now_ms)
    return None


def shutdown_event(exchange: Exchange) -> Json:
    """What every client hears before its connection is closed."""
    return events.server_shutdown(now_ms=exchange.now_ms())
