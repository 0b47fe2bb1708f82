"""WebSocket v2: JSON-RPC, one connection for everything (extended-api.md §10)."""

import json
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from aiohttp import web

from astrade.emulators.connections import Heartbeat, Json
from astrade.emulators.extended import tape
from astrade.emulators.extended.exchange import Exchange
from astrade.emulators.extended.prices import INTERVALS_MS
from astrade.emulators.extended.sockets import ExtendedConnection, first_of
from astrade.emulators.hub import News, Topic

SCOPES: Mapping[str, str] = {
    "trades": tape.TRADES,
    "funding-rates": tape.FUNDING,
}
PRICES: Mapping[str, str] = {"mark": tape.MARK, "index": tape.INDEX}
CANDLES: Mapping[str, str] = {"last": "trades", "mark": "mark-prices", "index": "index-prices"}
TYPES: Mapping[str, str] = {
    tape.BOOK: "ORDERBOOKS",
    tape.TOP: "ORDERBOOKS",
    tape.TRADES: "TRADES",
    tape.FUNDING: "FUNDING_RATES",
    tape.MARK: "PRICES",
    tape.INDEX: "PRICES",
    tape.CANDLES: "CANDLES",
    "account": "ACCOUNT",
}


class RpcCode(IntEnum):
    PARSE_ERROR = -32700
    INVALID_REQUEST = -32600
    UNKNOWN_METHOD = -32601
    INVALID_PARAMS = -32602
    UNAUTHORIZED = -32001


class RpcError(Exception):
    """A request answered with an error."""

    def __init__(self, code: RpcCode) -> None:
        self.code = code
        super().__init__(code.name)


class Rpc(ExtendedConnection):
    """A v2 connection: subscriptions by name, each to one or more topics; numbers count from 0 over all of them."""

    first_seq = 0

    def __init__(self, exchange: Exchange, request: web.Request, heartbeat: Heartbeat) -> None:
        super().__init__(exchange, request, heartbeat)
        self._subscriptions: dict[str, list[Topic]] = {}

    def envelope(self, news: News, seq: int) -> Json:
        kind = TYPES[news.topic[0]]
        data = news.data
        if news.topic[0] == "account":
            data = {"isSnapshot": news.is_first} | data
        elif kind == "ORDERBOOKS":
            data = data | {"d": "1" if news.topic[0] == tape.TOP else "f"}
        return {
            "type": kind if news.kind is None else f"{kind}.{news.kind}",
            "data": data,
            "error": None,
            "ts": news.at_ms,
            "seq": seq,
            "subscription": self._subscription_of(news.topic),
        }

    def wants(self, news: News) -> bool:
        return bool(self._subscription_of(news.topic))

    async def received(self, message: str) -> None:
        request_id: Any = None
        try:
            request = _request(message)
            request_id = request.get("id")
            result, topics = self._answer(request)
        except RpcError as error:
            refusal = {"code": error.code.value, "message": error.code.name.replace("_", " ").capitalize()}
            await self.send({"id": request_id, "error": refusal})
            return
        await self.send({"id": request_id, "result": result})
        self.listen(topics, first_of(self.exchange, topics))

    def _answer(self, request: Json) -> tuple[Json, list[Topic]]:
        """The result, and the topics whose news begin behind it."""
        method = request.get("method")
        if method == "ping":
            return {}, []
        if method == "list-subscriptions":
            return {"subscriptions": list(self._subscriptions)}, []
        if method not in ("subscribe", "unsubscribe"):
            raise RpcError(RpcCode.UNKNOWN_METHOD)
        name, topics = subscription(self.exchange, request.get("params"))
        self.ignore(self._subscriptions.pop(name, []))
        result = {"method": method, "status": "OK", "subscription": name}
        if method == "unsubscribe":
            return result, []
        self._subscriptions[name] = topics
        return result, topics

    def _subscription_of(self, topic: Topic) -> str:
        return next((name for name, topics in self._subscriptions.items() if topic in topics), "")


def subscription(exchange: Exchange, params: object) -> tuple[str, list[Topic]]:
    """Name and topics of what `params` select. Raises RpcError."""
    if not isinstance(params, dict) or not isinstance(selector := params.get("selector"), dict):
        raise RpcError(RpcCode.INVALID_PARAMS)
    scope = params.get("scope")
    if scope == "account":
        return _account(exchange, selector, params.get("apiKey"))
    market = selector.get("market")
    if market is not None and market not in exchange.instruments:
        raise RpcError(RpcCode.INVALID_PARAMS)
    markets = [name for name in exchange.instruments if market in (None, name)]
    end = market or "all"
    if scope == "orderbooks":
        return _books(selector, markets, end)
    kind, interval = str(selector.get("type")), str(selector.get("interval"))
    if scope == "prices" and kind in PRICES:
        return f"prices.{kind}.{end}", [(PRICES[kind], name) for name in markets]
    if scope == "candles" and kind in CANDLES and interval in INTERVALS_MS and market:
        return f"candles.{kind}.{market}.{interval}", [(tape.CANDLES, market, CANDLES[kind], interval)]
    if scope in ("trades", "funding-rates"):
        return f"{scope}.{end}", [(SCOPES[scope], name) for name in markets]
    raise RpcError(RpcCode.INVALID_PARAMS)


def routes(exchange: Exchange, *, path: str, heartbeat: Heartbeat) -> list[web.RouteDef]:
    """The one path of v2."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if exchange.faults.hits("stream_refused"):
            raise web.HTTPServiceUnavailable
        return await Rpc(exchange, request, heartbeat).serve()

    return [web.get(path, handle)]


def _books(selector: Json, markets: list[str], end: str) -> tuple[str, list[Topic]]:
    depth, rfq_only = selector.get("depth", "full"), selector.get("rfqOnly", False)
    if depth == "1" and not rfq_only:
        return f"orderbooks.1.{end}", [(tape.TOP, name) for name in markets]
    if depth == "full":
        # no market here is traded by quotes: what of the book is only for them is nothing
        return f"orderbooks.{end}" + (".rfq" if rfq_only else ""), (
            [] if rfq_only else [(tape.BOOK, name) for name in markets]
        )
    raise RpcError(RpcCode.INVALID_PARAMS)


def _account(exchange: Exchange, selector: Json, api_key: object) -> tuple[str, list[Topic]]:
    account = exchange.account_of(api_key) if isinstance(api_key, str) else None
    if account is None or str(selector.get("account")) != str(account.id):
        raise RpcError(RpcCode.UNAUTHORIZED)
    return f"account.{account.id}", [("account", str(account.id))]


def _request(message: str) -> Json:
    try:
        request = json.loads(message)
    except (ValueError, RecursionError):
        raise RpcError(RpcCode.PARSE_ERROR) from None
    if not isinstance(request, dict):
        raise RpcError(RpcCode.INVALID_REQUEST)
    return request
