"""Requirement document 3, "Orders" and "Order Lifecycle", at `/api/accounts/{account_id}/orders`."""

from typing import Any
from uuid import uuid4

import pytest

from marketdata.selectors import market_by_symbol
from trading.models import Order
from trading.tests.api.client import RESTING, Trader
from trading.tests.conftest import make_market


def printed(**changes: Any) -> dict[str, Any]:
    """The document's own body, but for the changes."""
    instrument = str(market_by_symbol("BTC-USD").uuid)
    return {
        "instrument_id": instrument, "order_type": "market", "side": "buy", "size": 0.1, "leverage": 1, **changes,
    }  # fmt: skip


def test_place_order_as_printed(tunicoin: Trader) -> None:
    answer = tunicoin.api.post(f"{tunicoin.path}/orders", printed())

    assert answer.status == 201
    shown = {name: answer.data[name] for name in (
        "symbol", "type", "side", "quantity", "leverage", "status", "filled_quantity", "average_price", "fee",
    )}  # fmt: skip
    assert shown == {
        "symbol": "BTC-USD", "type": "market", "side": "buy", "quantity": "0.1", "leverage": 1, "status": "filled",
        "filled_quantity": "0.1", "average_price": "101", "fee": "0.0101",
    }  # fmt: skip


@pytest.mark.parametrize("root", ["/api/v1", "/api", ""])
@pytest.mark.parametrize("name", ["BTC-USD", "btc-usd", None])
def test_instruments_by_symbol_or_id_at_every_root(trader: Trader, root: str, name: str | None) -> None:
    trader.api.root = root
    instrument = name or str(market_by_symbol("BTC-USD").uuid)

    answer = trader.api.post(f"{trader.path}/orders/", printed(instrument_id=instrument, order_type="LIMIT", price=95))

    assert (answer.status, answer.data["symbol"], answer.data["status"]) == (201, "BTC-USD", "open")


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"order_type": "limit", "price": 95}, {"type": "limit", "price": "95", "status": "open"}),
        (
            {"order_type": "stop", "side": "sell", "stop_price": 95},
            {"type": "stop", "trigger_price": "95", "status": "untriggered", "trigger_by": "mark"},
        ),
        ({"stop_loss": 95, "take_profit": 105}, {"stop_loss": "95", "take_profit": "105", "status": "filled"}),
    ],
)
def test_limit_and_stop_orders_and_attached_levels(
    tunicoin: Trader, body: dict[str, Any], shown: dict[str, Any]
) -> None:
    answer = tunicoin.api.post(f"{tunicoin.path}/orders", printed(**body))

    assert answer.status == 201
    assert {name: answer.data[name] for name in shown} == shown


def test_order_that_says_nothing_more_gets_the_defaults(trader: Trader) -> None:
    order = trader.api.post("/orders", {"symbol": "BTC-USD", "side": "buy", "type": "limit", "quantity": "1",
                                        "price": "95"}).data  # fmt: skip
    shown = {name: order[name] for name in (
        "time_in_force", "post_only", "reduce_only", "leverage", "expires_at", "take_profit", "stop_loss", "tag",
        "trigger_price", "trigger_by", "source",
    )}  # fmt: skip
    assert shown == {
        "time_in_force": "GTC", "post_only": False, "reduce_only": False, "leverage": 1, "expires_at": None,
        "take_profit": None, "stop_loss": None, "tag": "", "trigger_price": None, "trigger_by": None, "source": "app",
    }  # fmt: skip
    assert order["client_order_id"]
    assert trader.place().data["time_in_force"] == "IOC"  # nothing of a market order can rest


def test_list_orders_open_or_not_newest_first(tunicoin: Trader) -> None:
    for changes in ({}, {"order_type": "limit", "price": 95}):
        tunicoin.api.post(f"{tunicoin.path}/orders", printed(**changes))

    found = tunicoin.api.get(f"{tunicoin.path}/orders").data

    assert [(order["number"], order["status"]) for order in found] == [(2, "open"), (1, "filled")]


def test_orders_are_filtered(tunicoin: Trader) -> None:
    make_market("ETH-USD")
    tunicoin.place()
    tunicoin.rest()
    tunicoin.rest(side="sell", price="105")

    wanted = {
        "status=filled": [1],
        "status=OPEN": [3, 2],
        "status=rejected": [],
        "side=SELL": [3],
        "symbol=eth-usd": [],
        "market=BTC-USD&status=open&side=buy": [2],
    }
    assert wanted == {
        query: [order["number"] for order in tunicoin.api.get(f"{tunicoin.path}/orders?{query}").data]
        for query in wanted
    }


def test_orders_are_filtered_by_instrument_id(tunicoin: Trader) -> None:
    eth = make_market("ETH-USD")
    tunicoin.rest()

    for name, count in ((eth.uuid, 0), (market_by_symbol("BTC-USD").uuid, 1)):
        assert len(tunicoin.api.get(f"{tunicoin.path}/orders?instrument_id={name}").data) == count
        assert len(tunicoin.api.get(f"/orders?instrument_id={name}").data) == count
    assert tunicoin.api.delete(f"{tunicoin.path}/orders?instrument_id={eth.uuid}").data == []
    assert Order.objects.get().status == "open"


def test_pending_is_new_or_submitted(tunicoin: Trader) -> None:
    """The documents' word for an order on its way; on practice none is seen there."""
    for _ in range(3):
        tunicoin.rest()
    for number, status in ((1, "new"), (2, "submitted")):
        Order.objects.filter(number=number).update(status=status)

    for spelling in ("pending", "Pending"):
        found = tunicoin.api.get(f"{tunicoin.path}/orders?status={spelling}").data
        assert [order["number"] for order in found] == [2, 1]


def test_filters_that_mean_nothing_are_refused(tunicoin: Trader) -> None:
    for path in (f"{tunicoin.path}/orders", "/orders", "/orders/history"):
        for query in ("status=nonsense", "side=up", "status=", "limit=0", "cursor=x"):
            assert (path, query, tunicoin.api.get(f"{path}?{query}").error) == (path, query, (400, 1001))
        assert tunicoin.api.get(f"{path}?symbol=NOTHING").error == (400, 2000)


def test_get_order_with_its_fills(tunicoin: Trader) -> None:
    order = tunicoin.api.post(f"{tunicoin.path}/orders", printed()).data

    found = tunicoin.api.get(f"{tunicoin.path}/orders/{order['id']}").data

    assert [(fill["price"], fill["quantity"]) for fill in found["fills"]] == [("101", "0.1")]
    assert [(move["from"], move["to"]) for move in found["transitions"]] == [("new", "filled")]
    assert tunicoin.api.get(f"{tunicoin.path}/orders/{uuid4()}").error == (404, 1002)


def test_cancel_order(tunicoin: Trader) -> None:
    order = tunicoin.api.post(f"{tunicoin.path}/orders", RESTING).data

    assert tunicoin.api.delete(f"{tunicoin.path}/orders/{order['id']}").data["status"] == "cancelled"
    assert tunicoin.api.delete(f"{tunicoin.path}/orders/{order['id']}").error == (409, 3010)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"instrument_id": "NOTHING"}, (400, 2000)),
        ({"size": 0.0001}, (400, 3000)),
        ({"size": 500}, (400, 3003)),
        ({"size": -1}, (400, 1001)),
        ({"leverage": 101}, (400, 1001)),
        ({"leverage": 11}, (400, 3005)),
        ({"order_type": "magic"}, (400, 1001)),
    ],
)
def test_validation_of_instrument_size_margin_and_leverage(
    tunicoin: Trader, changes: dict[str, Any], refusal: tuple[int, int]
) -> None:
    assert tunicoin.api.post(f"{tunicoin.path}/orders", printed(**changes)).error == refusal
    assert not Order.objects.exists()


def test_a_filled_order_moves_position_ledger_and_balance(tunicoin: Trader) -> None:
    tunicoin.api.post(f"{tunicoin.path}/orders", printed())

    (position,) = tunicoin.api.get(f"{tunicoin.path}/positions").data
    assert (position["side"], position["quantity"]) == ("long", "0.1")
    assert tunicoin.api.get(f"{tunicoin.path}/ledger").data[0]["kind"] == "commission"
    assert tunicoin.api.get(tunicoin.path).data["balance"] == "9999.9899"
