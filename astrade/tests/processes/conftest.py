"""The system that tests of real processes share, and its users."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings

from astrade.tests.processes.client import Follower, Trader
from astrade.tests.processes.system import System, whole_system

THREADS = 4


@pytest.fixture(scope="package")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Everything runs."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    name = f"{settings.DATABASES['default']['NAME']}_processes{worker}"
    home = tmp_path_factory.mktemp("processes")
    with whole_system(home, database_url=os.environ["DATABASE_URL"], database_name=name) as running:
        yield running


@pytest.fixture(autouse=True)
def everything_runs(system: System) -> Iterator[None]:
    """A test that fails between kill and restart doesn't fail those after it."""
    yield
    for name in system.commands.keys() - system.running.keys():
        system.restart(name)


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(THREADS) as pool:
        yield pool


@pytest.fixture
def new_trader(system: System) -> Iterator[Callable[[], Trader]]:
    traders: list[Trader] = []

    def make() -> Trader:
        traders.append(Trader(system.base_url))
        return traders[-1]

    yield make
    for trader in traders:
        trader.close()


@pytest.fixture
def trader(new_trader: Callable[[], Trader]) -> Trader:
    """Somebody with an account."""
    trader = new_trader()
    trader.sign_up()
    return trader


@pytest.fixture
def follower(trader: Trader) -> Iterator[Follower]:
    follower = Follower(trader)
    yield follower
    follower.end()
