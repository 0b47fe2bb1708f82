"""A market with prices, as the feed leaves them in Redis."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from accounts.tests.client import Api
from astrade.core.redis import sync_client
from marketdata.models import Market
from marketdata.selectors import forget_markets
from marketdata.tests.factories import MarketFactory, publish

Feed = Callable[..., None]
BIDS = (("99", "1"), ("98", "2"), ("97", "1000"))
ASKS = (("101", "1"), ("102", "2"), ("103", "1000"))


@pytest.fixture
def market(db: None) -> Iterator[Market]:
    """BTC-USD: tick 1, step 0.001, maker 0.05 %, taker 0.1 %, maintenance 1 %, band 10 %; no prices yet."""
    forget_prices()
    yield make_market("BTC-USD")
    forget_prices()
    forget_markets()


@pytest.fixture
def feed(market: Market) -> Feed:
    """Publishes the market's book; called once, around 100."""

    def tell(**changes: Any) -> None:
        values: dict[str, Any] = {"bids": BIDS, "asks": ASKS, "sequence": 1} | changes
        publish(values.pop("symbol", market.symbol), **values)

    tell()
    return tell


@pytest.fixture
def api() -> Api:
    """Somebody without credentials."""
    return Api()


def make_market(symbol: str, **changes: Any) -> Market:
    """A market with round numbers."""
    rules = {
        "tick_size": "1",
        "step_size": "0.001",
        "min_quantity": "0.001",
        "max_quantity": "1000",
        "maker_fee_rate": "0.0005",
        "taker_fee_rate": "0.001",
        "maintenance_margin_rate": "0.01",
        "price_band": "0.1",
    }
    made: Market = MarketFactory.create(symbol=symbol, **{**rules, **changes})
    forget_markets()
    return made


def forget_prices() -> None:
    """As before the first tick."""
    for key in sync_client().scan_iter("md:*"):
        sync_client().delete(key)
