"""Requirement document 1, §4.1 and §6: each of its calls, the one form of answers, and its status codes."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.tests.client import Api
from astrade.core.clock import from_ms, system_clock
from astrade.core.messages import TradeTick
from astrade.core.redis import sync_client
from astrade.core.throttling import LIMITS
from marketdata.models import Market
from marketdata.tape import Tape
from marketdata.tests.factories import CandleFactory, FundingRateFactory, quote_of
from trading.tests.api.client import ORDER, RESTING, Trader
from trading.tests.conftest import Feed
from trading.tests.factories import open_account

ENVELOPE = {"status", "data", "request_id", "timestamp"}


# §4.1.1 Markets, for anybody


def test_get_markets(feed: Feed, api: Api) -> None:
    answer = api.get("/markets")

    assert [market["symbol"] for market in answer.data] == ["BTC-USD"]
    assert answer.content["pagination"] == {"cursor": None, "count": 1}


def test_get_market_stats_of_a_day(feed: Feed, api: Api) -> None:
    stats = api.get("/markets/BTC-USD/stats").data

    assert {name: stats[name] for name in ("last", "mark", "index", "bid", "ask")} == {
        "last": "100", "mark": "100", "index": "100", "bid": "99", "ask": "101",
    }  # fmt: skip
    assert {"change_24h", "high_24h", "low_24h", "volume_24h", "open_interest", "funding_rate"} <= set(stats)


def test_get_market_orderbook(feed: Feed, api: Api) -> None:
    book = api.get("/markets/BTC-USD/orderbook").data

    assert (book["bids"][0], book["asks"][0], book["sequence"]) == (["99", "1"], ["101", "1"], 1)
    assert len(api.get("/markets/BTC-USD/orderbook?depth=2").data["bids"]) == 2


def test_get_market_trades(feed: Feed, api: Api) -> None:
    tape, pipe = Tape("BTC-USD"), sync_client().pipeline(transaction=False)
    tape.take(quote_of("BTC-USD"), now_ms=0)
    for number in range(1, 61):
        tape.take(TradeTick("BTC-USD", number, "buy", Decimal(100), Decimal(1), from_ms(number)), now_ms=number)
    tape.queue(pipe, now_ms=60)
    pipe.execute()

    trades = api.get("/markets/BTC-USD/trades").data

    assert [trade["trade_id"] for trade in trades] == list(range(60, 10, -1))  # 50 unless said
    assert trades[0] == {"trade_id": 60, "side": "buy", "price": "100", "quantity": "1", "at": 60}


def test_get_market_candles(market: Market, api: Api) -> None:
    at = system_clock().replace(second=0, microsecond=0) - timedelta(minutes=5)
    CandleFactory(market=market, open_time=at, close=Decimal(101), high=Decimal(101))

    (candle,) = api.get("/markets/BTC-USD/candles?timeframe=1m&type=TRADES").data

    assert {name: candle[name] for name in ("open", "high", "low", "close", "volume")} == {
        "open": "100", "high": "101", "low": "100", "close": "101", "volume": "1",
    }  # fmt: skip


def test_get_market_funding(market: Market, api: Api) -> None:
    FundingRateFactory(market=market, at=from_ms(3_600_000), rate=Decimal("0.0001"))

    assert api.get("/markets/BTC-USD/funding").data == [{"at": 3_600_000, "rate": "0.0001"}]


# §4.1.2 Account


def test_get_account_balance(trader: Trader) -> None:
    balance = trader.api.get("/account/balance").data

    assert (balance["balance"], balance["margin_available"], balance["withdrawable"]) == ("10000", "10000", "10000")
    assert trader.api.get("/account").data == balance


def test_get_account_positions(trader: Trader) -> None:
    trader.place()
    assert [position["symbol"] for position in trader.api.get("/account/positions").data] == ["BTC-USD"]


def test_get_account_positions_history(trader: Trader) -> None:
    trader.place()
    assert trader.api.get("/account/positions/history").data == []
    trader.place(side="sell")
    assert [position["is_open"] for position in trader.api.get("/account/positions/history").data] == [False]


def test_get_account_leverage(trader: Trader) -> None:
    shown = {"symbol": "BTC-USD", "leverage": 1, "max_leverage": 10}
    for query in ("", "?market=BTC-USD", "?symbol=btc-usd", "?instrument_id=BTC-USD"):
        assert trader.api.get(f"/account/leverage{query}").data == [shown]


@pytest.mark.parametrize("name", ["symbol", "market", "instrument_id"])
def test_patch_account_leverage(trader: Trader, name: str) -> None:
    answer = trader.api.patch("/account/leverage", {name: "BTC-USD", "leverage": 10})

    assert (answer.status, answer.data["leverage"]) == (200, 10)
    assert trader.place().data["leverage"] == 10


def test_get_account_fees(trader: Trader) -> None:
    shown = {"symbol": "BTC-USD", "maker_fee_rate": "0.0005", "taker_fee_rate": "0.001", "minimum_fee": "0"}
    assert trader.api.get("/account/fees").data == [shown]


# §4.1.3 Orders


def test_post_orders(trader: Trader) -> None:
    answer = trader.api.post("/orders", RESTING)
    assert (answer.status, answer.data["status"]) == (201, "open")


def test_patch_order(trader: Trader) -> None:
    order = trader.rest().data
    answer = trader.api.patch(f"/orders/{order['id']}", {"price": "96", "quantity": "2"})

    assert (answer.status, answer.data["id"], answer.data["price"], answer.data["quantity"]) == (
        200, order["id"], "96", "2",
    )  # fmt: skip


def test_delete_order(trader: Trader) -> None:
    order = trader.rest().data
    assert trader.api.delete(f"/orders/{order['id']}").data["status"] == "cancelled"


def test_delete_orders(trader: Trader) -> None:
    numbers = [trader.rest().data["number"] for _ in range(2)]
    assert [order["number"] for order in trader.api.delete("/orders").data] == numbers


def test_get_orders(trader: Trader) -> None:
    trader.place()
    order = trader.rest().data
    assert trader.api.get("/orders").data == [order]


def test_get_orders_history(trader: Trader) -> None:
    trader.rest()
    filled = trader.place().data
    sold = trader.place(side="sell").data

    assert trader.api.get("/orders/history").data == [sold, filled]
    assert trader.api.get("/orders/history?side=sell").data == [sold]
    assert trader.api.get("/orders/history?status=cancelled").data == []


def test_get_trades(trader: Trader) -> None:
    trader.place()
    trader.place(side="sell")

    assert [trade["side"] for trade in trader.api.get("/trades").data] == ["sell", "buy"]
    assert [trade["side"] for trade in trader.api.get("/trades?side=BUY").data] == ["buy"]
    assert trader.api.get("/trades?side=up").error == (400, 1001)


# §4.1.4 Funds


def test_post_transfers(trader: Trader) -> None:
    other = open_account(user=trader.user, balance="0")
    body = {"from_account": str(trader.account.uuid), "to_account": str(other.uuid), "asset": "USD", "amount": 25.5}

    answer = trader.api.post("/transfers", body)

    assert (answer.status, answer.data["amount"]) == (201, "25.5")
    assert trader.api.get(f"/account/balance?account={other.uuid}").data["balance"] == "25.5"


def test_faucet_gives_a_hundred_thousand_a_day(trader: Trader) -> None:
    assert trader.api.post("/deposits/faucet", {"amount": "100000"}).data["max_a_day"] == "100000"
    assert trader.api.post("/deposits/faucet", {"amount": "1"}).error == (400, 4003)


# §5 Use cases


def test_basic_trading_from_markets_to_a_closed_position(trader: Trader) -> None:
    symbol = trader.api.get("/markets").data[0]["symbol"]
    order = trader.api.post("/orders", {**ORDER, "symbol": symbol}).data
    (position,) = trader.api.get("/account/positions").data
    trader.api.post(f"{trader.path}/positions/close", {"position_id": position["id"]})

    assert order["status"] == "filled"
    assert trader.api.get("/account/positions").data == []


def test_advanced_trading_with_leverage_take_profit_and_stop_loss(trader: Trader) -> None:
    trader.api.patch("/account/leverage", {"market": "BTC-USD", "leverage": 5})
    trader.place(take_profit="110", stop_loss="95")

    (position,) = trader.api.get("/account/positions").data
    assert (position["leverage"], position["take_profit"], position["stop_loss"]) == (5, "110", "95")
    assert {order["type"] for order in trader.api.get("/orders").data} == {"take_profit", "stop"}


# §6 Form of answers, keys, limits and errors


def test_success_has_one_form(trader: Trader) -> None:
    one, many = trader.api.get("/account/balance"), trader.api.get("/orders")

    assert set(one.content) == ENVELOPE
    assert set(many.content) == ENVELOPE | {"pagination"}
    assert (one.content["status"], set(many.content["pagination"])) == ("ok", {"cursor", "count"})


def test_error_has_one_form(trader: Trader) -> None:
    refused = trader.place(quantity="500")

    assert set(refused.content) == {"status", "error", "request_id", "timestamp"}
    assert refused.content["status"] == "error"
    assert set(refused.content["error"]) == {"code", "message", "details"}
    assert isinstance(refused.content["error"]["code"], int)


def test_api_key_in_its_header(trader: Trader) -> None:
    key = trader.with_key("read", "trade")

    assert key.get("/account/balance").status == 200
    assert key.post("/orders", RESTING).data["source"] == "api_key"


def test_rate_limits_of_both_tiers() -> None:
    standard, market_maker = LIMITS["standard"], LIMITS["market_maker"]

    assert (standard.amount, standard.window_s) == (1_000, 60)
    assert (market_maker.amount, market_maker.window_s) == (60_000, 300)


@pytest.mark.parametrize(
    ("headers", "path", "refusal"),
    [
        ({}, "/orders?limit=0", (400, 1001)),
        ({"X-Api-Key": "ak_00000000_no"}, "/orders", (401, 1101)),
        ({"Authorization": ""}, "/orders", (401, 1100)),
    ],
)
def test_bad_request_and_unauthorized(
    trader: Trader, headers: dict[str, str], path: str, refusal: tuple[int, int]
) -> None:
    known: dict[str, Any] = trader.api.headers if not headers else {}
    assert Api({**known, **headers}).get(path).error == refusal


def test_forbidden_without_the_scope(trader: Trader) -> None:
    assert trader.with_key("read").post("/orders", RESTING).error == (403, 1106)


def test_rate_limit_exceeded(trader: Trader, settings: Any) -> None:
    settings.RATE_LIMIT_FACTOR = 0.002  # two calls a minute

    answers = [trader.api.get("/account/balance") for _ in range(3)]

    assert [answer.status for answer in answers] == [200, 200, 429]
    assert (answers[-1].error, int(answers[-1].headers["Retry-After"]) > 0) == ((429, 1200), True)
