"""CPU of one process without a socket: the HTTP stack on `/health/live`, and 1,000 candles beyond their query.

    python -m benchmarks.in_process

Run by `benchmarks.reads`, whose database it reads: `DATABASE_URL` and `REDIS_URL` name the servers. Prints microseconds
of CPU per call as JSON.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "astrade.settings.dev")
django.setup()

from django.db import connection  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test.utils import override_settings  # noqa: E402
from django.urls import path  # noqa: E402

from astrade.core.api.renderers import encode  # noqa: E402
from astrade.core.clock import from_ms, system_clock  # noqa: E402
from astrade.core.handler import ThreadedHandler  # noqa: E402
from benchmarks.contenders import CANDLES, SYMBOL  # noqa: E402
from marketdata.charts import SELECT, candles_of  # noqa: E402
from marketdata.selectors import market_by_symbol  # noqa: E402

PATH = "/health/live"
ROUNDS = 5  # the quietest counts: other work on the machine only ever adds
REQUESTS, READS = 2_000, 40


def bare(request: HttpRequest) -> HttpResponse:
    """The least a view can do."""
    return HttpResponse(b"{}", content_type="application/json")


urlpatterns = [path(PATH[1:], bare)]


def scope() -> dict[str, Any]:
    """What uvicorn would pass on for a small client."""
    headers = [(b"host", b"127.0.0.1"), (b"accept", b"*/*"), (b"accept-encoding", b"gzip"), (b"user-agent", b"bench")]
    return {
        "type": "http",
        "method": "GET",
        "path": PATH,
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
    }


async def receive() -> dict[str, Any]:
    """An empty body."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: dict[str, Any]) -> None:
    """Check the status and drop the rest."""
    if message["type"] == "http.response.start" and message["status"] != 200:
        raise SystemExit(f"status {message['status']}")


async def answers(handler: ThreadedHandler) -> float:
    """CPU microseconds per request."""
    for _ in range(REQUESTS // 10):
        await handler(scope(), receive, send)
    started = time.process_time()
    for _ in range(REQUESTS):
        await handler(scope(), receive, send)
    return (time.process_time() - started) / REQUESTS * 1e6


def http_stack() -> float:
    """The quietest round of a new handler under the present settings."""
    handler = ThreadedHandler()
    return min(asyncio.run(answers(handler)) for _ in range(ROUNDS))


def calls(call: Callable[[], object]) -> float:
    """CPU microseconds per call of this thread, the quietest round."""
    call()
    rounds = []
    for _ in range(ROUNDS):
        started = time.thread_time()
        for _ in range(READS):
            call()
        rounds.append((time.thread_time() - started) / READS * 1e6)
    return min(rounds)


def query(market_id: int, now: datetime) -> None:
    """The query of a candle read and the taking in of its rows."""
    with connection.cursor() as cursor:
        cursor.execute(SELECT.format(order="DESC"), [market_id, "trades", "1m", from_ms(0), now, CANDLES])
        cursor.fetchall()


def candles() -> tuple[float, float]:
    """1,000 candles: the query alone, and all of it up to the encoded answer."""
    market, now = market_by_symbol(SYMBOL), system_clock()
    span: dict[str, Any] = {"start": None, "end": None, "limit": CANDLES, "now": now}
    alone = calls(lambda: query(market.id, now))
    return alone, calls(lambda: encode(candles_of(market, timeframe="1m", kind="trades", **span)))


def main() -> None:
    """Measure and print."""
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[]):
        bare_view = http_stack()
    alone, whole = candles()
    figures = {"bare_view": bare_view, "health_live": http_stack(), "candle_query": alone, "candle_answer": whole}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
