"""TWAP orders over HTTP: placing, reading, pausing, cancelling, and every way to be refused."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.tests.factories import UserFactory
from trading.models import Order, OrderRefusal, TwapPlan
from trading.services.twap import run_due_slices
from trading.tests.api.client import Trader
from trading.tests.conftest import Feed
from trading.tests.twaps import pass_time

PLAN = {"duration_s": 60, "slices": 6}


@pytest.fixture
def trader(feed: Feed) -> Trader:
    """Somebody with 10,000, and a market around 100."""
    return Trader()


def place(trader: Trader, **changes: Any) -> Any:
    """Six BTC-USD in six slices within a minute."""
    return trader.place(**{"type": "twap", "quantity": "6", "twap": PLAN, **changes})


def run(trader: Trader, *, slices: int) -> None:
    """Let so many slices pass, each in its time."""
    for number in range(slices):
        pass_time(10 if number else 0)
        run_due_slices(trader.account.pk)


def test_placing_answers_with_the_plan(trader: Trader) -> None:
    answer = place(trader, price="105", twap={**PLAN, "jitter": "0.2"}, client_order_id="mine", tag="t")

    order = answer.data
    assert answer.status == 201
    shown = {name: order[name] for name in ("type", "status", "price", "client_order_id", "tag", "filled_quantity")}
    assert shown == {
        "type": "twap", "status": "open", "price": "105", "client_order_id": "mine", "tag": "t", "filled_quantity": "0",
    }  # fmt: skip
    assert order["parent_id"] is None
    plan = order["twap"]
    assert plan["ends_at"] - order["created_at"] == 60_000
    assert 0 <= plan["next_slice_at"] - order["created_at"] <= 2_000
    assert {name: value for name, value in plan.items() if not name.endswith("_at")} == {
        "duration_s": 60, "slices": 6, "jitter": "0.2", "executed_slices": 0, "missed_slices": 0, "paused": False,
        "progress": "0",
    }  # fmt: skip


def test_sending_it_again_returns_the_first_one(trader: Trader) -> None:
    first = place(trader, client_order_id="once")
    again = place(trader, client_order_id="once", twap={**PLAN, "jitter": "0.0"})
    other = place(trader, client_order_id="once", twap={**PLAN, "slices": 5})

    assert again.data == first.data
    assert other.error == (409, 3013)
    assert Order.objects.count() == 1


def test_by_the_documents_own_spelling_on_the_account(trader: Trader) -> None:
    body = {"instrument_id": "BTC-USD", "side": "sell", "order_type": "TWAP", "size": 6, "twap": PLAN}

    order = trader.api.post(f"{trader.path}/orders", body).data
    run(trader, slices=1)

    path = f"{trader.path}/orders/{order['id']}"
    assert trader.api.get(path).data["filled_quantity"] == "1"
    assert trader.api.post(f"{path}/pause").data["twap"]["paused"] is True
    assert trader.api.post(f"{path}/resume").data["twap"]["paused"] is False
    assert trader.api.delete(path).data["status"] == "cancelled"


def test_one_order_shows_its_slices_and_their_fills(trader: Trader) -> None:
    order = place(trader).data["id"]
    run(trader, slices=2)

    detail = trader.api.get(f"/orders/{order}").data

    assert (detail["status"], detail["filled_quantity"], detail["average_price"]) == ("partially_filled", "2", "101.5")
    assert [child["filled_quantity"] for child in detail["children"]] == ["1", "1"]
    assert [fill["order_id"] for fill in detail["fills"]] == [child["id"] for child in detail["children"]]
    moves = [(move["from"], move["to"]) for move in detail["transitions"]]
    assert moves == [("new", "open"), ("open", "partially_filled"), ("partially_filled", "partially_filled")]
    child = trader.api.get(f"/orders/{detail['children'][0]['id']}").data
    assert (child["parent_id"], child["source"], child["twap"], child["children"]) == (order, "twap", None, [])
    assert len(child["fills"]) == 1


def test_lists_show_it_as_what_it_is(trader: Trader) -> None:
    order = place(trader).data["id"]
    run(trader, slices=2)

    open_ones = trader.api.get("/orders").data
    assert [(row["id"], row["twap"]["executed_slices"]) for row in open_ones] == [(order, 2)]
    slices = trader.api.get("/orders/history").data
    assert [row["parent_id"] for row in slices] == [order, order]
    assert [row["id"] for row in trader.api.get(f"{trader.path}/orders?parent_id={order}").data] == [
        row["id"] for row in slices
    ]
    assert trader.api.get(f"/orders/history?parent_id={slices[0]['id']}").data == []
    assert [row["order_id"] for row in trader.api.get("/trades").data] == [row["id"] for row in slices]
    assert trader.api.get("/orders?parent_id=x").error == (400, 1001)


def test_pausing_and_resuming(trader: Trader) -> None:
    path = f"/orders/{place(trader).data['id']}"

    paused = [trader.api.post(f"{path}/pause") for _ in range(2)]
    assert [answer.data["twap"]["paused"] for answer in paused] == [True, True]
    assert paused[0].data == paused[1].data
    assert (paused[0].data["reason"], paused[0].data["twap"]["next_slice_at"]) == ("paused", None)
    run(trader, slices=1)
    assert trader.api.get(path).data["filled_quantity"] == "0"

    resumed = trader.api.post(f"{path}/resume")
    assert (resumed.data["twap"]["paused"], resumed.data["reason"]) == (False, "resumed")
    run(trader, slices=1)
    assert trader.api.get(path).data["filled_quantity"] == "1"


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_what_can_not_be_paused(trader: Trader, verb: str) -> None:
    limit, ended = trader.rest().data["id"], place(trader).data["id"]
    trader.api.delete(f"/orders/{ended}")

    assert trader.api.post(f"/orders/{limit}/{verb}").error == (400, 3014)
    assert trader.api.post(f"/orders/{ended}/{verb}").error == (409, 3010)
    assert trader.api.post(f"/orders/{trader.account.uuid}/{verb}").error == (404, 1002)
    assert Trader().api.post(f"/orders/{limit}/{verb}").error == (404, 1002)
    assert trader.with_key("read").post(f"/orders/{limit}/{verb}").error == (403, 1106)


def test_cancelling_stops_it_and_frees_its_margin(trader: Trader) -> None:
    path = f"/orders/{place(trader).data['id']}"
    run(trader, slices=1)
    bound = trader.api.get("/account/balance").data["margin_used"]

    cancelled = trader.api.delete(path).data

    assert (cancelled["status"], cancelled["filled_quantity"], cancelled["twap"]["ends_at"]) == ("cancelled", "1", None)
    assert (bound, trader.api.get("/account/balance").data["margin_used"]) == ("600", "100")
    assert trader.api.delete(path).error == (409, 3010)
    assert TwapPlan.objects.get().due_at is None


def test_it_is_not_replaced(trader: Trader) -> None:
    path = f"/orders/{place(trader, price='105').data['id']}"

    answer = trader.api.patch(path, {"price": "104"})

    assert answer.error == (400, 3014)
    assert answer.content["error"]["details"] == {"type": "twap"}
    assert trader.api.get(path).data["price"] == "105"


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"twap": None}, (400, 1001), "twap"),
        ({"twap": 5}, (400, 1001), "twap"),
        ({"twap": {}}, (400, 1001), "twap"),
        ({"twap": {**PLAN, "duration_s": 59}}, (400, 1001), "twap"),
        ({"twap": {**PLAN, "duration_s": 86_401}}, (400, 1001), "twap"),
        ({"twap": {**PLAN, "slices": 1}}, (400, 1001), "twap"),
        ({"twap": {"duration_s": 86_400, "slices": 1001}}, (400, 1001), "twap"),
        ({"twap": {**PLAN, "slices": 13}}, (400, 1001), "twap"),
        ({"twap": {**PLAN, "jitter": "0.51"}}, (400, 1001), "twap"),
        ({"twap": {**PLAN, "jitter": "-0.1"}}, (400, 1001), "twap"),
        ({"twap": {**PLAN, "jitter": "0.00001"}}, (400, 1001), "twap"),
        ({"type": "market"}, (400, 1001), "twap"),
        ({"type": "limit", "price": "95"}, (400, 1001), "twap"),
        ({"time_in_force": "IOC"}, (400, 1001), "time_in_force"),
        ({"time_in_force": "FOK"}, (400, 1001), "time_in_force"),
        ({"time_in_force": "GTT", "expires_at": 1893456000000}, (400, 1001), "time_in_force"),
        ({"expires_at": 1893456000000}, (400, 1001), "expires_at"),
        ({"post_only": True}, (400, 1001), "post_only"),
        ({"trigger_price": "105"}, (400, 1001), "trigger_price"),
        ({"take_profit": "120"}, (400, 1001), "take_profit"),
        ({"stop_loss": "80"}, (400, 1001), "stop_loss"),
        ({"quantity": "0.005"}, (400, 3000), None),
        ({"quantity": "0.0005"}, (400, 3000), None),
        ({"quantity": "6.0001"}, (400, 3001), None),
        ({"price": "99.5"}, (400, 3002), None),
        ({"quantity": "101"}, (400, 3003), None),
        ({"leverage": 11}, (400, 3005), None),
        ({"reduce_only": True}, (400, 3006), None),
        ({"price": "111"}, (400, 3008), None),
    ],
)
def test_what_is_refused(trader: Trader, changes: dict[str, Any], error: tuple[int, int], field: str | None) -> None:
    for path in ("/orders", "/orders/preview"):
        answer = trader.api.post(path, {"symbol": "BTC-USD", "side": "buy", "type": "twap", "quantity": "6", "twap": PLAN, **changes})  # fmt: skip # noqa: E501
        if path == "/orders" or answer.status != 200:
            assert answer.error == error
            found = answer.content["error"].get("details", {}).get("fields", {})
        else:
            assert (answer.data["accepted"], answer.data["refusal"]["code"]) == (False, error[1])
            found = answer.data["refusal"]["details"].get("fields", {})
        assert field is None or field in found
    assert not Order.objects.exists()


def test_a_refusal_is_kept_with_the_plan_that_was_asked_for(trader: Trader) -> None:
    place(trader, quantity="101")
    assert OrderRefusal.objects.get().request["twap"] == {"duration_s": 60, "slices": 6, "jitter": "0"}


def test_a_preview_tells_what_it_would_bind(trader: Trader) -> None:
    body = {"symbol": "BTC-USD", "side": "buy", "type": "twap", "quantity": "6", "twap": PLAN}

    preview = trader.api.post("/orders/preview", body).data

    assert (preview["accepted"], preview["margin_required"], preview["filled_quantity"]) == (True, "600", "0")
    assert not Order.objects.exists()


def test_an_open_one_counts_as_one_order(trader: Trader, settings: Any) -> None:
    settings.MAX_OPEN_ORDERS = 1
    place(trader)
    assert place(trader).error == (400, 3009)
    run(trader, slices=6)
    assert place(trader).status == 201


def test_an_account_with_one_is_not_closed(trader: Trader) -> None:
    other = trader.api.post("/accounts", {}).data["id"]
    plan = {"symbol": "BTC-USD", "side": "buy", "type": "twap", "quantity": "6", "twap": PLAN}
    trader.api.post(f"/accounts/{other}/orders", plan)

    assert trader.api.delete(f"/accounts/{other}").error == (409, 4005)


def test_a_reset_ends_it(trader: Trader) -> None:
    order = place(trader).data["id"]
    trader.api.post(f"{trader.path}/reset", {})
    assert (Order.objects.get(uuid=order).status, TwapPlan.objects.get().due_at) == ("cancelled", None)


def test_its_page_in_the_back_office_tells_its_story(trader: Trader, client: Client) -> None:
    order = place(trader).data["id"]
    run(trader, slices=2)
    staff: User = UserFactory.create(is_staff=True, is_superuser=True)
    client.force_login(staff)

    row = Order.objects.get(uuid=order)
    page = client.get(reverse("admin:trading_order_change", args=[row.pk])).content.decode()

    for child in row.children.all():
        assert str(child.uuid) in page
    assert page.count("commission") == 2


def test_figures_count_what_was_traded_once(trader: Trader) -> None:
    place(trader, quantity="6")
    run(trader, slices=6)

    ledger = trader.api.get(f"{trader.path}/ledger").data
    assert len([line for line in ledger if line["kind"] == "commission"]) == 6
    statement = trader.api.get(f"{trader.path}/statement").data
    assert statement["fees"] == str(Order.objects.get(type="twap").fee.normalize())
    (position,) = trader.api.get("/account/positions").data
    assert position["quantity"] == "6"
