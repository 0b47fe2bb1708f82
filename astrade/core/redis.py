"""The one way to Redis (or Valkey): shared clients with short timeouts.

    sync_client()   one `redis.Redis` a process, safe for threads (each call takes a connection of the pool)
    ask(*commands)  replies of commands sent together, for what every request does: no pool, no wrappers
    async_client()  one `redis.asyncio.Redis` an event loop
    channel_named(name)   the pub/sub channel `name` of this installation
    redis_errors    what to catch where Redis may be away: `except redis_errors:`

Redis holds only what can be rebuilt, so nobody waits long for it: a connection is given `REDIS_CONNECT_TIMEOUT_S`, an
answer `REDIS_TIMEOUT_S`, and nothing is tried again except once on a connection that had gone stale.
"""

import asyncio
import os
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
    return f"{_database_of(settings.REDIS_URL)}:{name}"


@lru_cache
def _database_of(url: str) -> int:
    return int(redis.connection.parse_url(url).get("db", 0))


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


_lane = _Lane()
os.register_at_fork(after_in_child=lambda: setattr(_lane, "connection", None))  # a socket has one owner


def ask(*commands: Command) -> list[Any]:
    """The replies to `commands`, sent together, in their order: one round trip on this thread's own connection.

    Replies are RESP3: a hash is a dict. redis-py's client costs some two hundred calls of Python a command, together a
    third of an order's, so the paths of every request go through here. As with the client, a connection that had gone
    stale is replaced once, so commands may arrive twice. Raises one of `redis_errors`; of error replies the first one.
    """
    packed = [b"".join(hiredis.pack_command(command) for command in commands)]
    client, connection = sync_client(), _lane.connection
    if connection is not None and _lane.client is client:
        with suppress(redis.ConnectionError, OSError):  # it had gone stale
            return _exchange(connection, packed, len(commands))
    pool = client.connection_pool  # for its settings only: what a thread keeps must not count against the pool
    fresh = cast(redis.Connection, pool.connection_class(**pool.connection_kwargs))
    fresh.connect()
    _lane.connection, _lane.client = fresh, client
    return _exchange(fresh, packed, len(commands))


def _exchange(connection: redis.Connection, packed: list[bytes], count: int) -> list[Any]:
    try:
        connection.send_packed_command(packed, check_health=False)
        return [connection.read_response() for _ in range(count)]
    except BaseException:  # whatever cut it short, replies may still be on their way: nobody else must get them
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
