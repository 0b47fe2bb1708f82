"""Health of this process and what it needs (API.md, "System").

    register("feeds", check, critical=True)     when an app is ready; `check()` returns figures to show or raises
    report()                                    all checks, made at most once a second a process

A critical check that fails makes the process unready (503); another only degrades it: an outage at a venue, or a stale
feed, must not take the platform out of service.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import redis
from django.conf import settings
from django.db import connection

from astrade.core.redis import sync_client

Check = Callable[[], Mapping[str, Any] | None]
State = Literal["ok", "degraded", "unavailable"]
CACHED_S = 1.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found; `figures` are safe to show anybody."""

    name: str
    passed: bool
    critical: bool
    elapsed_ms: float
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Report:
    """All checks and what follows from them."""

    state: State
    results: tuple[Result, ...]

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here."""
        return self.state != "unavailable"


_checks: dict[str, tuple[Check, bool]] = {}
_lock = threading.Lock()
_last: tuple[float, Report] | None = None


def register(name: str, check: Check, *, critical: bool = False) -> None:
    """Add or replace a check."""
    _checks[name] = (check, critical)


def report() -> Report:
    """The present state; concurrent callers share one round of checks."""
    global _last
    with _lock:
        if _last is None or time.monotonic() - _last[0] >= CACHED_S:
            results = tuple(_run(name, check, critical) for name, (check, critical) in _checks.items())
            _last = (time.monotonic(), Report(state=_state(results), results=results))
        return _last[1]


def _state(results: tuple[Result, ...]) -> State:
    failed = [result for result in results if not result.passed]
    if any(result.critical for result in failed):
        return "unavailable"
    return "degraded" if failed else "ok"


def _run(name: str, check: Check, critical: bool) -> Result:
    started = time.perf_counter()
    figures: Mapping[str, Any] = {}
    try:
        figures = check() or {}
        passed = True
    except Exception as exc:
        logger.warning("health_check_failed", extra={"check": name, "error": repr(exc)})
        figures = {"error": type(exc).__name__}
        passed = False
    elapsed_ms = round((time.perf_counter() - started) * 1000, 2)
    return Result(name=name, passed=passed, critical=critical, elapsed_ms=elapsed_ms, figures=figures)


def database_answers() -> None:
    """PostgreSQL takes a statement."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def cache_answers() -> None:
    """Redis answers."""
    sync_client().ping()


@lru_cache(maxsize=1)
def _broker() -> redis.Redis:
    if settings.CELERY_BROKER_URL == settings.REDIS_URL:
        return sync_client()
    timeout_s = settings.REDIS_TIMEOUT_S
    return redis.Redis.from_url(settings.CELERY_BROKER_URL, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)


def broker_answers() -> None:
    """Celery's broker answers."""
    _broker().ping()


register("database", database_answers, critical=True)
register("cache", cache_answers, critical=True)
register("broker", broker_answers, critical=True)
