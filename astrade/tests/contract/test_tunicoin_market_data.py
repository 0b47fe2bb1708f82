"""Requirement document 3, "Market Data Service", at `/api/market/…`."""

from datetime import timedelta
from typing import Any

import pytest

from accounts.tests.client import Api
from astrade.core.clock import system_clock, to_ms
from marketdata.catalogue import LISTINGS
from marketdata.models import Market, MarketStatus
from marketdata.selectors import forget_markets
from marketdata.services import change_status, list_market
from marketdata.tests.factories import CandleFactory

pytestmark = pytest.mark.django_db
SEEDED = ["BTC-FUT", "BTC-USD", "ETH-USD", "EURUSD", "SPX-FUT"]


@pytest.fixture
def instruments(db: None) -> None:
    """Those that the document seeds."""
    for listing in LISTINGS:
        if listing.symbol in SEEDED:
            list_market(listing, at=system_clock())
    forget_markets()


def symbols(api: Api, query: str = "") -> list[str]:
    """Of the instruments that a query finds."""
    return [found["symbol"] for found in api.get(f"/market/instruments{query}").data]


def test_the_documents_five_instruments_are_listed(anybody: Api, instruments: None) -> None:
    assert symbols(anybody) == SEEDED
    assert {found["symbol"]: found["type"] for found in anybody.get("/market/instruments").data} == {
        "BTC-USD": "perpetual",
        "ETH-USD": "perpetual",
        "BTC-FUT": "future",
        "SPX-FUT": "future",
        "EURUSD": "fx",
    }


def test_one_instrument_tells_its_spread_tick_and_sizes(anybody: Api, instruments: None) -> None:
    found = anybody.get("/market/instruments/EURUSD").data

    shown = {name: found[name] for name in ("name", "spread", "tick_size", "min_quantity", "max_quantity", "status")}
    assert shown == {
        "name": "Euro / US Dollar",
        "spread": "0.0001",
        "tick_size": "0.00001",
        "min_quantity": "1",
        "max_quantity": "10000000",
        "status": "active",
    }
    assert anybody.get(f"/market/instruments/{found['id']}").data == found
    assert anybody.get("/market/instruments/NOTHING").error == (404, 2000)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?symbol=eur/usd", ["EURUSD"]),
        ("?type=future", ["BTC-FUT", "SPX-FUT"]),
        ("?type=FUTURE", ["BTC-FUT", "SPX-FUT"]),
        ("?status=Halted", ["EURUSD"]),
        ("?type=future&status=halted", []),
        ("?venue=PRACTICE&type=fx", ["EURUSD"]),
    ],
)
def test_instruments_are_filtered_by_symbol_type_and_status(
    anybody: Api, instruments: None, query: str, found: list[str]
) -> None:
    change_status(Market.objects.get(symbol="EURUSD").pk, status=MarketStatus.HALTED, actor_id=None)
    forget_markets()

    assert symbols(anybody, query) == found


@pytest.mark.parametrize("query", ["type=crypto", "status=open", "venue=nyse"])
def test_a_filter_that_nothing_could_meet_is_a_named_fault(anybody: Api, instruments: None, query: str) -> None:
    answer = anybody.get(f"/market/instruments?{query}")

    assert answer.error == (400, 1001)
    assert list(answer.content["error"]["details"]["fields"]) == [query.split("=")[0]]


@pytest.fixture
def minutes(instruments: None) -> list[int]:
    """Open times of the last 1,100 minutes, each with a candle, the latest last."""
    market = Market.objects.get(symbol="BTC-USD")
    last = system_clock().replace(second=0, microsecond=0) - timedelta(minutes=1)
    times = [last - timedelta(minutes=age) for age in reversed(range(1_100))]
    CandleFactory._meta.model.objects.bulk_create(CandleFactory.build(market=market, open_time=at) for at in times)
    return [to_ms(at) for at in times]


def candles(api: Api, query: str) -> list[int]:
    """Open times of the BTC-USD candles that a query finds."""
    return [candle["open_time"] for candle in api.get(f"/market/BTC-USD/candles{query}").data]


def test_candles_as_printed(anybody: Api, minutes: list[int]) -> None:
    found = anybody.get("/market/BTC-USD/candles?timeframe=1m&limit=10").data

    assert [candle["open_time"] for candle in found] == minutes[-10:]
    assert set(found[0]) == {"open_time", "open", "high", "low", "close", "volume", "trades", "closed"}


def test_candles_come_by_the_minute_and_five_hundred_unless_said(anybody: Api, minutes: list[int]) -> None:
    assert candles(anybody, "") == minutes[-500:]


def test_up_to_a_thousand_candles(anybody: Api, minutes: list[int]) -> None:
    assert candles(anybody, "?limit=1000") == minutes[-1000:]
    assert anybody.get("/market/BTC-USD/candles?limit=1001").error == (400, 1001)


def test_candles_of_a_range_of_dates(anybody: Api, minutes: list[int]) -> None:
    assert candles(anybody, f"?from={minutes[3]}&to={minutes[6]}") == minutes[3:7]


def test_timeframes_are_spelled_exactly(anybody: Api, instruments: None) -> None:
    """`1M` is a month elsewhere, so it isn't taken for a minute."""
    timeframes: dict[str, Any] = {name: anybody.get(f"/market/BTC-USD/candles?timeframe={name}").status for name in (
        "1m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d", "1w", "1M", "7m", "",
    )}  # fmt: skip
    assert [name for name, status in timeframes.items() if status == 200] == [
        "1m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d", "1w",
    ]  # fmt: skip
