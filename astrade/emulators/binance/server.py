"""The exchange behind HTTP: routes, signatures, limits, headers (binance-api.md §3 to §5), and faults of requests.

The market streams and the WebSocket API are served by the same port, under the paths they have at the real hosts.
"""

import contextlib
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from astrade.emulators import serving
from astrade.emulators.answering import Answering
from astrade.emulators.binance import control, gate, streams, ws_api
from astrade.emulators.binance.accounts import Account
from astrade.emulators.binance.calls import Answer, Route
from astrade.emulators.binance.exchange import Exchange, Told
from astrade.emulators.binance.parameters import SECURITY, Parameters
from astrade.emulators.binance.refusals import Refused
from astrade.emulators.binance.signatures import SIGNATURE, rest_payload
from astrade.emulators.binance.sockets import HEARTBEAT, LIFETIME_S
from astrade.emulators.connections import OPEN, Heartbeat, close_all

BASE = "/api/v3"
WAF_PAGE = "<html><h1>403 Forbidden</h1></html>"


class Server:
    """One exchange's HTTP side. `hang_s` is how long a request hangs that is never answered, `byte_every_s` the pace of
    a slow answer."""

    def __init__(self, exchange: Exchange, *, hang_s: float = 120, byte_every_s: float = 0.05) -> None:
        self._exchange = exchange
        self._answering = Answering(exchange.faults, exchange.now_ms, hang_s=hang_s, byte_every_s=byte_every_s)

    def application(self, *, heartbeat: Heartbeat = HEARTBEAT, lifetime_s: float = LIFETIME_S) -> web.Application:
        """Everything the exchange serves, and the emulator's own `/emulator`."""
        application = web.Application()
        application[OPEN] = weakref.WeakSet()
        application.on_shutdown.append(close_all)
        for route in ws_api.ROUTES:
            application.router.add_route(route.method, BASE + route.path, self._endpoint(route))
        application.router.add_routes(streams.routes(self._exchange, heartbeat=heartbeat, lifetime_s=lifetime_s))
        application.router.add_routes(ws_api.routes(self._exchange, heartbeat=heartbeat, lifetime_s=lifetime_s))
        application.router.add_routes(control.routes(self._exchange))
        return application

    def _endpoint(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await self._handle(route, request)
            except Refused as refusal:
                news = self._exchange.take_news()  # one that failed in part has some
                headers = {} if refusal.retry_after_s is None else {"Retry-After": str(refusal.retry_after_s)}
                body = orjson.dumps(refusal.body)
                answer = await self._send(request, body, status=refusal.status, headers=headers)
                self._exchange.publish(news)
                return answer

        return handle

    async def _handle(self, route: Route, request: web.Request) -> web.StreamResponse:
        exchange, changes = self._exchange, route.method != "GET"
        gate.demand_service(exchange)
        if exchange.faults.hits("waf_blocked"):
            return web.Response(status=403, text=WAF_PAGE, content_type="text/html")
        if changes and (broken := await self._break_before(request)) is not None:
            return broken
        query, form = request.raw_path.partition("?")[2], (await request.read()).decode(errors="replace")
        sent = _sent(query, form)
        caller = self._caller(request, query, form, sent) if route.is_signed else None
        read = (request.path, caller and caller.id, *sorted(item for item in sent.items() if item[0] not in SECURITY))
        if not changes and (earlier := self._answering.earlier(read)) is not None:
            return await self._send(request, earlier, status=200)
        answer = gate.run(exchange, route, Parameters(sent), address=_address(request), caller=caller)
        body, news = orjson.dumps(answer.data), exchange.take_news()
        if not changes:
            self._answering.keep(read, body)
            return await self._send(request, body, status=200)
        return await self._acknowledge(request, answer, body, caller, news)

    async def _acknowledge(
        self, request: web.Request, answer: Answer, body: bytes, caller: Account | None, news: list[Told]
    ) -> web.StreamResponse:
        """Answer a change that was carried out; the user streams tell of it after."""
        exchange = self._exchange
        if exchange.faults.hits("fill_overtakes_ack"):
            exchange.publish(news)
            news = []
        headers = order_headers(exchange, caller) if answer.counts_order and caller is not None else {}
        try:
            broken = await self._break_after(request, answer, news)
            return broken or await self._send(request, body, status=200, headers=headers)
        finally:
            exchange.publish(news)
            news.clear()

    def _caller(self, request: web.Request, query: str, form: str, sent: Mapping[str, str]) -> Account:
        api_key, parameters = request.headers.get("X-MBX-APIKEY"), Parameters(sent)
        account = gate.known_caller(self._exchange, api_key)
        signature = parameters.needed(SIGNATURE)
        gate.demand_time(self._exchange, parameters)
        gate.demand_signature(account, api_key or "", payload=rest_payload(query, form), signature=signature)
        return account

    async def _break_before(self, request: web.Request) -> web.StreamResponse | None:
        if self._exchange.faults.hits("timeout_before_accept"):
            return await self._answering.hang(request)
        return self._answering.broken_before(request)

    async def _break_after(self, request: web.Request, answer: Answer, news: list[Told]) -> web.StreamResponse | None:
        def carry_out() -> None:
            self._exchange.publish(news)
            news.clear()

        gate.demand_answer(self._exchange, answer)
        return await self._answering.broken_after(request, carry_out=carry_out)

    async def _send(
        self, request: web.Request, body: bytes, *, status: int, headers: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        used = str(self._exchange.traffic.used(_address(request), now_ms=self._exchange.now_ms()))
        weights = {"X-MBX-USED-WEIGHT": used, "X-MBX-USED-WEIGHT-1M": used}
        return await self._answering.send(request, body, status=status, headers=weights | dict(headers or {}))


@contextlib.asynccontextmanager
async def served(
    exchange: Exchange,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    server: Server | None = None,
    heartbeat: Heartbeat = HEARTBEAT,
    lifetime_s: float = LIFETIME_S,
) -> AsyncIterator[str]:
    """Serves the exchange on a port, a free one for 0; yields its base URL. Prices stand still: see `serving.move`."""
    application = (server or Server(exchange)).application(heartbeat=heartbeat, lifetime_s=lifetime_s)
    async with serving.serve(application, host=host, port=port) as url:
        yield url


def order_headers(exchange: Exchange, account: Account) -> dict[str, str]:
    """The account's unfilled orders."""
    short, long = exchange.order_counts[account.id].counts(exchange.now_ms())
    return {"X-MBX-ORDER-COUNT-10S": str(short), "X-MBX-ORDER-COUNT-1D": str(long)}


def _sent(query: str, form: str) -> dict[str, str]:
    """Parameters by name: of one that is given twice the first, and that of the query before that of the body."""
    found: dict[str, str] = {}
    for text in (query, form):
        for name, value in parse_qsl(text, keep_blank_values=True):
            found.setdefault(name, value)
    return found


def _address(request: web.Request) -> str:
    return request.remote or ""
