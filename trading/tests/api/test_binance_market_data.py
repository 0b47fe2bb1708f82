"""Market data over `/api/v3`, who may ask for it, and how refusals look, whoever refuses."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from pytest_django import DjangoAssertNumQueries

from astrade.core.clock import system_clock, to_ms
from astrade.core.errors import STATUS_OF
from astrade.core.messages import TradeTick
from astrade.core.redis import sync_client
from marketdata import frames, keys
from marketdata.models import MarketAlias
from marketdata.selectors import all_markets, forget_markets
from marketdata.tests.factories import CandleFactory
from trading.api.binance.errors import OF_CODE, Code
from trading.tests.api.binance import MARKET, SYMBOL, BinanceTrader, spot_market
from trading.tests.conftest import Feed
from trading.tests.factories import D

OF_FUNDS_AND_GAME = range(4000, 5000), range(6000, 8000)


@pytest.fixture
def trader(feed: Feed) -> BinanceTrader:
    """With BTCUSDT around 100; BTC-USD beside it has no spelling of Binance's."""
    spot_market(max_position_notional="5000")
    feed(symbol=SYMBOL)
    return BinanceTrader()


def test_exchange_info_shows_rules_as_filters(trader: BinanceTrader) -> None:
    info = trader.good("GET", "exchangeInfo", {"symbols": '["BTCUSDT"]'})

    (symbol,) = info["symbols"]
    assert info["rateLimits"] == [
        {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 1, "limit": 1000}
    ]
    assert info["exchangeFilters"] == [{"filterType": "EXCHANGE_MAX_NUM_ORDERS", "maxNumOrders": 200}]
    assert [symbol[name] for name in ("symbol", "status", "baseAsset", "quoteAsset")] == [
        "BTCUSDT", "TRADING", "BTC", "USDT",
    ]  # fmt: skip
    assert symbol["filters"] == [
        {"filterType": "PRICE_FILTER", "minPrice": "1.00000000", "maxPrice": "0.00000000", "tickSize": "1.00000000"},
        {"filterType": "LOT_SIZE", "minQty": "0.00100000", "maxQty": "1000.00000000", "stepSize": "0.00100000"},
        {"filterType": "PERCENT_PRICE", "multiplierUp": "1.1", "multiplierDown": "0.9", "avgPriceMins": 0},
        {"filterType": "NOTIONAL", "minNotional": "0.00100000", "applyMinToMarket": True, "avgPriceMins": 0,
         "maxNotional": "5000.00000000", "applyMaxToMarket": True},
    ]  # fmt: skip
    assert trader.refused("GET", "exchangeInfo", {"symbol": "NOSUCH"}) == (400, -1121, "Invalid symbol.")


def test_a_market_is_listed_under_an_alias_that_binance_could_use(trader: BinanceTrader, market: Any) -> None:
    assert [one["symbol"] for one in trader.good("GET", "exchangeInfo")["symbols"]] == ["BTCUSDT"]
    assert trader.refused("GET", "depth", {"symbol": "BTC-USD"})[1] == -1121

    for spelling in ("BTC/USD", "BTCUSD"):
        MarketAlias.objects.create(market=market, spelling=spelling)
    forget_markets()

    listed = trader.good("GET", "exchangeInfo")["symbols"]
    assert [(one["symbol"], one["isSpotTradingAllowed"]) for one in listed] == [("BTCUSD", False), ("BTCUSDT", True)]
    assert trader.good("GET", "ticker/price", {"symbol": "BTCUSD"}) == {"symbol": "BTCUSD", "price": "100.00000000"}
    order = trader.order(symbol="BTCUSD")
    assert (order["symbol"], trader.good("GET", "myTrades", {"symbol": "BTCUSD"})[0]["symbol"]) == ("BTCUSD", "BTCUSD")


def test_tickers(trader: BinanceTrader, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    all_markets()  # kept for a second
    with django_assert_num_queries(0):
        price = trader.ask("GET", "ticker/price", {"symbol": SYMBOL}, **{"X-MBX-APIKEY": ""})

    assert price == (200, {"symbol": SYMBOL, "price": "100.00000000"})
    assert trader.good("GET", "ticker/price") == [price[1]]
    best = {"bidPrice": "99.00000000", "bidQty": "1.00000000", "askPrice": "101.00000000", "askQty": "1.00000000"}
    assert trader.good("GET", "ticker/bookTicker", {"symbol": SYMBOL}) == {"symbol": SYMBOL, **best}
    assert trader.good("GET", "ticker/bookTicker", {"symbols": '["BTCUSDT"]'}) == [{"symbol": SYMBOL, **best}]


def test_day_ticker(trader: BinanceTrader) -> None:
    """100 now, 25 % more than a day ago: 80."""
    sync_client().set(
        keys.stats(SYMBOL),
        b'{"change_24h":"0.25","high_24h":"110","low_24h":"79","volume_24h":"12.5","open_interest":null}',
    )
    full = trader.good("GET", "ticker/24hr", {"symbol": SYMBOL})
    mini = trader.good("GET", "ticker/24hr", {"symbol": SYMBOL, "type": "MINI"})

    shown = ("openPrice", "lastPrice", "highPrice", "lowPrice", "volume", "priceChange", "priceChangePercent")
    assert [D(full[name]) for name in shown] == [80, 100, 110, 79, D("12.5"), 20, 25]
    assert full["closeTime"] - full["openTime"] == 86_400_000
    assert mini == {name: full[name] for name in mini}
    assert "priceChange" not in mini


def test_depth_and_trades(trader: BinanceTrader) -> None:
    depth = trader.good("GET", "depth", {"symbol": SYMBOL, "limit": 2})
    assert depth == {
        "lastUpdateId": 1,
        "bids": [["99.00000000", "1.00000000"], ["98.00000000", "2.00000000"]],
        "asks": [["101.00000000", "1.00000000"], ["102.00000000", "2.00000000"]],
    }
    assert trader.refused("GET", "depth", {"symbol": SYMBOL, "limit": 0})[1] == -1130
    at = system_clock()
    bought = TradeTick(SYMBOL, 1, "buy", D(100), D("0.5"), at)
    for trade in (bought, replace(bought, trade_id=2, side="sell")):
        sync_client().lpush(keys.trades(SYMBOL), frames.trade_value(trade))
    first, second = trader.good("GET", "trades", {"symbol": SYMBOL})
    assert first == {
        "id": 1, "price": "100.00000000", "qty": "0.50000000", "quoteQty": "50.00000000", "time": to_ms(at),
        "isBuyerMaker": False, "isBestMatch": True,
    }  # fmt: skip
    assert (second["id"], second["isBuyerMaker"]) == (2, True)
    aggregate = {"a": 1, "p": "100.00000000", "q": "0.50000000", "f": 1, "l": 1, "T": to_ms(at), "m": False, "M": True}
    assert trader.good("GET", "aggTrades", {"symbol": SYMBOL, "fromId": 1, "limit": 1}) == [aggregate]
    assert [row["a"] for row in trader.good("GET", "aggTrades", {"symbol": SYMBOL, "limit": 1})] == [2]
    assert trader.good("GET", "aggTrades", {"symbol": SYMBOL, "endTime": to_ms(at) - 1}) == []


def test_klines(trader: BinanceTrader) -> None:
    """A hole between two candles has no row."""
    market = spot_market("ETHUSDT")
    opened = system_clock().replace(second=0, microsecond=0) - timedelta(minutes=9)
    for minute in (0, 1, 4):
        CandleFactory.create(market=market, open_time=opened + timedelta(minutes=minute), volume=D("2.5"), trades=3)

    rows = trader.good("GET", "klines", {"symbol": "ETHUSDT", "interval": "1m", "startTime": to_ms(opened)})

    assert [row[0] - to_ms(opened) for row in rows] == [0, 60_000, 240_000]
    assert rows[0][1:] == [
        *["100.00000000"] * 4, "2.50000000", to_ms(opened) + 59_999, "0.00000000", 3, "0.00000000", "0.00000000", "0",
    ]  # fmt: skip
    newest = {"symbol": "ETHUSDT", "interval": "1m", "limit": 1, "endTime": to_ms(opened) + 60_000}
    assert [row[0] for row in trader.good("GET", "klines", newest)] == [to_ms(opened) + 60_000]
    assert trader.refused("GET", "klines", newest | {"interval": "7m"}) == (400, -1120, "Invalid interval.")


def test_a_stale_price_is_not_shown(trader: BinanceTrader, feed: Feed, settings: LazySettings) -> None:
    feed(symbol=SYMBOL, at=system_clock() - timedelta(seconds=settings.FEED_STALE_AFTER_S + 1), sequence=2)

    for path in ("ticker/price", "ticker/24hr", "ticker/bookTicker", "depth"):
        assert trader.refused("GET", path, {"symbol": SYMBOL})[:2] == (503, -1008)
    assert trader.good("GET", "ticker/price") == []


def test_time_and_ping_need_no_key(trader: BinanceTrader) -> None:
    trader.key = ""

    assert trader.good("GET", "ping") == {}
    assert abs(trader.good("GET", "time")["serverTime"] - to_ms(system_clock())) < 60_000
    assert trader.refused("GET", "account") == (401, -2014, "API-key format invalid.")
    trader.key = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
    assert trader.refused("GET", "account") == (401, -2014, "API-key format invalid.")
    trader.key = "ak_0123456789abcdef"
    assert trader.refused("GET", "account")[:2] == (401, -2015)


def test_a_key_that_only_reads_does_not_trade(trader: BinanceTrader) -> None:
    reader = BinanceTrader("read")

    assert reader.good("GET", "account")["canTrade"] is False
    for method, path in (("POST", "order"), ("DELETE", "order"), ("DELETE", "openOrders")):
        assert reader.refused(method, path, form=MARKET)[:2] == (401, -2015)


def test_the_rate_limit_is_binances_429(trader: BinanceTrader, settings: LazySettings) -> None:
    settings.RATE_LIMIT_FACTOR = 0.001  # 1 a minute

    answers = [trader.ask("GET", "account") for _ in range(3)]

    assert [(status, body["code"]) for status, body in answers if status != 200][-1:] == [(429, -1003)]
    assert 0 < int(trader.headers["Retry-After"]) <= 60


def test_refusals_before_any_view_have_the_same_form(trader: BinanceTrader, settings: LazySettings) -> None:
    assert trader.refused("GET", "userDataStream")[:2] == (404, -1000)
    assert trader.refused("GET", "order/test")[:2] == (404, -1000)
    assert trader.refused("POST", "account", form={})[:2] == (405, -1020)
    assert trader.json("POST", "order", b"{")[1]["code"] == -1130
    assert trader.refused("POST", "order", {"symbol": "a\0b"})[1] == -1130
    settings.MAINTENANCE_MODE = True
    assert trader.refused("POST", "order", form=MARKET)[:2] == (400, -2010)
    assert trader.refused("DELETE", "openOrders", form={"symbol": SYMBOL})[1] == -2011  # cancels go on


def test_every_code_that_trading_knows_has_a_number() -> None:
    others = {code for codes in OF_FUNDS_AND_GAME for code in codes} | {1001, 1002, 1005, 1006, 1109, 1203}

    assert set(STATUS_OF) - others == set(OF_CODE)
    assert {number for number, _ in OF_CODE.values()} <= set(Code)
