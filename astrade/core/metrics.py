"""Prometheus metrics of all processes (DESIGN §7).

    ORDERS = counter("astrade_orders_total", "Orders by outcome", ["outcome"])      then ORDERS.labels("filled").inc()
    gauge(name, text, labels, mode="mostrecent")     histogram(name, text, labels, buckets=…)
    on_scrape(hook)                                   called before each exposition, to set gauges that are read
    exposition()                                      the text of `/metrics`

With PROMETHEUS_MULTIPROC_DIR set (one folder for web, worker and streams) counts of all processes are added up; without
it a process tells of itself only.
"""

import logging
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from astrade.core.lifespan import on_shutdown

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
GaugeMode = Literal["all", "liveall", "min", "max", "sum", "livesum", "mostrecent", "livemostrecent"]
logger = logging.getLogger(__name__)
_hooks: list[Callable[[], None]] = []


def counter(name: str, text: str, labels: Sequence[str] = ()) -> Counter:
    """A number that only grows."""
    return Counter(name, text, labels)


def gauge(name: str, text: str, labels: Sequence[str] = (), *, mode: GaugeMode = "mostrecent") -> Gauge:
    """A present value; `mode` says how those of several processes become one."""
    return Gauge(name, text, labels, multiprocess_mode=mode)


def histogram(name: str, text: str, labels: Sequence[str] = (), *, buckets: Sequence[float] = SECONDS) -> Histogram:
    """A distribution, in seconds unless `buckets` says otherwise."""
    return Histogram(name, text, labels, buckets=buckets)


def on_scrape(hook: Callable[[], None]) -> None:
    """Call `hook` before each exposition; one that fails is logged and left out."""
    _hooks.append(hook)


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    for hook in _hooks:
        try:
            hook()
        except Exception:
            logger.exception("metrics_hook_failed")
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


async def _forget_process() -> None:
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]


on_shutdown(_forget_process)

_REQUESTS = counter("astrade_http_requests_total", "HTTP requests", ["method", "route", "status"])
_SECONDS = histogram("astrade_http_request_seconds", "Time to answer", ["method", "route"])
http_requests = lru_cache(maxsize=4096)(_REQUESTS.labels)
http_seconds = lru_cache(maxsize=1024)(_SECONDS.labels)
