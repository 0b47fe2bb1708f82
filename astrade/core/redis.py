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
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, cast
from weakref import WeakKeyDictionary

import hiredis
import redis
import redis.asyncio
from django.conf import settings
from redis.backoff import NoBackoff
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


class _Lane(threading.local):
    """A thread's own connection for `ask`."""

    connection: redis.Connection | None = None
    client: redis.Redis | None = None  # whose settings the connection was made with
    unread: int = 0  # replies to what was told, still to come


_lane = _Lane()
os.register_at_fork(after_in_child=lambda: setattr(_lane, "connection", None))  # a socket has one owner


def ask(*commands: Command) -> list[Any]:
    """The replies to `commands`, sent together, in their order: one round trip on this thread's own connection.

    Replies are RESP3: a hash is a dict. redis-py's client costs some two hundred calls of Python a command, together a
    third of an order's, so the paths of every request go through here. As with the client, a connection that had gone
    stale is replaced once, so commands may arrive twice. Raises one of `redis_errors`; of error replies the first one.
    """
    packed = _packed(commands)
    if _lane.connection is not None and _lane.client is sync_client():
        with suppress(redis.ConnectionError, OSError):  # it had gone stale
            return _exchange(_lane.connection, packed, len(commands))
    return _exchange(_connect(), packed, len(commands))


def tell(*commands: Command) -> None:
    """Send `commands` on this thread's connection and don't wait; the next `ask` or `tell` takes in what was answered.

    For hints whose loss loses nothing: a Redis that went away a moment ago may take them with it. Raises one of
    `redis_errors` where they can't be sent.
    """
    if _lane.connection is None or _lane.client is not sync_client() or _lane.unread:
        ask(*commands)
        return
    with _whole(_lane.connection) as connection:
        connection.send_packed_command(_packed(commands), check_health=False)
        _lane.unread = len(commands)


def _packed(commands: tuple[Command, ...]) -> list[bytes]:
    return [b"".join(hiredis.pack_command(command) for command in commands)]


def _connect() -> redis.Connection:
    client = sync_client()
    pool = client.connection_pool  # for its settings only: what a thread keeps must not count against the pool
    fresh = cast(redis.Connection, pool.connection_class(**pool.connection_kwargs))
    fresh.connect()
    _lane.connection, _lane.client, _lane.unread = fresh, client, 0
    return fresh


def _exchange(connection: redis.Connection, packed: list[bytes], count: int) -> list[Any]:
    with _whole(connection):
        connection.send_packed_command(packed, check_health=False)
        while _lane.unread:
            _lane.unread -= 1
            with suppress(redis.ResponseError):  # of a hint
                connection.read_response()
        return [connection.read_response() for _ in range(count)]


@contextmanager
def _whole(connection: redis.Connection) -> Iterator[redis.Connection]:
    """Whatever cuts an exchange short, replies may still be on their way: nobody else must get them."""
    try:
        yield connection
    except BaseException:
        _lane.connection = None
        connection.disconnect()
        raise


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
