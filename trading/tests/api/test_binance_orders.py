"""Orders over `/api/v3`: what Binance's clients send, what becomes of it, and Binance's words for it."""

from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from marketdata.selectors import all_markets
from trading.models import Fill, Order
from trading.tests.api.binance import LIMIT, MARKET, SYMBOL, BinanceTrader, spot_market
from trading.tests.conftest import Feed
from trading.tests.factories import D, open_account

SELLING = {"side": "SELL"}


@pytest.fixture
def trader(feed: Feed) -> BinanceTrader:
    """With BTCUSDT, and BTC-USD beside it, around 100."""
    spot_market()
    feed(symbol=SYMBOL)
    return BinanceTrader()


def test_market_order_in_full(trader: BinanceTrader) -> None:
    answer = trader.order(quantity="2", newClientOrderId="mine-1")

    order = Order.objects.get()
    at = answer["transactTime"]
    assert answer == {
        "symbol": "BTCUSDT", "orderId": order.number, "orderListId": -1, "clientOrderId": "mine-1", "transactTime": at,
        "price": "0.00000000", "origQty": "2.00000000", "executedQty": "2.00000000",
        "origQuoteOrderQty": "0.00000000", "cummulativeQuoteQty": "203.00000000", "status": "FILLED",
        "timeInForce": "GTC", "type": "MARKET", "side": "BUY", "workingTime": at,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "fills": [
            {"price": "101.00000000", "qty": "1.00000000", "commission": "0.10100000", "commissionAsset": "USDT",
             "tradeId": 1},
            {"price": "102.00000000", "qty": "1.00000000", "commission": "0.10200000", "commissionAsset": "USDT",
             "tradeId": 2},
        ],
    }  # fmt: skip
    assert (order.account_id, order.source) == (trader.account.pk, "api_key")


def test_ack_tells_less_and_asks_for_less(
    trader: BinanceTrader, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    trader.order()  # the key's use is noted once a minute

    all_markets()  # kept for a second
    with django_assert_num_queries(3):  # the key; the booking's transaction begins and ends
        ack = trader.order(newOrderRespType="ACK")
    with django_assert_num_queries(4):  # and the fills
        trader.order(newOrderRespType="RESULT")

    assert set(ack) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}


def test_limit_order_is_asked_for_and_cancelled(trader: BinanceTrader) -> None:
    placed = trader.rest()
    named = {"symbol": SYMBOL, "orderId": placed["orderId"]}

    found = trader.good("GET", "order", named)
    assert (placed["status"], found["status"], found["isWorking"], found["price"]) == (
        "NEW", "NEW", True, "95.00000000",
    )  # fmt: skip
    assert trader.good("GET", "order", {"symbol": SYMBOL, "origClientOrderId": placed["clientOrderId"]}) == found
    assert trader.good("GET", "openOrders", {"symbol": SYMBOL}) == trader.good("GET", "openOrders") == [found]
    gone = trader.good("DELETE", "order", form=named | {"newClientOrderId": "the-cancel"})
    assert (gone["status"], gone["clientOrderId"], gone["origClientOrderId"], gone["orderId"]) == (
        "CANCELED", "the-cancel", placed["clientOrderId"], placed["orderId"],
    )  # fmt: skip
    assert trader.good("GET", "openOrders") == []
    assert trader.refused("DELETE", "order", named) == (400, -2011, "Unknown order sent.")


@pytest.mark.parametrize(
    ("type", "more", "shown"),
    [
        ("LIMIT", {"timeInForce": "IOC", "price": "95"}, ("LIMIT", "IOC", "EXPIRED")),
        ("LIMIT", {"timeInForce": "FOK", "price": "95"}, ("LIMIT", "FOK", "EXPIRED")),
        ("LIMIT_MAKER", {"price": "95"}, ("LIMIT_MAKER", "GTC", "NEW")),
        ("STOP_LOSS", {"stopPrice": "105"}, ("STOP_LOSS", "GTC", "NEW")),
        (
            "STOP_LOSS_LIMIT",
            {"timeInForce": "GTC", "price": "106", "stopPrice": "105"},
            ("STOP_LOSS_LIMIT", "GTC", "NEW"),
        ),
        ("TAKE_PROFIT", {"stopPrice": "95"}, ("TAKE_PROFIT", "GTC", "NEW")),
        (
            "TAKE_PROFIT_LIMIT",
            {"timeInForce": "GTC", "price": "95", "stopPrice": "96"},
            ("TAKE_PROFIT_LIMIT", "GTC", "NEW"),
        ),
    ],
)
def test_every_type(trader: BinanceTrader, type: str, more: dict[str, str], shown: tuple[str, str, str]) -> None:
    sent = {"symbol": SYMBOL, "side": "BUY", "quantity": "1", "type": type, **more}

    number = trader.good("POST", "order", form=sent)["orderId"]

    order = trader.good("GET", "order", {"symbol": SYMBOL, "orderId": number})
    assert (order["type"], order["timeInForce"], order["status"]) == shown
    assert D(order["stopPrice"]) == D(more.get("stopPrice", "0"))
    assert order["isWorking"] == (type == "LIMIT_MAKER")


def test_quote_quantity_buys_what_it_pays_for(trader: BinanceTrader) -> None:
    """101 for the first, 99 for 0.970 at 102: whole steps of 0.001, down."""
    answer = trader.good("POST", "order", form={**MARKET, "quantity": "", "quoteOrderQty": "200"})

    assert (answer["executedQty"], answer["origQuoteOrderQty"]) == ("1.97000000", "200.00000000")
    assert answer["cummulativeQuoteQty"] == "199.94000000"


def test_a_used_client_id_never_returns_the_old_order(trader: BinanceTrader) -> None:
    trader.order(newClientOrderId="once")

    for changes in ({}, {"quantity": "2"}):
        again = {**MARKET, "newClientOrderId": "once", **changes}
        assert trader.refused("POST", "order", form=again) == (400, -2010, "Duplicate order sent.")
    assert Order.objects.count() == Fill.objects.count() == 1


def test_query_wins_over_form_and_both_may_hold_a_part(trader: BinanceTrader) -> None:
    form = {**LIMIT, "quantity": "3", "signature": "x"}

    placed = trader.good("POST", "order", {"quantity": "2", "price": "96"}, form)

    assert (placed["origQty"], placed["price"]) == ("2.00000000", "96.00000000")
    other = trader.rest()
    trader.good("DELETE", "order", {"orderId": placed["orderId"]}, {"symbol": SYMBOL, "orderId": other["orderId"]})
    assert [order["orderId"] for order in trader.good("GET", "openOrders")] == [other["orderId"]]
    assert trader.json("POST", "order", {**LIMIT, "quantity": 1, "price": 94.0})[1]["price"] == "94.00000000"


@pytest.mark.parametrize(
    ("changes", "number", "text"),
    [
        ({"quantity": "0.0015"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0.0001"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "100000"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0"}, -1013, "Filter failure: LOT_SIZE"),
        ({"price": "95.5"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"price": "50"}, -1013, "Filter failure: PERCENT_PRICE"),
        ({"quantity": "200"}, -2010, "Account has insufficient balance for requested action."),
        (SELLING | {"price": "105"}, -2010, "Account has insufficient balance for requested action."),
        ({"type": "LIMIT_MAKER", "price": "102"}, -2010, "Order would immediately match and take."),
        ({"type": "STOP_LOSS", "stopPrice": "90"}, -2010, "Stop price would trigger immediately."),
        ({"symbol": "NOSUCH"}, -1121, "Invalid symbol."),
        ({"symbol": ""}, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        ({"quantity": ""}, -1102, "Mandatory parameter 'quantity' was not sent, was empty/null, or malformed."),
        ({"timeInForce": ""}, -1102, "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed."),
        ({"quantity": "1e3"}, -1100, None),
        ({"newClientOrderId": "a b"}, -1100, None),
        ({"quantity": "0.0000000000000000001"}, -1111, "Parameter 'quantity' has too much precision."),
        ({"type": "ICEBERG"}, -1116, "Invalid orderType."),
        ({"side": "LONG"}, -1117, "Invalid side."),
        ({"timeInForce": "GTX"}, -1115, "Invalid timeInForce."),
        ({"icebergQty": "1"}, -1106, "Parameter 'icebergQty' sent when not required."),
        ({"newOrderRespType": "ALL"}, -1130, "Data sent for parameter 'newOrderRespType' is not valid."),
    ],
)
def test_refusals(trader: BinanceTrader, changes: dict[str, str], number: int, text: str | None) -> None:
    status, code, message = trader.refused("POST", "order", form={**LIMIT, **changes})

    assert (status, code) == (400, number)
    assert text in (None, message)
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    ("sent", "number"),
    [
        ({"symbol": SYMBOL, "origClientOrderId": "a\0b"}, -1100),
        ({"symbol": SYMBOL, "origClientOrderId": "a\n"}, -1100),
        ({"symbol": SYMBOL, "orderId": 10**4000}, -1130),
        ({"symbol": SYMBOL, "orderId": [1]}, -1130),
        ({"symbol": "a\0b", "orderId": 1}, -1121),
        ({"symbol": SYMBOL}, -1102),
        ([], -1130),
    ],
)
def test_hostile_bodies_are_refused(trader: BinanceTrader, sent: Any, number: int) -> None:
    status, body = trader.json("DELETE", "order", sent)

    assert (status, body["code"]) == (400, number)


def test_symbols_are_a_list_of_names(trader: BinanceTrader) -> None:
    for symbols in ('["\\"]', "BTCUSDT", "[]", '["BTCUSDT"'):
        assert trader.refused("GET", "exchangeInfo", {"symbols": symbols})[:2] == (400, -1100)


def test_nothing_sells_more_than_is_held(trader: BinanceTrader) -> None:
    trader.order(quantity="2")

    assert trader.refused("POST", "order", form={**MARKET, **SELLING, "quantity": "2.001"})[1] == -2010
    assert trader.order(**SELLING, quantity="2")["status"] == "FILLED"


def test_lists_are_oldest_first_from_where_they_are_asked_for(trader: BinanceTrader) -> None:
    for _ in range(3):
        trader.order()
    trader.place()  # on another market

    def numbers(path: str, name: str, **more: Any) -> list[int]:
        return [row[name] for row in trader.good("GET", path, {"symbol": SYMBOL, **more})]

    assert numbers("allOrders", "orderId") == numbers("myTrades", "id") == [1, 2, 3]
    assert numbers("allOrders", "orderId", limit=2) == numbers("myTrades", "id", limit=2) == [2, 3]
    assert numbers("allOrders", "orderId", orderId=1, limit=2) == numbers("myTrades", "id", fromId=1, limit=2) == [1, 2]
    assert numbers("myTrades", "id", orderId=2) == [2]
    at = trader.good("GET", "allOrders", {"symbol": SYMBOL})[1]["time"]
    assert 2 in numbers("allOrders", "orderId", startTime=at, endTime=at)
    assert numbers("myTrades", "id", endTime=at - 86_400_000) == []
    days = {"symbol": SYMBOL, "startTime": at - 86_400_001, "endTime": at}
    assert trader.refused("GET", "allOrders", days)[:2] == (400, -1127)


def test_own_trade(trader: BinanceTrader) -> None:
    trader.order()
    (trade,) = trader.good("GET", "myTrades", {"symbol": SYMBOL})

    assert trade == {
        "symbol": SYMBOL, "id": 1, "orderId": 1, "orderListId": -1, "price": "101.00000000", "qty": "1.00000000",
        "quoteQty": "101.00000000", "commission": "0.10100000", "commissionAsset": "USDT", "time": trade["time"],
        "isBuyer": True, "isMaker": False, "isBestMatch": True,
    }  # fmt: skip


def test_cancel_all_of_a_market(trader: BinanceTrader) -> None:
    first, second = trader.rest(), trader.rest()
    other = trader.place(type="limit", price="95").data  # of BTC-USD

    gone = trader.good("DELETE", "openOrders", form={"symbol": SYMBOL})

    assert [order["orderId"] for order in gone] == [first["orderId"], second["orderId"]]
    assert {order["status"] for order in gone} == {"CANCELED"}
    assert Order.objects.get(number=other["number"]).status == "open"
    assert trader.refused("DELETE", "openOrders", form={"symbol": SYMBOL}) == (400, -2011, "Unknown order sent.")


def test_what_is_anothers_does_not_exist(trader: BinanceTrader) -> None:
    """Nor an order of another account of one's own, nor one under another symbol or another name."""
    mine, stranger = trader.rest(newClientOrderId="mine"), BinanceTrader()
    bound = trader.with_key("read", "trade", account=open_account(user=trader.user)).headers["X-Api-Key"]
    cases: list[tuple[str, dict[str, Any]]] = [
        (stranger.key, {"orderId": mine["orderId"]}),
        (stranger.key, {"origClientOrderId": "mine"}),
        (bound, {"origClientOrderId": "mine"}),
        (trader.key, {"symbol": "BTCUSD", "orderId": mine["orderId"]}),
        (trader.key, {"orderId": mine["orderId"], "origClientOrderId": "other"}),
    ]
    spot_market("BTCUSD")
    for key, named in cases:
        for method, number in (("GET", -2013), ("DELETE", -2011)):
            status, body = trader.ask(method, "order", {"symbol": SYMBOL, **named}, **{"X-MBX-APIKEY": key})
            assert (status, body["code"]) == (400, number), (method, named)
    assert Order.objects.get().status == "open"


def test_account_shows_cash_and_what_is_held(trader: BinanceTrader) -> None:
    """2 bought for 203, a fee of 0.203; 1 of them offered at 105, and 95 bid for one more."""
    trader.order(quantity="2")
    trader.rest(**SELLING, price="105")
    trader.rest()

    account = trader.good("GET", "account")

    assert account["balances"] == [
        {"asset": "USDT", "free": "9701.79700000", "locked": "95.00000000"},
        {"asset": "BTC", "free": "1.00000000", "locked": "1.00000000"},
    ]
    assert (account["canTrade"], account["makerCommission"], account["takerCommission"]) == (True, 5, 10)
    assert account["uid"] == trader.account.uuid.int >> 65
