"""The exchange behind HTTP: routes, envelope and headers (extended-api.md §2, §3), and the faults of requests."""

import contextlib
import json
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

import orjson
from aiohttp import web

from astrade.emulators import control, serving
from astrade.emulators.answering import Answering
from astrade.emulators.connections import OPEN, Heartbeat, close_all
from astrade.emulators.extended import (
    account_calls,
    fund_calls,
    onboarding_calls,
    order_calls,
    public_calls,
    rpc,
    sockets,
)
from astrade.emulators.extended.accounts import Account
from astrade.emulators.extended.calls import Answer, Call, Route
from astrade.emulators.extended.control import credentials, state
from astrade.emulators.extended.exchange import Exchange
from astrade.emulators.extended.refusals import Code, Refused
from astrade.emulators.extended.requests import invalid

BASE, STREAMS = "/api/v1", "/stream.extended.exchange"
ROUTES = (
    *public_calls.ROUTES,
    *account_calls.ROUTES,
    *order_calls.ROUTES,
    *fund_calls.ROUTES,
    *onboarding_calls.ROUTES,
)
RETRY_AFTER_S = 1

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """One exchange's HTTP side. `hang_s` is how long a request hangs that is never answered, `byte_every_s` the pace of
    a slow answer."""

    def __init__(self, exchange: Exchange, *, hang_s: float = 120, byte_every_s: float = 0.05) -> None:
        self._exchange = exchange
        self._answering = Answering(exchange.faults, exchange.now_ms, hang_s=hang_s, byte_every_s=byte_every_s)

    def application(self, *, heartbeat: Heartbeat = sockets.HEARTBEAT) -> web.Application:
        """Everything the exchange serves, and the emulator's own `/emulator`."""
        application = web.Application(middlewares=[_demand_user_agent])
        application[OPEN] = weakref.WeakSet()
        application.on_shutdown.append(close_all)
        for route in ROUTES:
            path = route.path if route.at_host else BASE + route.path
            application.router.add_route(route.method, path, self._endpoint(route))
        application.router.add_routes(sockets.routes(self._exchange, prefix=f"{STREAMS}/v1", heartbeat=heartbeat))
        application.router.add_routes(rpc.routes(self._exchange, path=f"{STREAMS}/v2/rpc", heartbeat=heartbeat))
        application.router.add_routes(self._control())
        return application

    def _control(self) -> list[web.RouteDef]:
        exchange = self._exchange

        def accounts() -> list[Account]:
            return list(exchange.accounts.values())

        return control.routes(
            faults=exchange.faults,
            switch=exchange.switch_faults,
            state=lambda: {str(account.id): state(exchange, account) for account in accounts()},
            accounts=lambda: [credentials(account) for account in accounts()],
        )

    def _endpoint(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await self._handle(route, request)
            except Refused as refusal:
                return await self._answering.send(request, _failure(refusal), status=refusal.status)

        return handle

    async def _handle(self, route: Route, request: web.Request) -> web.StreamResponse:
        answering, changes = self._answering, route.method != "GET"
        if (refused := self._limited()) is not None:
            return refused
        if changes and (broken := answering.broken_before(request)) is not None:
            return broken
        call = await self._call(route, request)
        key = (request.headers.get("X-Api-Key"), request.path_qs)
        if not changes and (earlier := answering.earlier(key)) is not None:
            return await answering.send(request, earlier, status=200)
        answer = route.handler(call)
        self._exchange.changes += changes
        body = _success(answer)
        if not changes:
            answering.keep(key, body)
        try:
            broken = await self._break_after(request, answer) if changes else None
            return broken or await answering.send(request, body, status=200)
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

    def _limited(self) -> web.Response | None:
        if self._exchange.faults.hits("rate_limited_retry_after"):
            return web.Response(status=429, headers={"Retry-After": str(RETRY_AFTER_S)})
        return web.Response(status=429) if self._exchange.faults.hits("rate_limited") else None

    async def _break_after(self, request: web.Request, answer: Answer) -> web.StreamResponse | None:
        """Whatever happens to the answer, the request is carried out."""
        broken = await self._answering.broken_after(request, carry_out=lambda: _carry_out(answer))
        if broken is None and self._exchange.faults.hits("duplicate_execution_refused"):
            return await self._answering.send(request, _failure(Refused(Code.DUPLICATE_ORDER)), status=400)
        return broken


@contextlib.asynccontextmanager
async def served(
    exchange: Exchange,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    server: Server | None = None,
    heartbeat: Heartbeat = sockets.HEARTBEAT,
) -> AsyncIterator[str]:
    """Serves the exchange on a port, a free one for 0; yields its base URL. Prices stand still: see `serving.move`."""
    application = (server or Server(exchange)).application(heartbeat=heartbeat)
    async with serving.serve(application, host=host, port=port) as url:
        yield url


@web.middleware
async def _demand_user_agent(request: web.Request, handler: Next) -> web.StreamResponse:
    if request.path.startswith((BASE, STREAMS, onboarding_calls.PREFIX)) and not request.headers.get("User-Agent"):
        refusal = Refused(Code.ACTION_NOT_ALLOWED, "User-Agent is missing", status=403)
        return web.Response(body=_failure(refusal), status=refusal.status, content_type="application/json")
    return await handler(request)


def _carry_out(answer: Answer) -> None:
    if answer.after is not None:
        answer.after()


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


def _parse(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise invalid("the body is no JSON") from None
