"""Conditional orders and protection over HTTP: each form, each refusal, and what positions show."""

from datetime import timedelta
from typing import Any

import pytest

from astrade.core.clock import system_clock
from marketdata import live
from trading.api import schemas
from trading.models import Order, OrderRefusal
from trading.services.triggers import trigger_order
from trading.tests.api.client import Trader
from trading.tests.conftest import Feed


@pytest.fixture
def trader(feed: Feed) -> Trader:
    """With a market around 100."""
    return Trader()


def trigger(order_id: str) -> None:
    """The market reached the order's trigger."""
    order, (view, quotes) = Order.objects.get(uuid=order_id), live.view_of("BTC-USD")
    assert trigger_order(account_id=order.account_id, order_id=order.pk, view=view, quotes=quotes)


def position(trader: Trader) -> dict[str, Any]:
    """The open one."""
    (found,) = trader.api.get("/account/positions").data
    return dict(found)


@pytest.mark.parametrize(
    ("wanted", "ends"),
    [
        ({"type": "stop", "trigger_price": "105"}, ("filled", "1")),
        ({"type": "stop", "side": "sell", "trigger_price": "95", "trigger_by": "last"}, ("filled", "1")),
        ({"type": "stop_limit", "trigger_price": "105", "price": "106"}, ("filled", "1")),
        ({"type": "stop_limit", "trigger_price": "105", "price": "100"}, ("open", "0")),
        ({"type": "take_profit", "trigger_price": "95", "trigger_by": "index"}, ("filled", "1")),
        ({"type": "take_profit", "side": "sell", "trigger_price": "105"}, ("filled", "1")),
        ({"type": "take_profit_limit", "trigger_price": "95", "price": "94"}, ("open", "0")),
        ({"type": "stop", "trigger_price": None, "stop_price": "105"}, None),
        ({"type": "STOP", "stop_price": 105, "trigger_by": "MARK"}, ("filled", "1")),
    ],
)
def test_each_form_waits_and_then_trades(trader: Trader, wanted: dict[str, Any], ends: tuple[str, str] | None) -> None:
    answer = trader.place(**wanted)
    if ends is None:  # the first name wins, and null is no price
        assert answer.error == (400, 1001)
        return

    assert answer.status == 201
    assert set(answer.data) == set(schemas.OrderOut().fields)
    shown = {name: answer.data[name] for name in ("type", "status", "filled_quantity", "trigger_by", "trigger_price")}
    by = str(wanted.get("trigger_by", "mark")).lower()
    price = str(wanted.get("trigger_price") or wanted["stop_price"])
    assert shown == {
        "type": wanted["type"].lower(), "status": "untriggered", "filled_quantity": "0", "trigger_by": by,
        "trigger_price": price,
    }  # fmt: skip
    assert [order["id"] for order in trader.api.get("/orders").data] == [answer.data["id"]]
    assert trader.api.get("/account/balance").data["margin_used"] == "0"

    trigger(answer.data["id"])

    detail = trader.api.get(f"/orders/{answer.data['id']}").data
    assert (detail["status"], detail["filled_quantity"]) == ends
    assert [move["to"] for move in detail["transitions"]] == ["untriggered", ends[0]]


@pytest.mark.parametrize(
    ("changes", "refusal", "field"),
    [
        ({"type": "stop"}, (400, 1001), "trigger_price"),
        ({"trigger_price": "105"}, (400, 1001), "trigger_price"),
        ({"type": "stop", "trigger_price": "100"}, (400, 1001), "trigger_price"),
        ({"type": "stop", "trigger_price": "99"}, (400, 1001), "trigger_price"),
        ({"type": "take_profit", "trigger_price": "101"}, (400, 1001), "trigger_price"),
        ({"type": "stop", "side": "sell", "trigger_price": "101"}, (400, 1001), "trigger_price"),
        ({"type": "stop", "trigger_price": "NaN"}, (400, 1001), "trigger_price"),
        ({"type": "stop", "trigger_price": "105.5"}, (400, 3002), None),
        ({"type": "take_profit", "trigger_price": "-5"}, (400, 3002), None),
        ({"type": "stop", "trigger_price": "105", "trigger_by": "bid"}, (400, 1001), "trigger_by"),
        ({"trigger_by": "last"}, (400, 1001), "trigger_by"),
        ({"type": "stop_limit", "trigger_price": "105"}, (400, 1001), "price"),
        ({"type": "stop", "trigger_price": "105", "price": "105"}, (400, 1001), "price"),
        ({"type": "stop_limit", "trigger_price": "105", "price": "120"}, (400, 3008), None),
        ({"type": "stop", "trigger_price": "105", "post_only": True}, (400, 1001), "post_only"),
        ({"type": "stop", "trigger_price": "105", "reduce_only": True}, (400, 3006), None),
        ({"type": "stop", "trigger_price": "105", "leverage": 50}, (400, 3005), None),
        ({"stop_loss": "100"}, (400, 1001), "stop_loss"),
        ({"take_profit": "100"}, (400, 1001), "take_profit"),
        ({"side": "sell", "stop_loss": "90"}, (400, 1001), "stop_loss"),
        ({"take_profit": "110.5"}, (400, 3002), None),
        ({"take_profit": "x"}, (400, 1001), "take_profit"),
        ({"reduce_only": True, "stop_loss": "90"}, (400, 1001), "reduce_only"),
    ],
)
def test_each_refusal(trader: Trader, changes: dict[str, Any], refusal: tuple[int, int], field: str | None) -> None:
    answer = trader.place(**changes)

    assert answer.error == refusal
    if field is not None:
        assert list(answer.content["error"]["details"]["fields"]) == [field]
    assert not Order.objects.exists()
    assert set(OrderRefusal.objects.values_list("code", flat=True)) <= {refusal[1]}


def test_a_preview_of_a_conditional_order_fills_nothing(trader: Trader) -> None:
    wanted = {"symbol": "BTC-USD", "side": "buy", "type": "stop", "quantity": "1", "trigger_price": "105"}

    preview = trader.api.post("/orders/preview", wanted).data

    assert (preview["accepted"], preview["filled_quantity"], preview["margin_required"]) == (True, "0", "0")
    assert trader.api.post("/orders/preview", wanted | {"trigger_price": "99"}).data["refusal"]["code"] == 1001


def test_too_many_waiting_orders(trader: Trader, settings: Any) -> None:
    settings.MAX_OPEN_ORDERS = 2
    for _ in range(2):
        assert trader.place(type="stop", trigger_price="105").status == 201

    assert trader.place(type="stop", trigger_price="105").error == (400, 3009)


def test_the_same_request_again_is_the_same_order_and_another_a_conflict(trader: Trader) -> None:
    wanted = {"type": "stop", "trigger_price": "105", "client_order_id": "mine", "stop_loss": "100"}
    first = trader.place(**wanted)

    assert trader.place(**wanted).data == first.data
    for changes in ({"trigger_price": "106"}, {"stop_loss": "101"}, {"trigger_by": "last"}, {"take_profit": "120"}):
        assert trader.place(**wanted | changes).error == (409, 3013)


def test_a_waiting_order_is_cancelled_as_any_other(trader: Trader) -> None:
    order = trader.place(type="stop", trigger_price="105").data

    cancelled = trader.api.delete(f"/orders/{order['id']}").data

    assert (cancelled["status"], cancelled["reason"]) == ("cancelled", "requested")
    assert trader.api.delete(f"/orders/{order['id']}").error == (409, 3010)


def test_protection_of_an_order_shows_on_its_position(trader: Trader) -> None:
    order = trader.place(quantity="2", take_profit="120", stop_loss="90").data
    assert (order["take_profit"], order["stop_loss"], order["trigger_by"]) == ("120", "90", "mark")

    held = position(trader)
    assert (held["take_profit"], held["stop_loss"]) == ("120", "90")
    legs = {leg["type"]: leg for leg in trader.api.get("/orders").data}
    shown = [(leg["side"], leg["quantity"], leg["trigger_price"], leg["reduce_only"]) for leg in legs.values()]
    assert sorted(shown) == [("sell", "2", "120", True), ("sell", "2", "90", True)]
    trigger(legs["stop"]["id"])

    assert trader.api.get("/account/positions").data == []
    ended = trader.api.get(f"/orders/{legs['take_profit']['id']}").data
    assert (ended["status"], ended["reason"]) == ("cancelled", "other_side_filled")


def test_protection_of_a_position_is_set_changed_and_removed(trader: Trader) -> None:
    trader.place(quantity="2")
    held = position(trader)
    path = f"{trader.path}/positions/{held['id']}"

    answer = trader.api.patch(path, {"stop_loss": "90", "take_profit": 120, "version": held["version"]})
    assert answer.status == 200
    assert set(answer.data) == set(schemas.PositionOut().fields)
    assert (answer.data["stop_loss"], answer.data["take_profit"]) == ("90", "120")
    for shown in (position(trader), trader.api.get(path).data, trader.api.get("/positions").data[0]):
        assert (shown["stop_loss"], shown["take_profit"]) == ("90", "120")
        assert shown["version"] == answer.data["version"] == held["version"] + 1

    assert trader.api.patch(path, {"stop_loss": "91", "version": held["version"]}).error == (409, 1006)
    stale = trader.api.call("PATCH", path, {"stop_loss": "91"}, If_Match=f'"{held["version"]}"')
    assert stale.error == (409, 1006)
    fresh = trader.api.call("PATCH", path, {"stop_loss": "91"}, If_Match=f'"{held["version"] + 1}"')
    assert (fresh.data["stop_loss"], fresh.data["take_profit"]) == ("91", "120")
    assert trader.api.patch(path, {"stop_loss": None}).data["stop_loss"] is None
    assert [order["trigger_price"] for order in trader.api.get("/orders").data] == ["120"]


@pytest.mark.parametrize(
    ("side", "changes", "refusal", "field"),
    [
        ("buy", {"stop_loss": "100"}, (400, 1001), "stop_loss"),
        ("buy", {"take_profit": "100"}, (400, 1001), "take_profit"),
        ("sell", {"stop_loss": "95"}, (400, 1001), "stop_loss"),
        ("sell", {"take_profit": "105"}, (400, 1001), "take_profit"),
        ("buy", {"stop_loss": "-1"}, (400, 1001), "stop_loss"),
        ("buy", {"stop_loss": "NaN"}, (400, 1001), "stop_loss"),
        ("buy", {"stop_loss": "90.5"}, (400, 3002), None),
        ("buy", {}, (400, 1001), "non_field_errors"),
        ("buy", {"version": 1}, (400, 1001), "non_field_errors"),
        ("buy", {"stop_loss": "90", "version": 0}, (400, 1001), "version"),
    ],
)
def test_protection_that_does_not_fit(
    trader: Trader, side: str, changes: dict[str, Any], refusal: tuple[int, int], field: str | None
) -> None:
    trader.place(quantity="2", side=side)
    held = position(trader)

    answer = trader.api.patch(f"{trader.path}/positions/{held['id']}", changes)

    assert answer.error == refusal
    if field is not None:
        assert list(answer.content["error"]["details"]["fields"]) == [field]
    assert position(trader) == held
    assert trader.api.get("/orders").data == []


def test_nobody_else_protects_a_position(trader: Trader) -> None:
    trader.place(quantity="2")
    held, stranger = position(trader), Trader()

    wanted = {"stop_loss": "90"}
    assert stranger.api.patch(f"{stranger.path}/positions/{held['id']}", wanted).error == (404, 1002)
    assert stranger.api.patch(f"{trader.path}/positions/{held['id']}", wanted).error == (404, 1002)
    assert trader.with_key("read").patch(f"{trader.path}/positions/{held['id']}", wanted).error == (403, 1106)
    assert trader.api.get("/orders").data == []


def test_stale_prices_protect_nothing(trader: Trader, feed: Feed) -> None:
    trader.place(quantity="2")
    held = position(trader)
    feed(at=system_clock() - timedelta(minutes=1), sequence=2)

    assert trader.api.patch(f"{trader.path}/positions/{held['id']}", {"stop_loss": "90"}).error == (503, 2002)
