"""Market data over HTTP: shapes, conditions, refusals, and at most two queries a read."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from astrade.core.clock import from_ms, system_clock, to_ms
from astrade.core.messages import TradeTick
from astrade.core.redis import sync_client
from marketdata import keys
from marketdata.api.views import market_of_path
from marketdata.charts import candles_of
from marketdata.models import Market, MarketStatus, MarketType
from marketdata.selectors import MarketInfo, forget_markets, market_by_symbol
from marketdata.services import add_alias
from marketdata.tape import Tape
from marketdata.tests.factories import CandleFactory, FundingRateFactory, MarketFactory, publish, quote_of
from marketdata.timeframes import HOUR_MS, MINUTE_MS, open_time_ms

pytestmark = pytest.mark.django_db
BIDS, ASKS = (("100", "1"), ("99", "2")), (("101", "1.5"), ("102", "3"))


@pytest.fixture
def btc() -> Market:
    market = MarketFactory.create(symbol="BTC-USD")
    add_alias(market, spelling="BTC/USD")
    forget_markets()
    return market


def read(client: Client, path: str, *, status: int = 200) -> Any:
    with CaptureQueriesContext(connection) as queries:
        response = client.get(f"/api/v1/{path}")
    assert response.status_code == status, response.content
    assert len(queries) <= 2, [query["sql"] for query in queries]
    return orjson.loads(response.content)


def test_markets_show_their_rules(client: Client, btc: Market) -> None:
    (market,) = read(client, "markets")["data"]

    assert market["id"] == str(btc.uuid)
    assert (market["symbol"], market["aliases"], market["tick_size"]) == ("BTC-USD", ["BTC/USD"], "1")
    assert (market["step_size"], market["max_leverage"], market["taker_fee_rate"]) == ("0.00001", 50, "0.00025")
    assert "rules_id" not in market and not any(value == btc.pk for value in market.values())


@pytest.mark.parametrize("name", ["BTC-USD", "btc-usd", "BTC/USD", "BTC%2FUSD"])
@pytest.mark.parametrize("path", ["markets/{}", "market/instruments/{}"])
def test_one_market_answers_to_every_spelling(client: Client, btc: Market, path: str, name: str) -> None:
    assert read(client, path.format(name))["data"]["symbol"] == "BTC-USD"
    assert read(client, path.format(btc.uuid))["data"]["symbol"] == "BTC-USD"


def test_markets_are_filtered(client: Client, btc: Market) -> None:
    MarketFactory(symbol="EURUSD", type=MarketType.FX, venue="practice", status=MarketStatus.HALTED)
    forget_markets()
    for query in ("symbol=eurusd", "type=fx", "status=halted", "venue=practice", "type=fx&venue=practice"):
        found = read(client, f"market/instruments?{query}")
        assert [market["symbol"] for market in found["data"]] == ["EURUSD"]
        assert found["pagination"] == {"cursor": None, "count": 1}
    assert read(client, "markets?type=fx&venue=extended")["data"] == []


@pytest.mark.parametrize("query", ["type=x", "status=open", "venue=nyse", "symbol="])
def test_an_impossible_filter_is_a_named_fault(client: Client, btc: Market, query: str) -> None:
    error = read(client, f"markets?{query}", status=400)["error"]
    assert error["code"] == 1001 and query.split("=")[0] in error["details"]["fields"]


def test_an_unknown_market_is_404_in_a_path_and_400_in_a_query(client: Client, btc: Market) -> None:
    for path in ("markets/NOPE", "markets/NOPE/stats", "markets/NOPE/candles", "market/NOPE/candles", "markets/A/B"):
        assert read(client, path, status=404)["error"]["code"] == 2000
    assert read(client, "markets?symbol=NOPE", status=400)["error"]["code"] == 2000


@pytest.mark.parametrize("path", ["stats", "orderbook"])
def test_a_market_without_prices_is_503(client: Client, btc: Market, path: str) -> None:
    assert read(client, f"markets/BTC-USD/{path}", status=503)["error"]["code"] == 2002


def test_stats_tell_prices_and_their_age(client: Client, btc: Market) -> None:
    publish("BTC-USD", bids=BIDS, asks=ASKS, at=system_clock() - timedelta(seconds=3))
    ticker = read(client, "markets/btc-usd/stats")["data"]

    assert (ticker["bid"], ticker["ask"], ticker["mark"], ticker["stale"]) == ("100", "101", "100.5", False)
    assert 3_000 <= ticker["age_ms"] < 9_000
    assert (ticker["funding_rate"], ticker["next_funding_at"]) == ("0", None)


def test_old_prices_say_that_they_are_stale(client: Client, btc: Market) -> None:
    publish("BTC-USD", bids=BIDS, asks=ASKS, at=system_clock() - timedelta(minutes=1))
    assert read(client, "markets/BTC-USD/stats")["data"]["stale"] is True
    assert read(client, "markets/BTC-USD/orderbook")["data"]["stale"] is True


def test_the_book_is_cut_to_the_depth(client: Client, btc: Market) -> None:
    publish("BTC-USD", bids=BIDS, asks=ASKS, sequence=7)
    whole, top = (read(client, f"markets/BTC-USD/orderbook{q}")["data"] for q in ("", "?depth=1"))

    assert whole["bids"] == [list(level) for level in BIDS] and whole["sequence"] == 7
    assert (top["bids"], top["asks"], top["stale"]) == ([["100", "1"]], [["101", "1.5"]], False)
    assert read(client, "markets/BTC-USD/orderbook?depth=0", status=400)["error"]["code"] == 1001


def test_trades_come_newest_first(client: Client, btc: Market) -> None:
    tape = Tape("BTC-USD")
    tape.take(quote_of("BTC-USD"), now_ms=0)
    for number in (1, 2, 3):
        tape.take(TradeTick("BTC-USD", number, "buy", Decimal(100), Decimal(number), from_ms(number)), now_ms=number)
    pipe = sync_client().pipeline(transaction=False)
    tape.queue(pipe, now_ms=3)
    pipe.execute()

    trades = read(client, "markets/BTC-USD/trades?limit=2")["data"]
    assert trades[0] == {"trade_id": 3, "side": "buy", "price": "100", "quantity": "3", "at": 3}
    assert [trade["trade_id"] for trade in trades] == [3, 2]


def candles(market: Market, *minutes: int, end_ms: int) -> None:
    for minute in minutes:
        CandleFactory(market=market, open_time=from_ms(end_ms - minute * MINUTE_MS), volume=Decimal(minute))


@pytest.fixture
def now_minute_ms() -> int:
    return open_time_ms(to_ms(system_clock()), timeframe="1m")


def test_candles_are_oldest_first_with_gaps_said(client: Client, btc: Market, now_minute_ms: int) -> None:
    candles(btc, 10, 9, 5, 4, end_ms=now_minute_ms)
    found = read(client, "market/BTC-USD/candles?timeframe=1m&limit=10")["data"]

    assert [c["open_time"] for c in found] == [now_minute_ms - m * MINUTE_MS for m in (10, 9, 8, 5, 4)]
    assert found[2] == {"open_time": now_minute_ms - 8 * MINUTE_MS, "gap": True, "missing": 3}
    assert found[0] == {
        "open_time": now_minute_ms - 10 * MINUTE_MS,
        "open": "100",
        "high": "100",
        "low": "100",
        "close": "100",
        "volume": "10",
        "trades": 1,
        "closed": True,
    }


def test_a_range_counts_from_its_begin_and_its_end(client: Client, btc: Market, now_minute_ms: int) -> None:
    candles(btc, *range(1, 9), end_ms=now_minute_ms)
    start, end = now_minute_ms - 6 * MINUTE_MS, now_minute_ms - 2 * MINUTE_MS

    def minutes(query: str) -> list[int]:
        found = read(client, f"markets/BTC-USD/candles?{query}")["data"]
        return [(now_minute_ms - candle["open_time"]) // MINUTE_MS for candle in found]

    assert minutes(f"from={start}&to={end}") == [6, 5, 4, 3, 2]
    assert minutes(f"from={start}&limit=2") == [6, 5]
    assert minutes(f"to={end}&limit=2") == [3, 2]
    assert minutes("limit=1") == [1]


def test_the_running_candle_comes_last_and_open(client: Client, btc: Market, now_minute_ms: int) -> None:
    candles(btc, 1, end_ms=now_minute_ms)
    tape = Tape("BTC-USD")
    tape.take(quote_of("BTC-USD", "140"), now_ms=now_minute_ms + 1)
    pipe = sync_client().pipeline(transaction=False)
    tape.queue(pipe, now_ms=now_minute_ms + 1)
    pipe.execute()

    found = read(client, "markets/BTC-USD/candles?timeframe=1m")["data"]
    assert [(c["close"], c["closed"]) for c in found] == [("100", True), ("140", False)]
    hours = read(client, "markets/BTC-USD/candles?timeframe=1h&type=mark")["data"]
    assert [(c["close"], c["closed"]) for c in hours] == [("140", False)]


def test_timeframes_and_kinds_are_kept_apart(client: Client, btc: Market) -> None:
    CandleFactory(market=btc, timeframe="1h", kind="index", close=Decimal(100))
    assert len(read(client, "markets/BTC-USD/candles?timeframe=1h&type=index")["data"]) == 1
    assert read(client, "markets/BTC-USD/candles?timeframe=1h")["data"] == []
    assert read(client, "markets/BTC-USD/candles?timeframe=5m&type=index")["data"] == []


@pytest.mark.parametrize(
    "query",
    ["timeframe=2m", "type=last", "limit=0", "limit=1001", "from=x", "from=-1", "from=5&to=4", "to=99999999999999999"],
)
def test_an_impossible_candle_query_is_400(client: Client, btc: Market, query: str) -> None:
    assert read(client, f"markets/BTC-USD/candles?{query}", status=400)["error"]["code"] == 1001


def test_funding_pages_newest_first(client: Client, btc: Market) -> None:
    for hour in range(5):
        FundingRateFactory(market=btc, at=from_ms(hour * HOUR_MS), rate=Decimal(hour).scaleb(-5))
    seen, cursor = [], ""
    while True:
        page = read(client, f"markets/BTC-USD/funding?limit=2{cursor}")
        seen += [(rate["at"] // HOUR_MS, rate["rate"]) for rate in page["data"]]
        if page["pagination"]["cursor"] is None:
            break
        cursor = f"&cursor={page['pagination']['cursor']}"
    assert seen == [(4, "0.00004"), (3, "0.00003"), (2, "0.00002"), (1, "0.00001"), (0, "0")]


PATHS = ["markets", "markets/BTC-USD", "markets/BTC-USD/stats", "markets/BTC-USD/orderbook", "markets/BTC-USD/candles"]


@pytest.mark.parametrize("path", PATHS)
def test_who_has_the_answer_gets_304(client: Client, btc: Market, path: str) -> None:
    publish("BTC-USD", bids=BIDS, asks=ASKS)
    first = client.get(f"/api/v1/{path}")
    again = client.get(f"/api/v1/{path}", headers={"If-None-Match": first["ETag"]})

    assert first["Cache-Control"].startswith("public, max-age=")
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert client.get(f"/api/v1/{path}", headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_new_price_is_a_new_tag(client: Client, btc: Market) -> None:
    tags = set()
    for sequence in (1, 2):
        publish("BTC-USD", bids=BIDS, asks=ASKS, sequence=sequence, at=from_ms(sequence))
        tags |= {client.get(f"/api/v1/markets/BTC-USD/{path}")["ETag"] for path in ("stats", "orderbook")}
    assert len(tags) == 4


@pytest.fixture
def no_redis(settings: Any) -> Iterator[None]:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    sync_client.cache_clear()
    yield
    sync_client.cache_clear()


def test_without_redis_history_and_rules_are_still_read(
    client: Client, btc: Market, now_minute_ms: int, no_redis: None
) -> None:
    candles(btc, 1, end_ms=now_minute_ms)
    market: MarketInfo = market_by_symbol("BTC-USD")
    assert market_of_path("btc-usd") == market
    rows = candles_of(market, timeframe="1m", kind="trades", start=None, end=None, limit=5, now=system_clock())
    assert len(rows) == 1


def test_keys_are_those_of_the_platform() -> None:
    assert (keys.QUOTES, keys.book("X"), keys.trades("X")) == ("md:quotes", "md:book:X", "md:trades:X")
