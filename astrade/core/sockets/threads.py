"""Blocking calls of consumers: a small pool of threads that own their database connections.

    await in_thread(function, *args, **kwargs)

Bounded, so that a thousand sockets that reconnect at once queue here instead of exhausting the database. Only reads and
single-statement writes that may run twice come here: a call that found its connection dead is made once more.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import ParamSpec, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connections

from astrade.core.handler import drop_dead_connections

P = ParamSpec("P")
R = TypeVar("R")
_threads: list[str] = []  # names of the pool's threads that have started


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    _threads.clear()
    return ThreadPoolExecutor(settings.WS_THREADS, thread_name_prefix="socket", initializer=_started)


def _started() -> None:
    _threads.append(threading.current_thread().name)


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """The result of `function(*args, **kwargs)`, called in the pool."""
    call = partial(function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_pool(), _guarded, call)


def _guarded(call: Callable[[], R]) -> R:
    drop_dead_connections()
    try:
        return call()
    except (OperationalError, InterfaceError):
        connections.close_all()
        return call()


def close_threads() -> None:
    """End the pool and its database connections; the next call makes a new one."""
    pool, count = _pool(), len(_threads)
    _pool.cache_clear()
    together = threading.Barrier(max(count, 1))
    for _ in range(count):
        pool.submit(_close_own, together)
    pool.shutdown(wait=True)


def _close_own(together: threading.Barrier) -> None:
    together.wait(timeout=5)  # so that each thread takes exactly one of these calls
    connections.close_all()
