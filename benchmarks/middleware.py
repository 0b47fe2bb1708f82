"""What the HTTP stack costs: CPU per `/health/live`, in this process through ASGI and over a real uvicorn.

    python benchmarks/middleware.py [--requests 3000]

Prints microseconds of CPU per request: Django with no middleware and a bare view (the floor), the whole stack, and the
whole stack behind uvicorn with a keep-alive client (the server's CPU only). Needs DATABASE_URL and REDIS_URL.
"""

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "astrade.settings.dev")
os.environ.setdefault("LOG_LEVEL", "INFO")

import django

django.setup()

import httpx  # noqa: E402
from django.conf import settings  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test.utils import override_settings  # noqa: E402
from django.urls import path  # noqa: E402

from astrade.core.handler import ThreadedHandler  # noqa: E402

PATH = "/health/live"
PORT = 18_799
ROUNDS = 3  # the quietest counts: other work on the machine only ever adds


def bare(request: HttpRequest) -> HttpResponse:
    """The least a view can do."""
    return HttpResponse(b"{}", content_type="application/json")


urlpatterns = [path("health/live", bare)]


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


async def in_process(handler: ThreadedHandler, requests: int) -> float:
    """CPU microseconds per request of this process."""
    for _ in range(200):
        await handler(scope(), receive, send)
    started = time.process_time()
    for _ in range(requests):
        await handler(scope(), receive, send)
    return (time.process_time() - started) / requests * 1e6


def over_uvicorn(requests: int) -> float:
    """CPU microseconds per request of a uvicorn process, from its own accounting."""
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "astrade.asgi:application",
        "--port",
        str(PORT),
        "--log-level",
        "warning",
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=10) as client:
            wait_until_up(client)
            for _ in range(200):
                client.get(PATH)
            before = cpu_s(server.pid)
            for _ in range(requests):
                client.get(PATH)
            return (cpu_s(server.pid) - before) / requests * 1e6
    finally:
        server.terminate()
        server.wait(10)


def wait_until_up(client: httpx.Client) -> None:
    """Up to 30 s."""
    for _ in range(300):
        try:
            client.get(PATH)
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=3_000)
    requests = parser.parse_args().requests
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=[]):
        bare_handler = ThreadedHandler()
        floor = min(asyncio.run(in_process(bare_handler, requests)) for _ in range(ROUNDS))
    handler = ThreadedHandler()
    whole = min(asyncio.run(in_process(handler, requests)) for _ in range(ROUNDS))
    server = over_uvicorn(requests)
    print(f"{'':34}CPU µs per request")
    print(f"{'bare view, no middleware':34}{floor:8.0f}")
    print(f"{f'/health/live, {len(settings.MIDDLEWARE)} middleware':34}{whole:8.0f}")
    print(f"{'  above the bare view':34}{whole - floor:8.0f}")
    print(f"{'/health/live over uvicorn':34}{server:8.0f}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")


if __name__ == "__main__":
    main()
