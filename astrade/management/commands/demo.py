"""All of AsTrade on one machine: servers where none are named, data to play with, every process, one terminal."""

import json
import os
import shutil
import socket
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from redis.client import PubSub

from astrade import embedded
from astrade.management import live_demo
from astrade.management.supervisor import ChildFailed, Stopped, Supervisor, stopped_by_signals
from marketdata.keys import TICKS

PRICES_WITHIN_S = 60.0
READY_WITHIN_S = 120.0
QUIET = "ignore:You're running the worker with superuser privileges"  # a demo in a container is root
PACKAGES = ("astrade", "accounts", "marketdata", "trading", "gamification")
RATE_LIMIT_FACTOR = "5"
WEB_STATEMENT_TIMEOUT_S, WEB_LOCK_TIMEOUT_S = "15", "5"
READY_TEXT = """
  AsTrade is ready              {base_url}
  API documentation             {base_url}/docs  and  {base_url}/redoc
  back office                   {base_url}/admin
  demo user                     {user[email]}  {user[password]}
  staff                         {staff[email]}  {staff[password]}

  curl -H "X-Api-Key: {user[api_key]}" {base_url}/api/v1/account/balance

  A first trade: make smoke     Stop: Ctrl-C
"""
LIVE_TEXT = """\
  The demo user also has an account at an emulated Extended, with play money. A first live order:

  curl -H "X-Api-Key: {user[api_key]}" -H "X-Account-Id: {live_account_id}" \\
       -H "Content-Type: application/json" {base_url}/api/v1/orders \\
       -d '{{"symbol": "BTC-USD", "side": "buy", "type": "market", "quantity": "0.01"}}'

  The same step by step: make smoke-live
"""


class Command(BaseCommand):
    help = "Runs everything: servers, migrations, demo users, web, worker, beat, streams. Honours PORT, FEED, REPLAY."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reload", action="store_true", help="restart the web process when code changes")

    def handle(self, *args: Any, **options: Any) -> None:
        home = embedded.home_of(settings.BASE_DIR)
        address = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT") or 8000)
        try:
            with stopped_by_signals(), ExitStack() as stack:
                self._run(stack, home, *address, reload=options["reload"])
        except Stopped:
            self.stdout.write("AsTrade has stopped.")
        except embedded.AlreadyRunning as exc:
            raise CommandError(f"{exc}: stop it first, or set ASTRADE_HOME and PORT for another") from exc
        except (ChildFailed, embedded.ServerFailed) as exc:
            raise CommandError(f"AsTrade has stopped: {exc}") from exc

    def _run(self, stack: ExitStack, home: Path, host: str, port: int, *, reload: bool) -> None:
        missing = embedded.missing_urls()
        self.stdout.write(f"Starting {' and '.join(embedded.NAMES[name] for name in sorted(missing)) or 'AsTrade'} …")
        servers = stack.enter_context(embedded.servers(home, wanted=missing))
        _check_port(host, port)
        base_url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
        emulator_port = embedded.free_port(port + 1) if live_demo.is_wanted(os.environ) else None
        emulator = None if emulator_port is None else f"http://127.0.0.1:{emulator_port}"
        supervisor = stack.enter_context(Supervisor(env=_environment(home, servers.urls, emulator)))
        supervisor.watched.update(servers.processes)  # watched, not owned: they end last
        manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
        supervisor.run("migrate", [*manage, "migrate"])
        if emulator is not None:
            state = ["--prices", "published", "--state", str(home / "emulator.json")]
            supervisor.start("extended", [*manage, "emulate", "extended", "--port", str(emulator_port), *state])
        at = [] if emulator is None else ["--emulator", emulator]
        supervisor.run("seed", [*manage, "seed_demo", "--base-url", base_url, *at])
        with redis.Redis.from_url(supervisor.env["REDIS_URL"]) as client, client.pubsub() as ticks:
            ticks.subscribe(TICKS)
            supervisor.start("streams", [*manage, "streams"])
            _await_prices(supervisor, ticks)
        _start_all(supervisor, manage, home, host=host, port=port, reload=reload)
        _await_ready(supervisor, base_url)
        _welcome(supervisor, home)
        supervisor.watch()


def _welcome(supervisor: Supervisor, home: Path) -> None:
    demo = json.loads((home / "demo.json").read_text())
    supervisor.say(READY_TEXT.format(**demo))
    if "live_account_id" in demo:
        supervisor.say(LIVE_TEXT.format(**demo))


def _environment(home: Path, urls: dict[str, str], emulator: str | None) -> dict[str, str]:
    metrics = home / "metrics"  # one folder for all processes, so that /metrics tells of all
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir(mode=0o700)
    defaults = {"RATE_LIMIT_FACTOR": RATE_LIMIT_FACTOR, "LOG_FORMAT": "readable"}
    return {
        **defaults,
        **os.environ,
        **urls,
        **({} if emulator is None else live_demo.addresses(emulator)),
        "ASTRADE_HOME": str(home),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        "PYTHONUNBUFFERED": "1",
        embedded.MARK: str(home),
    }


def _start_all(supervisor: Supervisor, manage: list[str], home: Path, *, host: str, port: int, reload: bool) -> None:
    web = [sys.executable, "-m", "uvicorn", "astrade.asgi:application", "--host", host, "--port", str(port)]
    web += ["--workers", os.environ.get("WEB_WORKERS", "1"), "--no-access-log", "--no-proxy-headers"]
    web += ["--no-server-header", "--timeout-graceful-shutdown", "10", "--log-level", "warning"]
    web += ["--ws", "astrade.core.sockets.server:DirectProtocol", "--ws-max-size", str(1 << 20)]
    web += ["--ws-per-message-deflate", "false"]  # deflating costs each socket anew
    web += [part for app in PACKAGES for part in ("--reload-dir", app)] + ["--reload"] if reload else []
    celery = [sys.executable, "-m", "celery", "--app", "astrade", "--quiet"]
    limits = {"DATABASE_STATEMENT_TIMEOUT_S": WEB_STATEMENT_TIMEOUT_S, "DATABASE_LOCK_TIMEOUT_S": WEB_LOCK_TIMEOUT_S}
    supervisor.start("web", web, limits | _web_cpu())
    worker = [*celery, "worker", "--concurrency", "2", "--without-gossip", "--without-mingle"]
    supervisor.start("worker", worker, {"PYTHONWARNINGS": QUIET})
    supervisor.start("beat", [*celery, "beat", "--schedule", str(home / "beat-schedule"), "--pidfile", ""])


def _web_cpu() -> dict[str, str]:
    """One CPU for a single web process, where there are others for the rest."""
    if "WEB_CPU" in os.environ or os.environ.get("WEB_WORKERS", "1") != "1" or not hasattr(os, "sched_getaffinity"):
        return {}
    allowed = os.sched_getaffinity(0)
    return {"WEB_CPU": str(max(allowed))} if len(allowed) > 1 else {}


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            raise CommandError(
                f"Port {port} can't be used ({exc.strerror}): choose another, e.g. PORT={port + 1}"
            ) from exc


def _await_prices(supervisor: Supervisor, ticks: PubSub) -> None:
    """Open the doors when there is something to trade; without prices in time, they open all the same."""
    deadline = time.monotonic() + PRICES_WITHIN_S
    while ticks.get_message(ignore_subscribe_messages=True, timeout=0.2) is None:
        supervisor.check()
        if time.monotonic() > deadline:
            supervisor.say("There are no prices yet: orders will be refused until there are")
            return


def _await_ready(supervisor: Supervisor, base_url: str) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not _is_ready(base_url):
        supervisor.check()
        if time.monotonic() > deadline:
            raise ChildFailed(f"{base_url}/health/ready didn't answer 200 within {READY_WITHIN_S:.0f} s")
        time.sleep(0.3)


def _is_ready(base_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base_url}/health/ready", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
