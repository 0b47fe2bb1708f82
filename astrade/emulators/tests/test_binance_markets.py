"""The market endpoints: what they answer, and what they refuse."""

from decimal import Decimal
from typing import Any

import pytest

from astrade.emulators.binance.server import BASE
from astrade.emulators.binance.symbols import FEE_RATE, symbols
from astrade.emulators.tests.binance_harness import BTC, BinanceHarness, code_of, running

HOUR_MS, DAY_MS = 3_600_000, 86_400_000


def test_the_catalogue_lists_what_the_exchange_charges():
    rates = {
        rate for symbol in symbols().values() for rate in (symbol.rules.maker_fee_rate, symbol.rules.taker_fee_rate)
    }
    assert rates == {FEE_RATE}


async def test_exchange_info_names_symbols_limits_and_filters():
    async with running(names=("BTCUSDT", "ETHUSDT", "XRPUSDT")) as binance:
        info = await binance.get("/exchangeInfo")
        assert [symbol["symbol"] for symbol in info["symbols"]] == ["BTCUSDT", "ETHUSDT", "XRPUSDT"]
        limits = {(one["rateLimitType"], one["interval"]): one["limit"] for one in info["rateLimits"]}
        assert limits == {
            ("REQUEST_WEIGHT", "MINUTE"): 6_000,
            ("ORDERS", "SECOND"): 50,
            ("ORDERS", "DAY"): 160_000,
            ("RAW_REQUESTS", "MINUTE"): 300_000,
        }
        filters = {one["filterType"]: one for one in info["symbols"][0]["filters"]}
        assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
        assert filters["LOT_SIZE"]["stepSize"] == "0.00001000"
        assert filters["NOTIONAL"]["minNotional"] == "5.00000000"
        assert {"MARKET_LOT_SIZE", "PERCENT_PRICE_BY_SIDE", "MAX_NUM_ORDERS", "MAX_NUM_ALGO_ORDERS"} <= filters.keys()
        two = await binance.get("/exchangeInfo", symbols='["XRPUSDT","BTCUSDT"]')
        assert [symbol["symbol"] for symbol in two["symbols"]] == ["XRPUSDT", "BTCUSDT"]
        assert (await binance.get("/exchangeInfo", symbolStatus="HALT"))["symbols"] == []


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("/depth", {}, -1102),
        ("/depth", {"symbol": ""}, -1102),
        ("/depth", {"symbol": "NOSUCH"}, -1121),
        ("/depth", {"symbol": "btcusdt"}, -1121),
        ("/depth", {"symbol": BTC, "limit": "x"}, -1100),
        ("/depth", {"symbol": BTC, "limit": "0"}, -1130),
        ("/depth", {"symbol": BTC, "colour": "red"}, -1104),
        ("/depth", {"symbol": BTC, "symbolStatus": "HALT"}, -1220),
        ("/klines", {"symbol": BTC, "interval": "1H"}, -1120),
        ("/klines", {"symbol": BTC, "interval": "1m", "timeZone": "+15:00"}, -1130),
        ("/aggTrades", {"symbol": BTC, "fromId": "1", "startTime": "1"}, -1128),
        ("/ticker/price", {"symbol": BTC, "symbols": f'["{BTC}"]'}, -1128),
        ("/ticker/price", {"symbols": "BTCUSDT"}, -1100),
        ("/ticker/24hr", {"symbol": BTC, "type": "TINY"}, -1130),
    ],
)
async def test_bad_parameters_have_their_numbers(binance: BinanceHarness, path: str, params: dict[str, str], code: int):
    response = await binance.http.get(BASE + path, params=params)
    assert (response.status_code, code_of(response)) == (400, code)


async def test_what_is_gone_is_not_found(binance: BinanceHarness):
    for method, path in (("POST", "/api/v3/userDataStream"), ("GET", "/api/v1/ping"), ("GET", "/api/v3/nothing")):
        assert (await binance.http.request(method, path)).status_code == 404


async def test_klines_end_with_the_running_one_and_fit_together(binance: BinanceHarness):
    minutes = await binance.get("/klines", symbol=BTC, interval="1m", limit=120)
    assert len(minutes) == 120 and all(len(row) == 12 for row in minutes)
    assert [row[0] for row in minutes] == [minutes[0][0] + 60_000 * number for number in range(120)]
    assert minutes[-1][0] <= binance.now_ms <= minutes[-1][6] == minutes[-1][0] + 59_999
    (hour,) = await binance.get("/klines", symbol=BTC, interval="1h", endTime=binance.now_ms - HOUR_MS, limit=1)
    parts = [row for row in minutes if hour[0] <= row[0] <= hour[6]]
    assert len(parts) == 60
    assert (hour[1], hour[4]) == (parts[0][1], parts[-1][4])
    assert Decimal(hour[2]) == max(Decimal(row[2]) for row in parts)
    for column in (5, 7, 8, 9, 10):
        assert Decimal(hour[column]) == sum(Decimal(row[column]) for row in parts)
    first = await binance.get("/klines", symbol=BTC, interval="1m", startTime=minutes[3][0], limit=2)
    assert first == minutes[3:5]
    last = await binance.get("/klines", symbol=BTC, interval="1m", endTime=minutes[9][6], limit=2)
    assert last == minutes[8:10]


async def test_days_begin_where_the_time_zone_says(binance: BinanceHarness):
    """The candle of the day began at midnight of the zone; months have the calendar's length."""
    (row,) = await binance.get("/klines", symbol=BTC, interval="1d", limit=1, timeZone="+5:30")
    assert (row[0] + 5.5 * HOUR_MS) % DAY_MS == 0 and row[6] == row[0] + DAY_MS - 1
    (month,) = await binance.get("/klines", symbol=BTC, interval="1M", limit=1)
    assert (month[0], month[6]) == (1_793_491_200_000, 1_796_083_199_999)  # November 2026


async def test_a_pause_leaves_flat_klines(binance: BinanceHarness):
    before = (await binance.get("/klines", symbol=BTC, interval="1m", limit=1))[0]
    binance.advance(5 * 60_000)
    rows = await binance.get("/klines", symbol=BTC, interval="1m", startTime=before[0])
    assert len(rows) == 6
    assert all(row[1:5] == [before[4]] * 4 and row[8] == 0 for row in rows[1:5])


async def test_trades_are_found_by_id_and_time(binance: BinanceHarness):
    binance.advance(steps=50)
    trades = await binance.get("/trades", symbol=BTC, limit=20)
    assert [trade["id"] for trade in trades] == list(range(trades[0]["id"], trades[0]["id"] + 20))
    from_id = await binance.get("/historicalTrades", symbol=BTC, fromId=trades[5]["id"], limit=3)
    assert from_id == trades[5:8]
    since = await binance.get("/aggTrades", symbol=BTC, startTime=trades[10]["time"], limit=1)
    assert since[0]["T"] == trades[10]["time"]
    price = await binance.get("/ticker/price", symbol=BTC)
    assert price == {"symbol": BTC, "price": trades[-1]["price"]}
    assert (await binance.get("/avgPrice", symbol=BTC))["mins"] == 5


async def test_tickers_of_one_are_an_object_of_several_an_array(binance: BinanceHarness):
    mini: Any = await binance.get("/ticker/24hr", symbol=BTC, type="MINI")
    full = await binance.get("/ticker/24hr", symbols=f'["{BTC}"]')
    assert full[0] == full[0] | mini and "weightedAvgPrice" not in mini
    change = Decimal(full[0]["lastPrice"]) - Decimal(full[0]["openPrice"])
    assert Decimal(full[0]["priceChange"]) == change
    book = (await binance.get("/ticker/bookTicker"))[0]
    assert book == book | {name: full[0][name] for name in ("bidPrice", "bidQty", "askPrice", "askQty")}
