"""The exchange behind HTTP: routes, envelope and headers (extended-api.md §2, §3), and the faults of requests."""

import asyncio
import contextlib
import json
import socket
import struct
import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from email.utils import formatdate
from typing import Any

import orjson
from aiohttp import web

from astrade.core.clock import Clock, system_clock
from astrade.emulators.extended import (
    account_calls,
    control,
    faults,
    fund_calls,
    onboarding_calls,
    order_calls,
    public_calls,
    rpc,
    sockets,
)
from astrade.emulators.extended.calls import Answer, Call, Route
from astrade.emulators.extended.exchange import Exchange
from astrade.emulators.extended.refusals import Code, Refused
from astrade.emulators.extended.requests import invalid
from marketdata.feeds.base import Paced, SteppedFeed

BASE, STREAMS = "/api/v1", "/stream.extended.exchange"
ROUTES = (
    *public_calls.ROUTES,
    *account_calls.ROUTES,
    *order_calls.ROUTES,
    *fund_calls.ROUTES,
    *onboarding_calls.ROUTES,
)
TICKS_PER_S = 10  # the book stream's cadence
RETRY_AFTER_S = 1
READS_KEPT = 1_000
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """One exchange's HTTP side. `hang_s` is how long a request hangs that is never answered, `byte_every_s` the pace of
    a slow answer."""

    def __init__(self, exchange: Exchange, *, hang_s: float = 120, byte_every_s: float = 0.05) -> None:
        self._exchange, self._hang_s, self._byte_every_s = exchange, hang_s, byte_every_s
        self._reads: OrderedDict[tuple[str | None, str], bytes] = OrderedDict()

    def application(self, *, heartbeat: sockets.Heartbeat = sockets.HEARTBEAT) -> web.Application:
        """Everything the exchange serves, and the emulator's own `/emulator`."""
        application = web.Application(middlewares=[_demand_user_agent])
        application[sockets.OPEN] = weakref.WeakSet()
        application.on_shutdown.append(sockets.close_all)
        for route in ROUTES:
            path = route.path if route.at_host else BASE + route.path
            application.router.add_route(route.method, path, self._endpoint(route))
        application.router.add_routes(sockets.routes(self._exchange, prefix=f"{STREAMS}/v1", heartbeat=heartbeat))
        application.router.add_routes(rpc.routes(self._exchange, path=f"{STREAMS}/v2/rpc", heartbeat=heartbeat))
        application.router.add_routes(control.routes(self._exchange))
        return application

    def _endpoint(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await self._handle(route, request)
            except Refused as refusal:
                return await self._send(request, _failure(refusal), status=refusal.status)

        return handle

    async def _handle(self, route: Route, request: web.Request) -> web.StreamResponse:
        changes = route.method != "GET"
        if (refused := self._limited()) is not None:
            return refused
        if changes and (broken := await self._break_before(request)) is not None:
            return broken
        call = await self._call(route, request)
        key = (request.headers.get("X-Api-Key"), request.path_qs)
        if not changes and key in self._reads and self._exchange.faults.hits("stale_snapshot"):
            return await self._send(request, self._reads[key], status=200)
        answer = route.handler(call)
        self._exchange.changes += changes
        body = _success(answer)
        if not changes and not self._exchange.faults.is_on("stale_snapshot"):
            self._keep(key, body)
        try:
            broken = await self._break_after(request, answer) if changes else None
            return broken or await self._send(request, body, status=200)
        finally:
            _carry_out(answer)

    async def _call(self, route: Route, request: web.Request) -> Call:
        caller = self._exchange.account_of(request.headers.get("X-Api-Key"))
        if route.is_private and caller is None:
            raise Refused(Code.ACCOUNT_NOT_SELECTED, status=401)
        return Call(
            exchange=self._exchange,
            path=request.match_info,
            query={name: request.query.getall(name) for name in request.query},
            body=_parse(await request.read()),
            caller=caller,
            headers=request.headers,
            origin=str(request.url.origin()),
        )

    def _keep(self, key: tuple[str | None, str], body: bytes) -> None:
        self._reads[key] = body
        self._reads.move_to_end(key)
        if len(self._reads) > READS_KEPT:
            self._reads.popitem(last=False)

    def _limited(self) -> web.Response | None:
        if self._exchange.faults.hits("rate_limited_retry_after"):
            return web.Response(status=429, headers={"Retry-After": str(RETRY_AFTER_S)})
        return web.Response(status=429) if self._exchange.faults.hits("rate_limited") else None

    async def _break_before(self, request: web.Request) -> web.StreamResponse | None:
        if self._exchange.faults.hits("reset_before_accept"):
            return reset(request)
        status = self._exchange.faults.first_hit(faults.BEFORE)
        return None if status is None else _gateway_error(status)

    async def _break_after(self, request: web.Request, answer: Answer) -> web.StreamResponse | None:
        """Whatever happens to the answer, the request is carried out."""
        hits = self._exchange.faults.hits
        if hits("accept_then_timeout"):
            _carry_out(answer)
            await asyncio.sleep(self._hang_s)
            return reset(request)
        if hits("reset_after_accept"):
            return reset(request)
        if hits("duplicate_execution_refused"):
            return await self._send(request, _failure(Refused(Code.DUPLICATE_ORDER)), status=400)
        status = self._exchange.faults.first_hit(faults.AFTER)
        return None if status is None else _gateway_error(status)

    async def _send(self, request: web.Request, body: bytes, *, status: int) -> web.StreamResponse:
        hits = self._exchange.faults.hits
        content_type = "text/html" if hits("wrong_content_type") else "application/json"
        if hits("empty_answer"):
            body = b""
        elif hits("truncated_json"):
            body = body[: len(body) // 2]
        pause_s = self._byte_every_s if hits("slow_loris") else 0
        response = web.StreamResponse(
            status=status,
            headers={"Content-Type": content_type, "Date": formatdate(self._exchange.now_ms() // 1000, usegmt=True)},
        )
        response.content_length = len(body)
        with contextlib.suppress(ConnectionError):  # whoever left hears nothing
            await response.prepare(request)
            for part in _parts(body, size=1 if pause_s else len(body)):
                await response.write(part)
                await asyncio.sleep(pause_s)
            await response.write_eof()
        return response


def reset(request: web.Request) -> web.Response:
    """Break the connection off so that the client sees a reset; what is returned goes nowhere."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        request.transport.abort()
    return web.Response()


@contextlib.asynccontextmanager
async def served(
    exchange: Exchange,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    server: Server | None = None,
    heartbeat: sockets.Heartbeat = sockets.HEARTBEAT,
) -> AsyncIterator[str]:
    """Serves the exchange on a port, a free one for 0; yields its base URL. Prices stand still: see `move`."""
    application = (server or Server(exchange)).application(heartbeat=heartbeat)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def move(
    exchange: Exchange, stop: asyncio.Event, *, feed: SteppedFeed | None = None, clock: Clock = system_clock
) -> None:
    """Moves prices by the clock until `stop`: by the exchange's own seeded feed, or another."""
    async for batch in Paced(feed or exchange.prices.feed, ticks_per_s=TICKS_PER_S, clock=clock).batches(stop):
        exchange.take(batch)


@web.middleware
async def _demand_user_agent(request: web.Request, handler: Next) -> web.StreamResponse:
    if request.path.startswith((BASE, STREAMS, onboarding_calls.PREFIX)) and not request.headers.get("User-Agent"):
        refusal = Refused(Code.ACTION_NOT_ALLOWED, "User-Agent is missing", status=403)
        return web.Response(body=_failure(refusal), status=refusal.status, content_type="application/json")
    return await handler(request)


def _carry_out(answer: Answer) -> None:
    if answer.after is not None:
        answer.after()


def _parts(body: bytes, *, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)] if body else []


def _success(answer: Answer) -> bytes:
    envelope: dict[str, Any] = {"status": "OK"}
    if answer.data is not None:
        envelope["data"] = answer.data
    if answer.pagination is not None:
        envelope["pagination"] = answer.pagination
    return orjson.dumps(envelope)


def _failure(refusal: Refused) -> bytes:
    error: dict[str, Any] = {"code": refusal.code.value, "message": refusal.message}
    if refusal.debug:
        error["debugInfo"] = refusal.debug
    return orjson.dumps({"status": "ERROR", "error": error})


def _gateway_error(status: int) -> web.Response:
    return web.Response(status=status, text=f"<html><h1>{status}</h1></html>", content_type="text/html")


def _parse(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise invalid("the body is no JSON") from None
