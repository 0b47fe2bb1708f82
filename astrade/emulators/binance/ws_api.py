"""The WebSocket API: requests of the endpoints, sessions, and the user data stream (binance-api.md §10)."""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from aiohttp import web

from astrade.emulators.binance import account_calls, events, gate, order_calls, public_calls
from astrade.emulators.binance.accounts import Account
from astrade.emulators.binance.calls import Answer, Call, Route, reading
from astrade.emulators.binance.exchange import Exchange, Told, user_topic
from astrade.emulators.binance.parameters import SECURITY, Parameters
from astrade.emulators.binance.refusals import Code, Refused, invalid
from astrade.emulators.binance.signatures import SIGNATURE, rpc_payload
from astrade.emulators.binance.sockets import LIFETIME_S, BinanceConnection, shutdown_event, turned_away
from astrade.emulators.binance.user_stream import Subscriptions
from astrade.emulators.connections import Heartbeat, Json
from astrade.emulators.hub import News

ROUTES = (*public_calls.ROUTES, *account_calls.ROUTES, *order_calls.ROUTES)
PATH = "/ws-api/v3"
CONNECTION_WEIGHT = 2
UNKNOWN_STATUS = "PENDING_CANCEL"  # documented as unused
SHOWS_LIMITS = "returnRateLimits"
LIMITED = (418, 429)
OK = 200


class Api(BinanceConnection):
    """A connection: any request may be signed by itself, or all by one logon."""

    def __init__(self, exchange: Exchange, request: web.Request, *, heartbeat: Heartbeat, lifetime_s: float) -> None:
        super().__init__(exchange, request, heartbeat=heartbeat, lifetime_s=lifetime_s)
        self._address, self._connected_ms = request.remote or "", exchange.now_ms()
        self._shows_limits = request.query.get(SHOWS_LIMITS) != "false"
        self._subscriptions = Subscriptions()
        self._session: tuple[str, Account, int] | None = None  # API key, its account, since when
        self._routes = {route.rpc: route for route in (*ROUTES, *self._own_routes())}
        self._told: list[Told] = []
        self._ended: dict[int, Account] = {}  # subscriptions that a request ends, to be told of after its answer

    @property
    def is_limited(self) -> bool:
        return False

    def envelope(self, news: News, seq: int) -> Any:
        return {"subscriptionId": self._subscriptions.number_of(news.topic[1]), "event": news.data}

    def wants(self, news: News) -> bool:
        return self._subscriptions.number_of(news.topic[1]) is not None

    def is_numbered(self, news: News) -> bool:
        return False

    def altered(self, news: News) -> News:
        if news.data["e"] != "executionReport" or not self.exchange.faults.hits("unknown_status"):
            return news
        return News(news.topic, news.kind, news.data | {"X": UNKNOWN_STATUS}, news.at_ms)

    def goodbye(self) -> Any:
        return {"event": shutdown_event(self.exchange)}

    async def deliver(self, news: News) -> None:
        if not self.wants(news):
            return
        if self.exchange.faults.is_on("key_revoked"):
            self._forget(self._subscriptions.remove(None))
            await self.send({"id": None, **_failure(_revoked(), now_ms=self.exchange.now_ms())})
        elif self.exchange.faults.hits("user_stream_terminated"):
            await self._terminate(self._subscriptions.remove(None))
        else:
            await super().deliver(news)

    async def received(self, message: str) -> None:
        request_id: Any = None
        try:
            request = _request(message)
            request_id = request.get("id")
            route = self._routes.get(str(request.get("method")))
            if route is None:
                raise invalid("method")
            sent = _texts(request.get("params"))
            shows_limits = sent.get(SHOWS_LIMITS, str(self._shows_limits)).lower() == "true"
            body = await self._answer(route, sent)
        except Refused as refusal:
            body, shows_limits = _failure(refusal, now_ms=self.exchange.now_ms()), self._shows_limits
        if body is not None:
            await self.send({"id": request_id, **body, **(self._limits() if shows_limits else {})})
        await self._terminate(self._ended)
        self._publish()

    async def _answer(self, route: Route, sent: dict[str, str]) -> Json | None:
        """What is answered; None for nothing. Raises Refused."""
        exchange, changes = self.exchange, route.method != "GET"
        gate.demand_service(exchange)
        if changes and exchange.faults.hits("timeout_before_accept"):
            return None
        if changes and exchange.faults.hits("reset_before_accept"):
            self.break_off(b"")
        caller = self._caller(sent) if route.is_signed else None
        parameters = Parameters({name: value for name, value in sent.items() if name != SHOWS_LIMITS})
        try:
            answer = gate.run(exchange, route, parameters, address=self._address, caller=caller)
        finally:
            self._told = exchange.take_news()
        if changes:
            if exchange.faults.hits("fill_overtakes_ack"):
                self._publish()
            if exchange.faults.hits("accept_then_timeout"):
                return None
            if exchange.faults.hits("reset_after_accept"):
                self._publish()
                self.break_off(b"")
            gate.demand_answer(exchange, answer)
        return {"status": OK, "result": answer.data}

    def _publish(self) -> None:
        """The news of the last request, which follow its answer."""
        told, self._told = self._told, []
        self.exchange.publish(told)

    def _caller(self, sent: Mapping[str, str]) -> Account:
        parameters = Parameters(sent)
        if self._session is not None and "apiKey" not in sent:
            gate.known_caller(self.exchange, self._session[0])
            gate.demand_time(self.exchange, parameters)
            return self._session[1]
        account = gate.known_caller(self.exchange, sent.get("apiKey"))
        gate.demand_time(self.exchange, parameters)
        signature = parameters.needed(SIGNATURE)
        gate.demand_signature(account, sent["apiKey"], payload=rpc_payload(sent), signature=signature)
        return account

    def _own_routes(self) -> tuple[Route, ...]:
        def route(rpc: str, handler: Callable[[Call], Answer], *, is_signed: bool = False, reads: str = "") -> Route:
            names = reading(*reads.split()) | SECURITY
            return Route(method="GET", path="", handler=handler, weight=2, is_signed=is_signed, rpc=rpc, reads=names)

        return (
            route("session.logon", self._log_on, is_signed=True),
            route("session.status", self._status),
            route("session.logout", self._log_out),
            route("session.subscriptions", self._list),
            route("userDataStream.subscribe", self._subscribe_session),
            route("userDataStream.subscribe.signature", self._subscribe, is_signed=True),
            route("userDataStream.unsubscribe", self._unsubscribe, reads="subscriptionId"),
        )

    def _log_on(self, call: Call) -> Answer:
        account, api_key = call.account, call.parameters.needed("apiKey")
        if api_key != account.ed25519_api_key:
            raise Refused(Code.INVALID_SIGNATURE, "Only Ed25519 keys can log on.")
        self._session = (api_key, account, self.exchange.now_ms())
        return self._status(call)

    def _status(self, call: Call) -> Answer:
        api_key, since = (self._session[0], self._session[2]) if self._session else (None, None)
        return Answer(
            {
                "apiKey": api_key,
                "authorizedSince": since,
                "connectedSince": self._connected_ms,
                "returnRateLimits": self._shows_limits,
                "serverTime": self.exchange.now_ms(),
                "userDataStream": bool(self._subscriptions.numbers()),
            }
        )

    def _log_out(self, call: Call) -> Answer:
        self._session = None
        self._ended = self._subscriptions.remove(None)
        return self._status(call)

    def _list(self, call: Call) -> Answer:
        return Answer([{"subscriptionId": number} for number in self._subscriptions.numbers()])

    def _subscribe_session(self, call: Call) -> Answer:
        if self._session is None:
            raise _revoked()
        return self._listen_to(self._session[1])

    def _subscribe(self, call: Call) -> Answer:
        return self._listen_to(call.account)

    def _listen_to(self, account: Account) -> Answer:
        number = self._subscriptions.add(account)
        self.listen([user_topic(account)], [])
        return Answer({"subscriptionId": number})

    def _unsubscribe(self, call: Call) -> Answer:
        self._ended = self._subscriptions.remove(call.parameters.number("subscriptionId"))
        return Answer({})

    async def _terminate(self, ended: Mapping[int, Account]) -> None:
        self._ended = {}
        self._forget(ended)
        for number in ended:
            event = events.stream_terminated(now_ms=self.exchange.now_ms())
            await self.send({"subscriptionId": number, "event": event})

    def _forget(self, ended: Mapping[int, Account]) -> None:
        self.ignore([user_topic(account) for account in ended.values()])

    def _limits(self) -> Json:
        used = self.exchange.traffic.used(self._address, now_ms=self.exchange.now_ms())
        return {"rateLimits": [self.exchange.limits.bodies()[0] | {"count": used}]}


def routes(exchange: Exchange, *, heartbeat: Heartbeat, lifetime_s: float = LIFETIME_S) -> list[web.RouteDef]:
    """The one path of the WebSocket API."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if (refused := turned_away(exchange, request, weight=CONNECTION_WEIGHT)) is not None:
            return refused
        return await Api(exchange, request, heartbeat=heartbeat, lifetime_s=lifetime_s).serve()

    return [web.get(PATH, handle)]


def _revoked() -> Refused:
    return Refused(Code.REJECTED_API_KEY, "Invalid API-key, IP, or permissions for action.", status=401)


def _failure(refusal: Refused, *, now_ms: int) -> Json:
    error = refusal.body
    if refusal.status in LIMITED and refusal.retry_after_s is not None:
        error["data"] = {"serverTime": now_ms, "retryAfter": now_ms + refusal.retry_after_s * 1_000}
    return {"status": refusal.status, "error": error}


def _request(message: str) -> Json:
    try:
        request = json.loads(message, parse_float=Decimal)
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict) or not isinstance(request.get("params") or {}, dict):
        raise Refused(Code.UNKNOWN, "The request is no JSON object with method and params.")
    return request


def _texts(params: Mapping[str, Any] | None) -> dict[str, str]:
    """Parameters as they are signed."""
    return {name: _text(value) for name, value in (params or {}).items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return json.dumps(value, separators=(",", ":"), default=str)
    return str(value)
