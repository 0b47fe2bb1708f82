"""AsTrade as Binance's clients reach it, for checks that run on a Python without the project's packages.

`python -m astrade.tests.binance_server` starts a database and a Valkey of its own, the web process and synthetic
prices, prints its address once there are prices, and ends on SIGTERM.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from astrade import embedded, processes

ROOT = Path(__file__).resolve().parents[2]
HOME = "binance-check"
SYMBOL = "BTCUSDT"
READY_WITHIN_S, STOP_WITHIN_S = 90, 10
SETTINGS = {"DJANGO_SETTINGS_MODULE": "astrade.settings.dev", "FEED": "synthetic"}


@contextmanager
def running(*command: str) -> Iterator[processes.Process]:
    """A process of ours that runs meanwhile."""
    child = processes.spawn([sys.executable, *command], env=os.environ, stdout=subprocess.DEVNULL, stderr=sys.stderr)
    try:
        yield child
    finally:
        processes.stop([child], signal.SIGTERM, within_s=STOP_WITHIN_S)


def await_prices(base: str, *watched: processes.Process) -> None:
    """Until a price is shown; fails where a process has ended, or it takes too long."""
    deadline = time.monotonic() + READY_WITHIN_S
    while all(child.poll() is None for child in watched) and time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"{base}/api/v3/ticker/price", timeout=5) as answer:
            if SYMBOL in {ticker["symbol"] for ticker in json.load(answer)}:
                return
        time.sleep(0.5)
    raise SystemExit("AsTrade did not start")


def main() -> None:
    """Serve until SIGTERM."""
    os.chdir(ROOT)
    stopped = {signal.SIGTERM, signal.SIGINT}
    with embedded.servers(embedded.home_of(ROOT) / HOME, durable=False) as started:
        os.environ.update({**started.urls, **SETTINGS})
        for command in ("migrate", "seed_markets"):
            subprocess.run([sys.executable, "manage.py", command], stdout=subprocess.DEVNULL, check=True)
        port = str(embedded.free_port(8900))
        web = ("-m", "uvicorn", "astrade.asgi:application", "--port", port, "--log-level", "warning")
        with running(*web, "--no-access-log") as server, running("manage.py", "streams", "feeds") as feeds:
            base = f"http://127.0.0.1:{port}"
            await_prices(base, server, feeds)
            signal.pthread_sigmask(signal.SIG_BLOCK, stopped)
            print(base, flush=True)
            signal.sigwait(stopped)


if __name__ == "__main__":
    main()
