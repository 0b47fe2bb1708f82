"""The two services that are measured, each as a real server with its own database and prepared users."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
from psycopg import sql

from astrade.processes import spawn, stop
from benchmarks.load import UNIQUE, http_request
from benchmarks.processes import ROOT, STOP_WITHIN_S, Server, cpu_seconds, free_port, uvicorn_command

SYMBOL = "BTC-USD"
CANDLES = 1000
QUANTITY = "0.001"
PASSWORD = "Bench-mark-1-password"
PEER_PYTHON = os.environ.get("BENCH_PYTHON", str(ROOT / ".venv-bench" / "bin" / "python"))
ASTRADE_ENV = {"RATE_LIMIT_FACTOR": "100000", "LOG_LEVEL": "WARNING", "DEBUG": "false"}
WEB_CPU = str(max(os.sched_getaffinity(0)))  # what `make run` chooses; both contenders keep to it
Lanes = list[list[str]]


@dataclass(frozen=True)
class Servers:
    """Where PostgreSQL and Redis are; each contender gets a database of its own on the first."""

    postgres_url: str
    redis_url: str

    def database_url(self, name: str) -> str:
        """The same server, another database."""
        return urlunsplit(urlsplit(self.postgres_url)._replace(path=f"/{name}"))

    def recreate(self, name: str) -> str:
        """Drop and create a database; returns its URL."""
        with psycopg.connect(self.postgres_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.database_url(name)

    def backends_cpu_s(self, name: str) -> dict[int, float]:
        """CPU seconds so far of each PostgreSQL process that serves a database; empty for a server elsewhere."""
        with psycopg.connect(self.postgres_url, autocommit=True) as connection:
            query = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
            pids = [row[0] for row in connection.execute(query, [name])]
        return {pid: cpu_seconds(pid) for pid in pids if _is_postgres(pid)}


def _is_postgres(pid: int) -> bool:
    with suppress(OSError), open(f"/proc/{pid}/comm") as comm:
        return comm.read().startswith("postgres")
    return False


@dataclass
class Contender:
    """A running service, and what its users send."""

    name: str
    server: Server
    database: str
    path: str
    tokens: list[str]

    def lanes(self, connections: int) -> Lanes:
        """Requests of each connection: each user buys, then sells, and no two connections share a user."""
        lanes: Lanes = [[] for _ in range(connections)]
        for index, token in enumerate(self.tokens):
            lanes[index % connections] += [self.order(token, side) for side in ("buy", "sell")]
        return lanes

    def order(self, token: str, side: str) -> str:
        """A market order with a client_order_id of its own each time it is sent."""
        fields = {"symbol": SYMBOL, "side": side, "type": "market", "quantity": QUANTITY}
        form = {**fields, "client_order_id": UNIQUE.decode()}
        return http_request("POST", self.path, token=token, payload=json.dumps(form))


def manage(*arguments: str, env: Mapping[str, str]) -> None:
    """Run a management command; raises RuntimeError with what it said."""
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"manage.py {' '.join(arguments)} failed:\n{(done.stdout + done.stderr)[-3000:]}")


def astrade_env(servers: Servers, database_url: str) -> dict[str, str]:
    """AsTrade's environment: limits that a load test would meet are lifted, all else is as in the demo."""
    return {**ASTRADE_ENV, "DATABASE_URL": database_url, "REDIS_URL": servers.redis_url}


def prepare_astrade(servers: Servers, name: str) -> str:
    """A fresh, migrated and seeded database of AsTrade; returns its URL."""
    database_url = servers.recreate(name)
    manage("migrate", "--verbosity", "0", env=astrade_env(servers, database_url))
    manage("seed_markets", env=astrade_env(servers, database_url))
    return database_url


def start_astrade(servers: Servers, *, database_url: str, name: str = "astrade") -> Server:
    """AsTrade's web process, one worker."""
    port = free_port()
    command = uvicorn_command(sys.executable, "astrade.asgi:application", port=port)
    env = {**astrade_env(servers, database_url), "WEB_CPU": WEB_CPU}
    return Server(name, command, port=port, env=env, ready="/health/live").wait_ready()


def sign_up(server: Server, *, users: int) -> list[str]:
    """Access tokens of new AsTrade users, each with a practice account."""
    stamp, tokens = time.time_ns(), []
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}/api/v1", timeout=30) as client:
        for index in range(users):
            form = {"email": f"bench-{stamp}-{index}@example.com", "password": PASSWORD}
            answer = client.post("/auth/signup", json=form)
            if answer.status_code >= 300:
                raise RuntimeError(f"sign-up failed: {answer.status_code} {answer.text[:500]}")
            tokens.append(answer.json()["data"]["access_token"])
    return tokens


def seed_peer(servers: Servers, *, name: str, users: int) -> tuple[dict[str, str], list[str]]:
    """A fresh database of the peer; returns its environment and its users' tokens."""
    url = urlunsplit(urlsplit(servers.recreate(name))._replace(scheme="postgresql+asyncpg"))
    env = {"PEER_DATABASE_URL": url, "REDIS_URL": servers.redis_url}
    command = [PEER_PYTHON, "-m", "benchmarks.peer.seed", str(users)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the peer could not be seeded:\n{done.stderr[-3000:]}")
    tokens: list[str] = json.loads(done.stdout)
    return env, tokens


def start_peer(env: Mapping[str, str], *, name: str = "peer") -> Server:
    """The peer's web process, one worker."""
    port = free_port()
    command = ["taskset", "--cpu-list", WEB_CPU, *uvicorn_command(PEER_PYTHON, "benchmarks.peer.app:app", port=port)]
    return Server(name, command, port=port, env=env, ready="/health").wait_ready()


@contextmanager
def live_market(servers: Servers) -> Iterator[None]:
    """A market view in Redis, renewed each second while the block runs, for AsTrade and the peer."""
    env = {**os.environ, "REDIS_URL": servers.redis_url, "DJANGO_SETTINGS_MODULE": "astrade.settings.dev"}
    process = spawn([sys.executable, "-m", "benchmarks.market"], env=env, stdout=subprocess.PIPE)
    try:
        if process.stdout is None or process.stdout.readline().strip() != b"ready":
            raise RuntimeError("no market view could be published")
        yield
    finally:
        stop([process], signal.SIGTERM, within_s=STOP_WITHIN_S)
