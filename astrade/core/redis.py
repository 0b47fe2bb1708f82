"""The one way to Redis (or Valkey): shared clients with short timeouts.

    sync_client()   one `redis.Redis` a process, safe for threads (each call takes a connection of the pool)
    ask(*commands)  replies of commands sent together, for what every request does: no pool, no wrappers
    tell(*commands) the same where nobody needs the replies: it doesn't wait for them
    async_client()  one `redis.asyncio.Redis` an event loop
    channel_named(name)   the pub/sub channel `name` of this installation
    redis_errors    what to catch where Redis may be away: `except redis_errors:`

Redis holds only what can be rebuilt, so nobody waits long for it: a connection is given `REDIS_CONNECT_TIMEOUT_S`, an
answer `REDIS_TIMEOUT_S`, and nothing is tried again except once on a connection that had gone stale.
"""

import asyncio
import os
import socket
import struct
import threading
from contextlib import suppress
from functools import lru_cache
from typing import Any, cast
from weakref import WeakKeyDictionary

import hiredis
import redis
import redis.asyncio
from django.conf import settings
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

redis_errors: tuple[type[Exception], ...] = (redis.RedisError, OSError)
Command = tuple[Any, ...]  # str, bytes, int or float
HEALTH_CHECK_INTERVAL_S = 0  # a stale connection is noticed by its first use and replaced; no PING before each call
_async_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, redis.asyncio.Redis] = WeakKeyDictionary()


def channel_named(name: str) -> str:
    """The pub/sub channel of that name.

    Redis tells databases apart by number but has one set of channels for all of them, so the number stands in the
    channel's name: installations (and test processes) that share a server don't mix.
    """
    return f"{_database()}:{name}"


@lru_cache(maxsize=1)
def _database() -> int:
    return int(redis.connection.parse_url(settings.REDIS_URL).get("db", 0))


@lru_cache(maxsize=1)
def sync_client() -> redis.Redis:
    """The process's client; answers are bytes."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=settings.REDIS_CONNECT_TIMEOUT_S,
        socket_timeout=settings.REDIS_TIMEOUT_S,
        health_check_interval=HEALTH_CHECK_INTERVAL_S,
        retry=Retry(NoBackoff(), retries=1, supported_errors=(redis.ConnectionError,)),
        max_connections=settings.REDIS_MAX_CONNECTIONS,
    )


_MORE = object()  # what the reader says while a reply isn't whole
_READ_BYTES = 1 << 16


def _error_of(text: str) -> redis.ResponseError:
    return NoScriptError(text) if text.startswith("NOSCRIPT") else redis.ResponseError(text)


def _limit_in_kernel(line: socket.socket, *, timeout_s: float) -> None:
    """Let the kernel watch the time: a timeout of Python costs a `poll` before each call, and a wait for the GIL."""
    limit = struct.pack("ll", int(timeout_s), int(timeout_s % 1 * 1_000_000))
    line.settimeout(None)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


class _Line:
    """A connection that redis-py opened and whose socket is used directly; closed with its last reference."""

    def __init__(self, client: redis.Redis) -> None:
        pool = client.connection_pool  # for its settings only: what a thread keeps must not count against the pool
        self.client = client
        self.connection = cast(redis.Connection, pool.connection_class(**pool.connection_kwargs))
        self.connection.connect()
        self.socket = cast(socket.socket, self.connection._sock)
        _limit_in_kernel(self.socket, timeout_s=settings.REDIS_TIMEOUT_S)
        self.reader = hiredis.Reader(
            protocolError=redis.InvalidResponse, replyError=cast(Any, _error_of), notEnoughData=_MORE
        )
        self.unread = 0  # replies to what was told, still to come

    def __del__(self) -> None:
        self.connection.disconnect()  # redis-py's own objects refer to each other, so they would go at some later time


class _Lane(threading.local):
    """A thread's own connection for `ask`."""

    line: _Line | None = None


_lane = _Lane()
os.register_at_fork(after_in_child=lambda: setattr(_lane, "line", None))  # a socket has one owner


def ask(*commands: Command) -> list[Any]:
    """The replies to `commands`, sent together, in their order: one round trip on this thread's own connection.

    Replies are RESP3: a hash is a dict. redis-py's client costs some two hundred calls of Python a command, together a
    third of an order's, so the paths of every request go through here. As with the client, a connection that had gone
    stale is replaced once, so commands may arrive twice. Raises one of `redis_errors`; of error replies the first one.
    """
    packed, line = _packed(commands), _lane.line
    if line is not None and line.client is sync_client():
        with suppress(redis.ConnectionError):  # it had gone stale
            return _exchange(line, packed, len(commands))
    _lane.line = line = _Line(sync_client())
    return _exchange(line, packed, len(commands))


def tell(*commands: Command) -> None:
    """Send `commands` on this thread's connection and don't wait; the next `ask` or `tell` takes in what was answered.

    For hints whose loss loses nothing: a Redis that went away a moment ago may take them with it. Raises one of
    `redis_errors` where they can't be sent.
    """
    line = _lane.line
    if line is None or line.client is not sync_client() or line.unread:
        with suppress(redis.ResponseError):
            ask(*commands)
        return
    _exchange(line, _packed(commands), 0)
    line.unread = len(commands)


def _packed(commands: tuple[Command, ...]) -> bytes:
    return b"".join([hiredis.pack_command(command) for command in commands])


def _exchange(line: _Line, packed: bytes, count: int) -> list[Any]:
    """Send, and read that many replies with what was still to come before them; none are read for a count of 0.

    Whatever cuts this short, replies may still be on their way: the connection is given up, so nobody else gets them.
    """
    try:
        line.socket.sendall(packed)
        if not count:
            return []
        replies = _read(line, line.unread + count)
    except BaseException as exc:
        _lane.line = None
        if isinstance(exc, BlockingIOError):  # how the kernel's limit shows
            raise redis.TimeoutError("Redis didn't answer in time") from exc
        if isinstance(exc, OSError):
            raise redis.ConnectionError(str(exc)) from exc
        raise
    del replies[: line.unread]  # of hints: their errors concern nobody
    line.unread = 0
    for reply in replies:
        if isinstance(reply, redis.ResponseError):
            raise reply
    return replies


def _read(line: _Line, count: int) -> list[Any]:
    replies: list[Any] = []
    while len(replies) < count:
        reply = line.reader.gets()
        if reply is _MORE:
            if not (data := line.socket.recv(_READ_BYTES)):
                raise ConnectionResetError("Redis closed the connection")
            line.reader.feed(data)
        elif not isinstance(reply, hiredis.PushNotification):
            replies.append(reply)
    return replies


def async_client() -> redis.asyncio.Redis:
    """The running event loop's client; answers are bytes. Pub/sub connections taken from it have no read timeout."""
    loop = asyncio.get_running_loop()
    client = _async_clients.get(loop)
    if client is None:
        client = redis.asyncio.Redis.from_url(
            settings.REDIS_URL,
            socket_connect_timeout=settings.REDIS_CONNECT_TIMEOUT_S,
            health_check_interval=HEALTH_CHECK_INTERVAL_S,
            max_connections=settings.REDIS_MAX_CONNECTIONS,
        )
        _async_clients[loop] = client
    return client
