"""Real servers in a folder of the test's own: started, killed, started again."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from astrade import embedded, identity, processes

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]
ROOT = Path(__file__).resolve().parents[2]
OWNER = """
import signal, sys
from pathlib import Path
from astrade import embedded
with embedded.servers(Path(sys.argv[1])) as servers:
    pids = [child.pid for child in servers.processes.values()]
    print(servers.urls["DATABASE_URL"], servers.urls["REDIS_URL"], *pids, flush=True)
    signal.pause()
"""


class Owner:
    """A process that holds servers on `home`."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(home)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        with self.process.stdout as output:
            self.database_url, self.redis_url, *pids = output.readline().split()
        self.pids = [int(pid) for pid in pids]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def wait_until_gone(pids: list[int], *, within_s: float = 20) -> bool:
    deadline = time.monotonic() + within_s
    while any(processes.is_alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    with embedded.servers(tmp_path / "home", wanted=()):  # ends what a failed test left
        pass


def test_servers_start_keep_their_data_and_leave_no_process(home: Path) -> None:
    with embedded.servers(home) as servers:
        first = servers.urls
        pids = [child.pid for child in servers.processes.values()]
        with psycopg.connect(first["DATABASE_URL"]) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        with redis.Redis.from_url(first["REDIS_URL"]) as client:
            client.set("kept", "7")
    assert wait_until_gone(pids, within_s=0)
    with embedded.servers(home) as servers:
        assert servers.urls == first
        with psycopg.connect(first["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
        with redis.Redis.from_url(first["REDIS_URL"]) as client:
            assert client.get("kept") == b"7"


def test_data_and_password_are_for_the_owner_only(home: Path) -> None:
    with embedded.servers(home) as servers:
        assert home.stat().st_mode & 0o777 == 0o700
        assert (home / "servers.json").stat().st_mode & 0o777 == 0o600
        password = urlsplit(servers.urls["DATABASE_URL"]).password or ""
        commands = "".join(processes.command_of(child.pid) for child in servers.processes.values())
        assert password not in commands
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(servers.urls["DATABASE_URL"].replace(password, "guess"))
        stranger = redis.Redis.from_url(servers.urls["REDIS_URL"].replace(password, "guess"))
        with stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()


def test_a_second_start_says_who_runs_and_finds_its_servers(home: Path) -> None:
    assert embedded.running(home) is None
    owner = Owner(home)
    try:
        with pytest.raises(embedded.AlreadyRunning, match=str(owner.process.pid)), embedded.servers(home):
            pass
        assert embedded.running(home) == {"DATABASE_URL": owner.database_url, "REDIS_URL": owner.redis_url}
    finally:
        owner.kill()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_servers_end_with_their_owner_however_it_ends(home: Path, signum: signal.Signals) -> None:
    owner = Owner(home)
    owner.process.send_signal(signum)
    owner.process.wait(30)
    assert wait_until_gone(owner.pids)


def test_what_survived_its_owner_is_ended_and_nothing_committed_is_lost(home: Path) -> None:
    owner = Owner(home)
    with psycopg.connect(owner.database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    for pid in owner.pids:
        os.kill(pid, signal.SIGSTOP)  # deaf to the news of its owner's death
    owner.kill()
    with embedded.servers(home) as servers:
        assert wait_until_gone(owner.pids, within_s=1)
        with psycopg.connect(servers.urls["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (7,)


def test_killed_servers_start_again_with_everything_committed(home: Path) -> None:
    owner = Owner(home)
    with psycopg.connect(owner.database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        for pid in owner.pids:
            os.kill(pid, signal.SIGKILL)
    owner.kill()
    with embedded.servers(home) as servers, psycopg.connect(servers.urls["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)


def test_a_port_that_was_taken_meanwhile_is_left_to_who_has_it(home: Path) -> None:
    with embedded.servers(home, wanted={"REDIS_URL"}) as servers:
        before = servers.urls["REDIS_URL"]
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", int(before.rpartition(":")[2].removesuffix("/0"))))
        other.listen()
        with embedded.servers(home, wanted={"REDIS_URL"}) as servers:
            assert servers.urls["REDIS_URL"] != before


def test_a_server_that_cannot_start_says_where_to_look(home: Path) -> None:
    with embedded.servers(home, wanted={"DATABASE_URL"}):
        pass
    (data,) = home.glob("postgres")
    (data / "postgresql.conf").write_text("this is = no setting")
    complaint = r"PostgreSQL ended with status 1, see .*postgres\.log"
    with pytest.raises(embedded.ServerFailed, match=complaint), embedded.servers(home, wanted={"DATABASE_URL"}):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_root_without_namespaces_runs_postgresql_as_nobody(home: Path) -> None:
    home.mkdir(parents=True)
    programs = embedded.postgres_programs()
    chosen = identity.as_nobody(home, programs)
    try:
        child = processes.spawn([chosen.programs / "bin" / "postgres", "--version"], prepare=chosen.prepare)
        assert child.wait(30) == 0
        assert chosen.folder.stat().st_mode & 0o777 == 0o700
        assert identity.as_nobody(home, programs).folder == chosen.folder
    finally:
        subprocess.run(["rm", "-rf", str(chosen.folder)], check=True)
