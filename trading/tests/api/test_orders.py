"""Orders over HTTP: placing, reading, cancelling, and that lists stay stable."""

from typing import Any
from uuid import uuid4

import pytest

from accounts.tests.client import Api
from trading.api import schemas
from trading.models import Fill, Order, OrderRefusal
from trading.tests.api.client import ORDER, RESTING, Trader
from trading.tests.conftest import Feed


@pytest.fixture
def trader(feed: Feed) -> Trader:
    """With a market around 100."""
    return Trader()


def test_market_order_is_filled_and_shown(trader: Trader) -> None:
    answer = trader.place(quantity="2", tag="first", client_order_id="mine:1")

    assert answer.status == 201
    assert set(answer.data) == set(schemas.OrderOut().fields)
    shown = {name: answer.data[name] for name in ("status", "filled_quantity", "average_price", "fee", "source", "tag")}
    assert shown == {
        "status": "filled", "filled_quantity": "2", "average_price": "101.5", "fee": "0.203", "source": "app",
        "tag": "first",
    }  # fmt: skip
    assert answer.data["account_id"] == str(trader.account.uuid)
    assert isinstance(answer.data["created_at"], int)


def test_one_order_with_fills_and_history(trader: Trader) -> None:
    order = trader.place(quantity="2").data

    for path in (f"/orders/{order['id']}", f"{trader.path}/orders/{order['id']}"):
        detail = trader.api.get(path).data
        assert set(detail) == set(schemas.OrderDetailOut().fields)
        assert {name: detail[name] for name in order} == order
        assert [(fill["price"], fill["quantity"], fill["fee"]) for fill in detail["fills"]] == [
            ("101", "1", "0.101"),
            ("102", "1", "0.102"),
        ]
        assert set(detail["fills"][0]) == set(schemas.FillOut().fields)
        (move,) = detail["transitions"]
        assert set(move) == set(schemas.TransitionOut().fields)
        assert (move["from"], move["to"], move["at"]) == ("new", "filled", order["created_at"])


@pytest.mark.parametrize(
    "alias",
    [
        {"symbol": None, "market": "BTC-USD"},
        {"quantity": None, "qty": "1"},
        {"quantity": None, "size": "1"},
        {"type": None, "order_type": "MARKET"},
        {"side": "BUY"},
        {"symbol": " btc-usd "},
        {"size": "5"},  # beside `quantity`, whose name wins
    ],
)
def test_alias_names_mean_the_same(trader: Trader, alias: dict[str, Any]) -> None:
    body = {name: value for name, value in {**ORDER, **alias}.items() if value is not None}

    answer = trader.api.post("/orders", body)

    assert (answer.status, answer.data["quantity"], answer.data["symbol"]) == (201, "1", "BTC-USD")


def test_trailing_slash_keeps_the_body(trader: Trader) -> None:
    assert trader.api.post("/orders/", ORDER).status == 201


def test_replay_says_so_and_another_body_is_a_conflict(trader: Trader) -> None:
    first, second = (trader.place(client_order_id="once") for _ in range(2))

    assert (first.status, second.status) == (201, 201)
    assert second.data == first.data
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert trader.place(client_order_id="once", quantity="2").error == (409, 3013)
    assert Order.objects.count() == 1


def test_idempotency_key_serves_as_client_order_id(trader: Trader) -> None:
    first, second = (trader.api.post("/orders", ORDER, Idempotency_Key="k-1") for _ in range(2))

    assert first.data["client_order_id"] == "k-1"
    assert second.data["id"] == first.data["id"]
    assert trader.api.post("/orders", {**ORDER, "client_order_id": "own"}, Idempotency_Key="k-1").status == 201
    assert trader.api.post("/orders", ORDER, Idempotency_Key="no blanks").error == (400, 1001)


def test_lists_of_open_past_and_all_orders(trader: Trader) -> None:
    trader.place()
    resting = trader.rest().data
    gone = trader.rest().data
    trader.api.delete(f"/orders/{gone['id']}")

    numbers = {
        path: [order["number"] for order in trader.api.get(path).data]
        for path in ("/orders", "/orders/history", f"{trader.path}/orders", f"{trader.path}/orders?status=filled",
                     "/orders?side=sell", "/orders?symbol=BTC-USD")
    }  # fmt: skip
    assert list(numbers.values()) == [[2], [3, 1], [3, 2, 1], [1], [], [2]]
    assert trader.api.get("/orders").data == [resting]
    assert trader.api.get("/orders?symbol=NOTHING").error == (400, 2000)


def test_cancel_all_by_market_side_or_everything(trader: Trader) -> None:
    for changes in ({}, {"side": "sell", "price": "105"}, {}):
        trader.rest(**changes)

    assert [order["number"] for order in trader.api.delete("/orders?side=sell").data] == [2]
    assert [order["number"] for order in trader.api.delete(f"{trader.path}/orders?symbol=BTC-USD").data] == [1, 3]
    assert trader.api.delete("/orders").data == []


def test_an_order_that_ended_is_not_cancelled_again(trader: Trader) -> None:
    order = trader.place().data

    assert trader.api.delete(f"/orders/{order['id']}").error == (409, 3010)
    assert trader.api.delete(f"/orders/{uuid4()}").error == (404, 1002)


def test_pages_are_stable_while_new_rows_arrive(trader: Trader) -> None:
    for _ in range(5):
        trader.rest()

    seen, path = [], f"{trader.path}/orders?limit=2"
    while True:
        page = trader.api.get(path)
        seen += [order["number"] for order in page.data]
        assert page.content["pagination"]["count"] == len(page.data)
        cursor = page.content["pagination"]["cursor"]
        if cursor is None:
            break
        trader.rest()  # while the client reads on
        path = f"{trader.path}/orders?limit=2&cursor={cursor}"

    assert seen == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("page", ["limit=0", "limit=1001", "limit=x", "cursor=-1", "cursor=99999999999999999999"])
def test_bad_pages_are_refused(trader: Trader, page: str) -> None:
    assert trader.api.get(f"/orders?{page}").error == (400, 1001)


def test_own_fills(trader: Trader) -> None:
    trader.place(quantity="2")
    trader.place(side="sell")

    fills = trader.api.get("/trades").data

    assert [(fill["number"], fill["side"], fill["price"], fill["realized_pnl"]) for fill in fills] == [
        (3, "sell", "99", "-2.5"),
        (2, "buy", "102", "0"),
        (1, "buy", "101", "0"),
    ]
    assert set(fills[0]) == set(schemas.FillOut().fields)
    assert trader.api.get("/trades?limit=1").content["pagination"] == {"cursor": 3, "count": 1}
    assert len(trader.api.get("/trades?symbol=BTC-USD&cursor=3").data) == 2


# Preview


def test_preview_tells_what_would_happen_and_leaves_nothing(trader: Trader) -> None:
    preview = trader.api.post("/orders/preview", {**ORDER, "quantity": "2", "leverage": 5}).data

    assert set(preview) == set(schemas.PreviewOut().fields)
    shown = {name: preview[name] for name in (
        "accepted", "refusal", "expected_price", "worst_price", "slippage", "filled_quantity", "notional", "fee",
        "margin_required", "margin_available", "liquidation_price",
    )}  # fmt: skip
    assert shown == {
        "accepted": True, "refusal": None, "expected_price": "101.5", "worst_price": "102", "slippage": "0.5",
        "filled_quantity": "2", "notional": "203", "fee": "0.203", "margin_required": "40",
        "margin_available": "10000", "liquidation_price": None,
    }  # fmt: skip
    assert not Order.objects.exists()
    assert not OrderRefusal.objects.exists()
    assert trader.place(quantity="2", leverage=5).data["average_price"] == "101.5"


def test_preview_names_the_refusal(trader: Trader) -> None:
    preview = trader.api.post("/orders/preview", {**ORDER, "quantity": "500"}).data

    assert (preview["accepted"], preview["refusal"]["code"], preview["filled_quantity"]) == (False, 3003, "0")
    assert set(preview["refusal"]) == set(schemas.RefusalOut().fields)
    assert not OrderRefusal.objects.exists()


def test_preview_shows_the_liquidation_price(trader: Trader) -> None:
    preview = trader.api.post("/orders/preview", {**ORDER, "quantity": "500", "leverage": 10}).data
    placed = trader.place(quantity="500", leverage=10)

    (position,) = trader.api.get("/positions").data
    assert placed.status == 201
    assert preview["liquidation_price"] == position["liquidation_price"]
    assert 80 < int(position["liquidation_price"]) < 99


# Who may


def test_keys_trade_with_their_scope_only(trader: Trader) -> None:
    reader, bot = trader.with_key("read"), trader.with_key("read", "trade")

    assert reader.get("/orders").data == []
    assert reader.post("/orders/preview", ORDER).data["accepted"]
    for method, path in (("POST", "/orders"), ("DELETE", "/orders"), ("DELETE", f"/orders/{uuid4()}")):
        assert reader.call(method, path, ORDER if method == "POST" else None).error == (403, 1106)
    assert bot.post("/orders", ORDER).data["source"] == "api_key"


def test_nobody_trades_without_credentials(trader: Trader, api: Api) -> None:
    for method, path in (("POST", "/orders"), ("GET", "/orders"), ("GET", f"{trader.path}/orders"), ("GET", "/events")):
        assert api.call(method, path, RESTING if method == "POST" else None).error == (401, 1100)
    assert not Fill.objects.exists()
