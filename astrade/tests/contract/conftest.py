"""Clients that have read a requirement document and nothing else."""

import pytest

from accounts.tests.client import Api
from trading.tests.api.client import Trader
from trading.tests.conftest import Feed, api, feed, market

__all__ = ["api", "feed", "market"]


@pytest.fixture
def trader(feed: Feed) -> Trader:
    """A user of the documented root with 10,000, and BTC-USD around 100: 1 at 99 and at 101, 2 at 98 and at 102."""
    return Trader()


@pytest.fixture
def tunicoin(trader: Trader) -> Trader:
    """The same at the root that the third document prints."""
    trader.api.root = "/api"
    return trader


@pytest.fixture
def anybody() -> Api:
    """Nobody in particular at that root."""
    return Api(root="/api")
