from collections.abc import Iterator
from pathlib import Path

import pytest

from astrade.core.redis import sync_client
from marketdata.selectors import forget_markets
from marketdata.tests.factories import recorded_folder


@pytest.fixture(autouse=True)
def _fresh_markets() -> Iterator[None]:
    forget_markets()
    yield
    forget_markets()


@pytest.fixture(autouse=True)
def _empty_redis() -> None:
    for key in sync_client().scan_iter("md:*"):
        sync_client().delete(key)


@pytest.fixture(scope="session")
def recorded() -> Path:
    """Folder with real recorded data; tests that need it are skipped where it isn't."""
    return recorded_folder()
