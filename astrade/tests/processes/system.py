"""All of AsTrade as real processes on a database and a Valkey of its own, to be killed and started again."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import urlsplit

import psycopg
import redis
from celery import Celery
from psycopg import sql

from astrade import embedded, processes
from astrade.emulators.extended.server import BASE
from astrade.management.live_demo import API_URL
from astrade.tests.processes.nursery import Nursery

ROOT = Path(__file__).resolve().parents[3]
MANAGE = [sys.executable, str(ROOT / "manage.py")]
CELERY = [sys.executable, "-m", "celery", "--app", "astrade", "--quiet"]
WEB_OPTIONS = ["--no-access-log", "--no-proxy-headers", "--log-level", "warning"]
WEB_OPTIONS += ["--ws", "astrade.core.sockets.server:DirectProtocol"]  # as `make run` starts it
ACCEPTED = "ignore:You're running the worker with superuser privileges"
SOON_S, EVENTUALLY_S = 40.0, 120.0
STOP_WITHIN_S = 15.0
# BTC-USD runs up and down between these prices, once in `WAVE_S`: what lies between is traded again and again
LOW, HIGH, WAVE_S, QUOTE_EVERY_MS = 76_800, 77_200, 4, 50
# ETH-USD goes down and up these stairs: an order between two steps fills at its own price, whenever it comes
UPSTAIRS, MIDDLE, DOWNSTAIRS = 2_400, 2_350, 2_300
STAIRS = ((UPSTAIRS, 1.2), (MIDDLE, 0.6), (DOWNSTAIRS, 1.6), (MIDDLE, 0.6))  # mid price, for how many seconds


def eventually(what: str, condition: Callable[[], Any], *, within_s: float = EVENTUALLY_S) -> Any:
    """The first true answer; fails with `what` when there is none in time."""
    deadline = time.monotonic() + within_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"after {within_s:.0f} s it still isn't true that {what}"
        time.sleep(0.05)
    return answer


def write_wave(folder: Path) -> None:
    """A recording whose price is a triangle, so that what becomes of an order doesn't depend on when it came."""
    quotes = WAVE_S * 1000 // QUOTE_EVERY_MS
    mids = [HIGH - abs(2 * number - quotes) * (HIGH - LOW) // quotes for number in range(quotes)]
    _write_quotes(folder / "btcusdt-quotes-wave.csv", mids, half_spread=1, size=50)


def write_stairs(folder: Path) -> None:
    """A recording of few prices, so that a liquidation's figures don't depend on when it came."""
    mids = [mid for mid, seconds in STAIRS for _ in range(int(seconds * 1000 / QUOTE_EVERY_MS))]
    _write_quotes(folder / "ethusdt-quotes-stairs.csv", mids, half_spread=0.1, size=5000)


def _write_quotes(path: Path, mids: Sequence[int], *, half_spread: float, size: int) -> None:
    rows = ["time_ms,bid,bid_size,ask,ask_size"]
    for number, mid in enumerate(mids):
        bid, ask = f"{mid - half_spread:.1f}", f"{mid + half_spread:.1f}"
        rows.append(f"{number * QUOTE_EVERY_MS},{bid},{size},{ask},{size}")
    path.write_text("\n".join(rows) + "\n")


@contextmanager
def database(url: str, name: str) -> Iterator[str]:
    """An empty database beside the one of `url`, dropped at the end; yields its URL."""
    parts = urlsplit(url)
    identifier = sql.Identifier(name)
    with psycopg.connect(parts._replace(path="/postgres").geturl(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(identifier))
    try:
        yield parts._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(parts._replace(path="/postgres").geturl(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))


class System:
    """The processes by name, all with one environment; each has a log in `home` and its name at the database."""

    def __init__(self, home: Path, *, database_url: str, redis_url: str) -> None:
        self.home, self.redis_url = home, redis_url
        self.port = _free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        emulator_port = _free_port()
        self.emulator_url = f"http://127.0.0.1:{emulator_port}"
        self.database = psycopg.connect(database_url, autocommit=True)  # as the owner, to look and to set traps
        self.running: dict[str, int] = {}  # their process ids
        self.kills: list[str] = []
        named = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, API_URL: self.emulator_url + BASE}
        self._env = {**_untraced(os.environ), **_settings(home), **named}
        web = ["-m", "uvicorn", "astrade.asgi:application", "--host", "127.0.0.1", "--port", str(self.port)]
        emulate = ["emulate", "extended", "--port", str(emulator_port), "--prices", "published"]
        self.commands = {
            "extended": [*MANAGE, *emulate],
            "streams": [*MANAGE, "streams"],
            "web": [sys.executable, *web, *WEB_OPTIONS],
            "worker": [*CELERY, "worker", "--concurrency", "2", "--without-gossip", "--without-mingle"],
            "beat": [*CELERY, "beat", "--schedule", str(home / "beat"), "--pidfile", ""],
        }
        self._nursery = Nursery(env=self._env, log=home / "nursery.log")

    def another_connection(self) -> psycopg.Connection[tuple[object, ...]]:
        """For another thread."""
        return psycopg.connect(self._env["DATABASE_URL"], autocommit=True)

    def manage(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a management command to its end."""
        return subprocess.run([*MANAGE, *command], env=self._env, cwd=ROOT, capture_output=True, text=True, check=False)

    def start(self, name: str) -> None:
        """Start a process (again)."""
        log = self.home / f"{name}.log"
        self.running[name] = self._nursery.fork(self.commands[name], env={"PGAPPNAME": name}, log=log)

    def kill(self, name: str) -> None:
        """SIGKILL to the process and all its children at once."""
        self.kills.append(name)
        pid = self.running.pop(name)
        assert processes.is_alive(pid), f"{name} had ended by itself:\n{self.log_of(name)}"
        os.killpg(pid, signal.SIGKILL)
        processes.end([pid], signal.SIGKILL, within_s=STOP_WITHIN_S)

    def kill_children(self, name: str) -> None:
        """SIGKILL to what the process forked: a worker's own children run its tasks."""
        self.kills.append(f"{name}'s children")
        children = children_of(self.running[name])
        assert children
        for pid in children:
            os.kill(pid, signal.SIGKILL)

    def restart(self, name: str, *, leases_expire: bool = True) -> None:
        """Start a killed process; `leases_expire`: as if nine seconds had passed, so that nobody waits for them."""
        if leases_expire:
            self.database.execute("UPDATE core_lease SET expires_at = clock_timestamp()")
        self.start(name)

    def stop(self) -> None:
        """End everything in order."""
        processes.end(self.running.values(), signal.SIGTERM, within_s=STOP_WITHIN_S)
        self.running.clear()
        self._nursery.close()

    def log_of(self, name: str) -> str:
        """The end of a process's log."""
        return (self.home / f"{name}.log").read_text(errors="replace")[-3000:]

    def rows(self, query: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        """What the database says, seen by its owner."""
        return self.database.execute(query, values).fetchall()

    def value(self, query: LiteralString, *values: Any) -> Any:
        """The first column of the only row."""
        ((value, *_),) = self.rows(query, *values)
        return value

    def execute(self, statement: str) -> None:
        """Have the database do something, as its owner."""
        self.database.execute(statement.encode())

    def count(self, query: str) -> int:
        """What a query made at run time counts."""
        ((number,),) = self.database.execute(query.encode()).fetchall()
        return int(str(number))

    def send_task(self, name: str, *arguments: int) -> None:
        """Give the worker a task, as beat does."""
        with Celery(broker=self.redis_url, set_as_current=False) as app:
            app.send_task(name, arguments)

    def let_tasks_time_out(self) -> None:
        """As if the broker's visibility timeout had passed for what killed workers took and never acknowledged."""
        with redis.Redis.from_url(self.redis_url) as client:
            for tag in client.zrange("unacked_index", 0, -1):
                client.zadd("unacked_index", {tag: 0})

    def tasks_left(self) -> int:
        """Tasks in the queue or in hand."""
        with redis.Redis.from_url(self.redis_url) as client:
            return int(client.llen("celery")) + int(client.hlen("unacked"))

    def is_ready(self) -> bool:
        """Whether everything works, prices included."""
        for name, pid in self.running.items():
            assert processes.is_alive(pid), f"{name} ended at its start:\n{self.log_of(name)}"
        try:
            with urllib.request.urlopen(f"{self.base_url}/health/ready", timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def _untraced(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Without coverage: what is killed can't tell of it."""
    return {name: value for name, value in environment.items() if not name.startswith("COVERAGE_PROCESS")}


def _settings(home: Path) -> Mapping[str, str]:
    """The demo's environment, with prices from the wave, and limits out of the way of clients in a hurry."""
    return {
        "DJANGO_SETTINGS_MODULE": "astrade.settings.dev",
        "ASTRADE_HOME": str(home),
        "FEED": "replay",
        "REPLAY": str(home / "recordings"),
        "REPLAY_MAP": "BTCUSDT=BTC-USD,ETHUSDT=ETH-USD",
        "RATE_LIMIT_FACTOR": "1000",
        "EXTENDED_REQUESTS_PER_MIN": "100000",
        "WEB_THREADS": "16",
        "WS_HEARTBEAT_S": "2",
        "LOG_FORMAT": "readable",
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": ACCEPTED,
    }


@contextmanager
def whole_system(home: Path, *, database_url: str, database_name: str) -> Iterator[System]:
    """Everything migrated, seeded, started and ready."""
    with ExitStack() as stack:
        valkey = stack.enter_context(embedded.servers(home / "valkey", wanted={"REDIS_URL"}, durable=False))
        url = stack.enter_context(database(database_url, database_name))
        system = System(home, database_url=url, redis_url=valkey.urls["REDIS_URL"])
        stack.enter_context(system.database)
        (home / "recordings").mkdir()
        write_wave(home / "recordings")
        write_stairs(home / "recordings")
        for command in ("migrate", "seed_markets"):
            done = system.manage(command)
            assert done.returncode == 0, done.stdout + done.stderr
        stack.callback(system.stop)
        for name in system.commands:
            system.start(name)
        eventually("AsTrade is ready", system.is_ready)
        yield system


def children_of(parent: int) -> list[int]:
    """The processes whose parent it is."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent:
            found.append(int(entry.name))
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def without_gap(numbers: list[int]) -> bool:
    """Whether they count up by one from 1."""
    return numbers[:1] == [1] and all(later == earlier + 1 for earlier, later in pairwise(numbers))
