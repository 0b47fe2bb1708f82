"""Django behind ASGI with one hop a request: the whole synchronous stack runs once in a persistent pool of threads.

    application = ThreadedHandler()
    await application.drain()      at shutdown: started requests end, their answers are sent

Each thread keeps its own database connection (CONN_MAX_AGE=None); one that the server closed meanwhile is noticed
without a round trip. A request that has started is never cancelled because its client went away.
A streaming answer is pulled piece by piece in whatever thread is free, so its iterator may ask the database only whole
queries outside a transaction, each after `drop_dead_connections()`.
"""

import asyncio
import select
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from queue import SimpleQueue
from typing import Any, cast

import psycopg
from django.conf import settings
from django.core import signals
from django.core.cache import close_caches
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.db import close_old_connections, connections, reset_queries
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch, set_script_prefix

from astrade.core.api.parsers import MAX_BODY_BYTES
from astrade.core.errors import AstradeError, Malformed, TooLarge
from astrade.core.http import DressedRequest, plain_error

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
BODY_TIMEOUT_S = 30
DRAIN_S = 30
CHUNK_BYTES = 1 << 16
ROUTES_MAX = 2048
_END = object()
_Call = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Disconnected(Exception):
    """The client went away before its request was complete."""


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """The body, never more than a chunk beyond the limit in memory; raises TooLarge, Malformed, Disconnected."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value[:20]) > MAX_BODY_BYTES:
            raise TooLarge(details={"limit_bytes": MAX_BODY_BYTES})
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return bytes(message.get("body", b""))  # the usual case: one message
    return await _read_rest(message, receive)


async def _read_rest(message: dict[str, Any], receive: Receive) -> bytes:
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                if message["type"] == "http.disconnect":
                    raise Disconnected
                part = message.get("body", b"")
                size += len(part)
                if size > MAX_BODY_BYTES:
                    raise TooLarge(details={"limit_bytes": MAX_BODY_BYTES})
                parts.append(part)
                if not message.get("more_body"):
                    return b"".join(parts)
                message = await receive()
    except TimeoutError as exc:
        raise Malformed("The body did not arrive in time") from exc


def drop_dead_connections() -> None:
    """Close this thread's connections whose server went away, seen on the socket without a round trip."""
    for connection in connections.all(initialized_only=True):
        raw = connection.connection
        if raw is not None and not connection.in_atomic_block and (connection.errors_occurred or _is_dead(raw)):
            connection.close()


def _is_dead(raw: Any) -> bool:
    if raw.closed:
        return True
    poll = select.poll()
    poll.register(raw.pgconn.socket, select.POLLIN | select.POLLHUP | select.POLLERR)
    try:
        while poll.poll(0):
            raw.pgconn.consume_input()  # takes in a notice or the server's last words; the end of the stream raises
    except psycopg.OperationalError:
        return True
    return bool(raw.pgconn.status != psycopg.pq.ConnStatus.OK)


class Workers:
    """Threads that live on and take one call after the other; begun by the first call.

    As concurrent.futures' pool with asyncio's bridge to it, at a tenth of the Python: a call costs one queue each way.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def run(self, call: Callable[..., Any], *arguments: Any) -> "asyncio.Future[Any]":
        """The outcome of `call(*arguments)`, which no cancelling stops once it has begun."""
        if not self._threads:
            self._begin()
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Any] = loop.create_future()
        self._calls.put((loop, outcome, call, arguments))
        return outcome

    def stop(self) -> None:
        """End the threads after what was asked of them before; blocks, for at most DRAIN_S."""
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join(DRAIN_S)
        self._threads.clear()

    def _begin(self) -> None:
        self._threads = [
            threading.Thread(target=self._work, name=f"web-{number}", daemon=True) for number in range(self._count)
        ]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while (asked := self._calls.get()) is not None:
            loop, outcome, call, arguments = asked
            result, error = None, None
            try:
                result = call(*arguments)
            except BaseException as exc:
                error = exc
            with suppress(RuntimeError):  # the loop has closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, outcome, result, error)
        connections.close_all()


def _settle(outcome: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if outcome.cancelled():
        return
    if error is None:
        outcome.set_result(result)
    else:
        outcome.set_exception(error)


class ThreadedHandler(BaseHandler):
    """The ASGI application for `http` scopes."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware(is_async=False)
        signals.request_started.disconnect(close_old_connections)  # `drop_dead_connections` does it, once
        signals.request_finished.disconnect(close_old_connections)
        signals.request_finished.disconnect(close_caches)  # Django's cache isn't used
        signals.request_started.disconnect(reset_queries)
        self._workers = Workers(settings.WEB_THREADS)
        self._routes: dict[str, ResolverMatch] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body: bytes | AstradeError = await read_body(scope, receive)
        except Disconnected:
            return
        except (TooLarge, Malformed) as error:
            body = error
        await self._send(await self._workers.run(self._serve, scope, body), send)

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        """As Django's; paths without parameters are remembered."""
        known = self._routes.get(request.path_info)
        if known is not None and not hasattr(request, "urlconf"):
            request.resolver_match = known
            return known
        match: ResolverMatch = super().resolve_request(request)
        if not match.kwargs and not match.args and len(self._routes) < ROUTES_MAX:
            self._routes[request.path_info] = match
        return match

    def _serve(self, scope: Scope, body: bytes | AstradeError) -> HttpResponseBase:
        drop_dead_connections()
        signals.request_started.send(sender=type(self), scope=scope)
        set_script_prefix("")
        try:
            request = ASGIRequest(scope, BytesIO(body if isinstance(body, bytes) else b""))
        except UnicodeDecodeError:
            return plain_error(Malformed("The address is not valid UTF-8"))
        if isinstance(body, AstradeError):
            cast(DressedRequest, request).body_error = body  # answered by the request middleware, as every refusal
        response: HttpResponseBase = self.get_response(request)
        if not response.streaming:
            response.close()  # sends request_finished, in the thread that owns the connections
        return response

    async def _send(self, response: HttpResponseBase, send: Send) -> None:
        await send({"type": "http.response.start", "status": response.status_code, "headers": raw_headers(response)})
        if isinstance(response, HttpResponse):
            await send({"type": "http.response.body", "body": response.content})
            return
        await self._stream(response, send)

    async def _stream(self, response: Any, send: Send) -> None:
        if hasattr(response, "block_size"):
            response.block_size = CHUNK_BYTES
        pieces = iter(response)
        try:
            while (piece := await self._workers.run(next, pieces, _END)) is not _END:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await self._workers.run(response.close)

    def handle_uncaught_exception(self, request: Any, resolver: Any, exc_info: Any) -> HttpResponseBase:
        """The last resort: even a broken error page never shows a trace."""
        try:
            response: HttpResponseBase = super().handle_uncaught_exception(  # type: ignore[misc]
                request, resolver, exc_info
            )
        except Exception:
            sys.excepthook(*sys.exc_info())
            return plain_error(None)
        return response

    async def drain(self) -> None:
        """Wait for started requests, close each thread's connections, stop the threads."""
        await asyncio.to_thread(self._workers.stop)


@lru_cache(maxsize=256)
def _header_name(name: str) -> bytes:
    return name.lower().encode("ascii")


def raw_headers(response: HttpResponseBase) -> list[tuple[bytes, bytes]]:
    """Headers and cookies as ASGI wants them."""
    items: Iterable[tuple[str, str]] = response.items()
    headers = [(_header_name(name), value.encode("latin1")) for name, value in items]
    headers.extend((b"set-cookie", morsel.output(header="").strip().encode()) for morsel in response.cookies.values())
    return headers
