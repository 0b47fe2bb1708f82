"""What every test of the project needs; loaded by `-p` from pyproject.toml before any test file."""

import contextlib
import gc
import os
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import psycopg
import pytest
from coverage import Coverage
from coverage.exceptions import CoverageWarning
from django.db import connection
from xdist.scheduler import LoadFileScheduling

from astrade import embedded
from astrade.core.roles import as_owner, become_owner

BASE_DIR = Path(__file__).resolve().parents[3]
PROCESSES = "astrade/tests/processes"
OTHER_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_running = contextlib.ExitStack()
hypothesis.settings.register_profile("project", deadline=None)  # how long an example takes proves nothing
hypothesis.settings.load_profile("project")


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None]:
    """Before settings are read: servers of the tests' own where none are named, with their own data and ports."""
    if missing := embedded.missing_urls():
        try:
            home = embedded.home_of(BASE_DIR) / "test"
            servers = _running.enter_context(embedded.servers(home, wanted=missing, durable=False))
        except (embedded.AlreadyRunning, embedded.ServerFailed) as exc:
            raise pytest.UsageError(str(exc)) from exc
        os.environ.update(servers.urls)
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        os.environ["REDIS_URL"] = redis_of(worker, url=os.environ["REDIS_URL"])
    return (yield)


def redis_of(worker: str, *, url: str) -> str:
    """Tests that run at the same time have a database each; what `gw2` of xdist has is three after the one named."""
    parts = urlsplit(url)
    number = int(parts.path.strip("/") or 0) + 1 + int(worker.removeprefix("gw"))
    return parts._replace(path=f"/{number}").geturl()


class Scheduling(LoadFileScheduling):
    """By file; but the tests that share one running system are one worker's, so that it is started once."""

    def _split_scope(self, nodeid: str) -> str:
        return PROCESSES if nodeid.startswith(f"{PROCESSES}/") else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """How tests are shared out among workers."""
    return Scheduling(config, log)


def pytest_unconfigure() -> None:
    """Stop what was started; a killed run's servers end by themselves."""
    _running.close()


@contextlib.contextmanager
def without_coverage() -> Iterator[None]:
    """Run at full speed: being traced, Python takes half as long again."""
    if coverage := Coverage.current():
        coverage.stop()
    try:
        yield
    finally:
        if coverage:
            with warnings.catch_warnings(action="ignore", category=CoverageWarning):  # of files imported before it
                coverage.start()


@pytest.fixture(scope="module")
def untraced() -> Iterator[None]:
    """For tests of very many steps through lines that others cover."""
    with without_coverage():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
    """Test databases are made and dropped by their owner; in between tests run as the role of the processes."""
    if fixturedef.argname != "django_db_setup":
        return (yield)
    gc.disable()  # a quarter of the time went into looking through the models of every migration's state
    try:
        with without_coverage(), as_owner(connection):
            result = yield
    finally:
        gc.enable()
    fixturedef.addfinalizer(take_the_database_back)
    return result


def take_the_database_back() -> None:
    """Before it is dropped: as its owner, and with the connections ended that threads of tested code still keep."""
    become_owner(connection)
    with psycopg.connect(**connection.get_connection_params()) as owner:  # pytest-django has closed Django's own way
        owner.execute(OTHER_SESSIONS)
