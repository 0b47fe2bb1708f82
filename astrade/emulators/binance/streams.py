"""Market streams: raw and combined, with control messages (binance-api.md §9)."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from astrade.emulators.binance.exchange import Exchange
from astrade.emulators.binance.sockets import LIFETIME_S, BinanceConnection, shutdown_event, turned_away
from astrade.emulators.binance.tape import topic_of
from astrade.emulators.connections import Heartbeat, Json
from astrade.emulators.hub import News

STREAMS_MAX = 1_024
SHUTDOWN = "!serverShutdown"
UNKNOWN_PROPERTY, VALUE_TYPE, INVALID_REQUEST, INVALID_JSON = range(4)


class ControlError(Exception):
    """A control message answered with an error; the connection stays open."""

    def __init__(self, code: int, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


class Streams(BinanceConnection):
    """A connection with any number of streams; a combined one names the stream of each message."""

    def __init__(
        self,
        exchange: Exchange,
        request: web.Request,
        *,
        heartbeat: Heartbeat,
        lifetime_s: float,
        names: Sequence[str],
        is_combined: bool,
    ) -> None:
        super().__init__(exchange, request, heartbeat=heartbeat, lifetime_s=lifetime_s)
        self._is_combined = is_combined
        self._names: dict[str, None] = {}
        self._subscribe(names)

    def envelope(self, news: News, seq: int) -> Any:
        return self._wrapped(news.topic[1], news.data)

    def wants(self, news: News) -> bool:
        return news.topic[1] in self._names

    def is_numbered(self, news: News) -> bool:
        """Diff depth has update ids."""
        return isinstance(news.data, dict) and "U" in news.data

    def goodbye(self) -> Any:
        return self._wrapped(SHUTDOWN, shutdown_event(self.exchange))

    async def received(self, message: str) -> None:
        request_id: Any = None
        try:
            request = _request(message)
            request_id = request.get("id")
            answer: Json = {"result": self._control(request)}
        except ControlError as error:
            answer = {"code": error.code, "msg": error.message}
        await self.send(answer | {"id": request_id})

    def _control(self, request: Json) -> Any:
        method, params = request.get("method"), request.get("params", [])
        if method == "LIST_SUBSCRIPTIONS":
            return list(self._names)
        if method in ("SET_PROPERTY", "GET_PROPERTY"):
            return self._property(params, is_set=method == "SET_PROPERTY")
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            raise ControlError(INVALID_REQUEST, f"Invalid request: unknown variant {method}")
        if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
            raise ControlError(INVALID_REQUEST, "Invalid request: params must be an array of strings")
        if method == "SUBSCRIBE":
            self._subscribe(params)
        else:
            self._unsubscribe(params)
        return None

    def _property(self, params: Any, *, is_set: bool) -> Any:
        if not isinstance(params, list) or params[:1] != ["combined"]:
            raise ControlError(UNKNOWN_PROPERTY, "Unknown property")
        if not is_set:
            return self._is_combined
        if len(params) != 2 or not isinstance(params[1], bool):
            raise ControlError(VALUE_TYPE, "Invalid value type: expected Boolean")
        self._is_combined = params[1]
        return None

    def _subscribe(self, names: Sequence[str]) -> None:
        new = [name for name in dict.fromkeys(names) if name not in self._names]
        if len(self._names) + len(new) > STREAMS_MAX:
            raise ControlError(INVALID_REQUEST, "Invalid request: too many streams")
        self._names |= dict.fromkeys(new)
        self.listen([topic_of(name) for name in new], [])

    def _unsubscribe(self, names: Sequence[str]) -> None:
        gone = [name for name in dict.fromkeys(names) if name in self._names]
        for name in gone:
            del self._names[name]
        self.ignore([topic_of(name) for name in gone])

    def _wrapped(self, name: str, data: Any) -> Any:
        return {"stream": name, "data": data} if self._is_combined else data


def routes(exchange: Exchange, *, heartbeat: Heartbeat, lifetime_s: float = LIFETIME_S) -> list[web.RouteDef]:
    """`/ws`, `/ws/<stream>` and `/stream?streams=a/b`."""

    def stream(
        names_of: Callable[[web.Request], Sequence[str]], *, is_combined: bool
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            if (refused := turned_away(exchange, request)) is not None:
                return refused
            try:
                connection = Streams(
                    exchange,
                    request,
                    heartbeat=heartbeat,
                    lifetime_s=lifetime_s,
                    names=names_of(request),
                    is_combined=is_combined,
                )
            except ControlError as error:
                return web.Response(status=400, text=error.message)
            return await connection.serve()

        return handle

    return [
        web.get("/ws", stream(lambda request: (), is_combined=False)),
        web.get("/ws/{names:.+}", stream(lambda request: _split(request.match_info["names"]), is_combined=False)),
        web.get("/stream", stream(lambda request: _split(request.query.get("streams", "")), is_combined=True)),
    ]


def _split(names: str) -> list[str]:
    return [name for name in names.split("/") if name]


def _request(message: str) -> Json:
    try:
        request = json.loads(message)
    except (ValueError, RecursionError):
        raise ControlError(INVALID_JSON, "Invalid JSON: expected value at line 1 column 1") from None
    if not isinstance(request, dict):
        raise ControlError(INVALID_REQUEST, "Invalid request: expected an object")
    return request
