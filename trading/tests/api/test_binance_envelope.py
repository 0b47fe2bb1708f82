"""The Binance-named calls of `/api/v1`: Binance's parameters and bodies, our envelope and our errors."""

from urllib.parse import urlencode

import pytest

from accounts.tests.client import Api
from trading.models import Order
from trading.tests.api.binance import LIMIT, MARKET, SYMBOL, spot_market
from trading.tests.api.client import Trader
from trading.tests.conftest import Feed
from trading.tests.factories import open_account


@pytest.fixture
def trader(feed: Feed) -> Trader:
    """With BTCUSDT around 100."""
    spot_market()
    feed(symbol=SYMBOL)
    return Trader()


def test_ticker_price_in_the_envelope(trader: Trader, api: Api) -> None:
    answer = trader.api.get("/ticker/price?symbol=BTCUSDT")

    assert (answer.status, answer.data) == (200, {"symbol": SYMBOL, "price": "100.00000000"})
    assert answer.content["request_id"] == answer.headers["X-Request-ID"]
    assert isinstance(answer.content["timestamp"], int)
    assert trader.api.get("/ticker/price?symbol=INVALID").error == (400, 2000)
    assert api.get("/ticker/price?symbol=BTCUSDT").error == (401, 1100)


def test_the_other_market_data(trader: Trader) -> None:
    day = trader.api.get("/ticker/24hr?symbol=BTCUSDT").data
    assert (day["lastPrice"], day["bidPrice"]) == ("100.00000000", "99.00000000")
    (row,) = trader.api.get("/klines?symbol=BTCUSDT&interval=1h&limit=100").data
    assert (len(row), row[4]) == (12, "100.00000000")
    assert trader.api.get("/depth?symbol=btcusdt&limit=1").data["asks"] == [["101.00000000", "1.00000000"]]
    info = trader.api.get("/exchangeInfo?symbol=BTCUSDT")
    assert [symbol["symbol"] for symbol in info.data["symbols"]] == [SYMBOL]
    again = trader.api.get("/klines?symbol=BTCUSDT&interval=7m")
    assert again.error == (400, 1001)
    assert again.content["error"]["details"] == {"fields": {"interval": ["Invalid interval."]}}


def test_order_is_placed_shown_and_cancelled(trader: Trader) -> None:
    placed = trader.api.post("/order", {**LIMIT, "newClientOrderId": "mine"})
    named = f"/order?symbol=BTCUSDT&orderId={placed.data['orderId']}"

    assert (placed.status, placed.data["status"], placed.data["fills"]) == (201, "NEW", [])
    assert trader.api.get(named).data["clientOrderId"] == "mine"
    gone = trader.api.delete(named)
    assert (gone.status, gone.data["status"]) == (200, "CANCELED")
    assert trader.api.delete(named).error == (409, 3010)
    assert trader.api.get("/order?symbol=BTCUSDT&orderId=99").error == (404, 1002)


def test_every_type_answers_with_its_status(trader: Trader) -> None:
    stop = {"symbol": SYMBOL, "side": "BUY", "type": "STOP_LOSS", "quantity": "1", "stopPrice": "105"}

    assert trader.api.post(f"/order?{urlencode(stop)}").data["status"] == "NEW"


def test_the_same_order_again_is_the_first_one(trader: Trader) -> None:
    first, second = (trader.api.post("/order", {**MARKET, "newClientOrderId": "once"}) for _ in range(2))

    assert second.data == first.data
    assert second.headers["Idempotent-Replayed"] == "true"
    assert trader.api.post("/order", {**MARKET, "quantity": 2, "newClientOrderId": "once"}).error == (409, 3013)
    assert Order.objects.count() == 1
    third, fourth = (trader.api.post("/order", MARKET, Idempotency_Key="k-1") for _ in range(2))
    assert third.data == fourth.data
    assert Order.objects.count() == 2


def test_refusals_are_ours(trader: Trader) -> None:
    missing = trader.api.post("/order", {**LIMIT, "price": None})

    assert missing.error == (400, 1001)
    assert missing.content["error"]["details"]["fields"].keys() == {"price"}
    assert trader.api.post("/order", {**LIMIT, "quantity": "0.0015"}).error == (400, 3001)
    broke = trader.api.post("/order", {**MARKET, "quantity": "200"})
    assert (broke.error, broke.content["error"]["message"]) == ((400, 3003), "Insufficient balance")
    assert trader.api.post("/order", {**MARKET, "side": "SELL"}).error == (400, 3004)


def test_the_order_is_of_the_account_that_is_named(trader: Trader) -> None:
    second = open_account(user=trader.user)
    placed = trader.api.post("/order", LIMIT, X_Account_Id=str(second.uuid)).data

    assert Order.objects.get().account_id == second.pk
    assert trader.api.get(f"/order?symbol=BTCUSDT&orderId={placed['orderId']}").error == (404, 1002)
