"""Orders over time, over HTTP: a last moment, a replaced price or quantity, dead-man switch, self-trade prevention."""

from copy import copy
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from astrade.core.clock import system_clock, to_ms
from trading.api import schemas
from trading.domain.lifecycle import Side
from trading.loading import ORDERS_AT_ONCE
from trading.models import DeadManSwitch, Event, Fill, Order, OrderRefusal, Position
from trading.services.due import due_work, expire_orders, fire_switch
from trading.tests.api.client import Trader
from trading.tests.conftest import Feed, forget_prices, make_market
from trading.tests.factories import open_account, place
from trading.verification import CHECKS, run_check

D = Decimal


@pytest.fixture
def trader(feed: Feed) -> Trader:
    """With a market around 100."""
    return Trader()


def in_ms(**ahead: float) -> int:
    """A moment ahead, as the API writes it."""
    return to_ms(system_clock() + timedelta(**ahead))


def good_till(trader: Trader, **changes: Any) -> dict[str, Any]:
    """A resting order that ends in an hour."""
    body = {"time_in_force": "GTT", "expires_at": in_ms(hours=1)} | changes
    data: dict[str, Any] = trader.rest(**body).data
    return data


def let_pass(order_id: str) -> None:
    """The order's last moment is over."""
    Order.objects.filter(uuid=order_id).update(expires_at=timezone.now())


def rows() -> tuple[int, ...]:
    """Rows that a booking leaves."""
    return tuple(table.objects.count() for table in (Order, Fill, Event, Position))


def order_as_stored(order_id: str) -> dict[str, Any]:
    """Every column of an order."""
    return dict(Order.objects.filter(uuid=order_id).values().get())


def margin_used(trader: Trader) -> Decimal:
    """What is bound now."""
    return D(trader.api.get("/account/balance").data["margin_used"])


def assert_sound() -> None:
    """Every check of the ledger and of the books around it."""
    assert [finding for name in CHECKS for finding in run_check(name)] == []


# --- good till time


def test_order_with_a_last_moment_expires_once_and_says_so(trader: Trader) -> None:
    order = good_till(trader)
    lasting = trader.rest(price="94").data
    assert order["time_in_force"] == "GTT"
    assert order["expires_at"] > order["created_at"]
    let_pass(order["id"])

    assert [due.run for due in due_work()] == [expire_orders]
    assert [expire_orders(trader.account.pk), expire_orders(trader.account.pk)] == [1, 0]

    detail = trader.api.get(f"/orders/{order['id']}").data
    assert (detail["status"], detail["reason"]) == ("expired", "expired")
    assert [(move["from"], move["to"], move["reason"]) for move in detail["transitions"]] == [
        ("new", "open", ""),
        ("open", "expired", "expired"),
    ]
    told = [event["data"] for event in trader.api.get("/events").data if event["kind"] == "order_update"]
    assert [(data["id"], data["status"]) for data in told][-1] == (order["id"], "expired")
    assert [open_["id"] for open_ in trader.api.get("/orders").data] == [lasting["id"]]
    assert margin_used(trader) == 94
    assert due_work() == []
    assert_sound()


def test_expiry_needs_no_prices_and_no_good_standing(trader: Trader) -> None:
    order = good_till(trader)
    let_pass(order["id"])
    trader.account.state = "frozen"
    trader.account.save(update_fields=["state"])
    forget_prices()

    assert expire_orders(trader.account.pk) == 1


def test_expiry_keeps_what_was_filled(trader: Trader) -> None:
    order = good_till(trader, quantity="3", price="101")
    assert (order["status"], order["filled_quantity"]) == ("partially_filled", "1")
    let_pass(order["id"])

    expire_orders(trader.account.pk)

    shown = trader.api.get(f"/orders/{order['id']}").data
    assert (shown["status"], shown["filled_quantity"]) == ("expired", "1")
    assert_sound()


@pytest.mark.parametrize("ahead", [{"seconds": -1}, {"seconds": 0}, {"days": 90, "minutes": 1}])
def test_last_moment_is_in_the_future_and_within_ninety_days(trader: Trader, ahead: dict[str, float]) -> None:
    answer = trader.rest(time_in_force="GTT", expires_at=in_ms(**ahead))

    assert answer.error == (400, 1001)
    assert "expires_at" in answer.content["error"]["details"]["fields"]
    assert Order.objects.count() == 0
    assert OrderRefusal.objects.get().request["expires_at"] > 0


def test_ninety_days_are_allowed_and_post_only_too(trader: Trader) -> None:
    assert trader.rest(time_in_force="GTT", expires_at=in_ms(days=89, hours=23), post_only=True).status == 201


def test_retry_with_another_last_moment_is_another_order(trader: Trader) -> None:
    first = good_till(trader, client_order_id="once")
    again = trader.rest(client_order_id="once", time_in_force="GTT", expires_at=first["expires_at"])
    other = trader.rest(client_order_id="once", time_in_force="GTT", expires_at=first["expires_at"] + 1)

    assert again.data["id"] == first["id"]
    assert other.error == (409, 3013)


# --- replace


def test_replaced_order_keeps_its_identity_and_tells_its_history(trader: Trader, feed: Feed) -> None:
    order = trader.rest(client_order_id="mine").data
    feed(sequence=5)

    answer = trader.api.patch(f"/orders/{order['id']}", {"price": "96", "quantity": "2", "version": order["version"]})

    assert answer.status == 200
    kept = ("id", "number", "client_order_id", "status", "created_at", "side", "symbol")
    assert {name: answer.data[name] for name in kept} == {name: order[name] for name in kept}
    assert (answer.data["price"], answer.data["quantity"], answer.data["version"]) == ("96", "2", order["version"] + 1)
    assert answer.data["reason"] == "replaced"
    moves = trader.api.get(f"/orders/{order['id']}").data["transitions"]
    assert set(moves[-1]) == set(schemas.TransitionOut().fields)
    assert (moves[-1]["from"], moves[-1]["to"], moves[-1]["reason"]) == ("open", "open", "replaced")
    assert moves[-1]["change"] == {"price": ["95", "96"], "quantity": ["1", "2"]}
    assert moves[0]["change"] is None
    assert trader.api.get("/events").data[-2]["data"]["price"] == "96"
    row = Order.objects.get()
    assert (row.admitted_sequence, row.admitted_at) == (5, row.updated_at)
    assert margin_used(trader) == 192
    assert_sound()


def test_account_path_and_other_spellings_replace_too(trader: Trader) -> None:
    order = trader.rest().data

    answer = trader.api.patch(f"{trader.path}/orders/{order['id']}", {"size": 2, "price": 94})

    assert (answer.data["price"], answer.data["quantity"]) == ("94", "2")


def test_replace_that_crosses_fills_at_once_as_taker(trader: Trader) -> None:
    order = trader.rest(quantity="4").data

    replaced = trader.api.patch(f"/orders/{order['id']}", {"price": "102"}).data

    assert (replaced["status"], replaced["filled_quantity"], replaced["average_price"]) == (
        "partially_filled", "3", quotient_text(101 + 2 * 102, 3),
    )  # fmt: skip
    fills = trader.api.get(f"/orders/{order['id']}").data["fills"]
    assert [(fill["price"], fill["quantity"], fill["is_taker"]) for fill in fills] == [
        ("101", "1", True),
        ("102", "2", True),
    ]
    more = trader.api.patch(f"/orders/{order['id']}", {"price": "103", "quantity": "5"}).data
    assert (more["status"], more["filled_quantity"]) == ("filled", "5")
    assert Position.objects.get().quantity == 5
    assert_sound()


def quotient_text(numerator: int, denominator: int) -> str:
    """As averages are shown: eight decimals."""
    return f"{(D(numerator) / denominator):.8f}".rstrip("0")


def test_partly_filled_order_takes_a_new_total(trader: Trader) -> None:
    """1 of 3 is filled; the rest of 2 becomes one of 1.5, and its margin follows."""
    order = trader.rest(quantity="3", price="101").data

    replaced = trader.api.patch(f"/orders/{order['id']}", {"quantity": "2.5", "price": "100"}).data

    assert (replaced["status"], replaced["filled_quantity"], replaced["quantity"]) == ("partially_filled", "1", "2.5")
    assert margin_used(trader) == 100 + D("1.5") * 100
    assert_sound()


@pytest.mark.parametrize("total", ["1", "0.5"])
def test_new_total_exceeds_what_is_filled(trader: Trader, total: str) -> None:
    order = trader.rest(quantity="3", price="101").data

    answer = trader.api.patch(f"/orders/{order['id']}", {"quantity": total})

    assert answer.error == (400, 1001)
    assert "quantity" in answer.content["error"]["details"]["fields"]


def test_same_replace_again_does_nothing(trader: Trader) -> None:
    order = trader.rest().data
    body = {"price": "96.0", "quantity": "2", "version": order["version"]}
    first = trader.api.patch(f"/orders/{order['id']}", body).data
    before = rows()

    again = trader.api.patch(f"/orders/{order['id']}", body)

    assert (again.status, again.data) == (200, first)
    assert rows() == before
    assert OrderRefusal.objects.count() == 0


def test_same_replace_again_finds_the_order_it_filled(trader: Trader) -> None:
    order = trader.rest().data
    filled = trader.api.patch(f"/orders/{order['id']}", {"price": "101"}).data
    assert filled["status"] == "filled"

    assert trader.api.patch(f"/orders/{order['id']}", {"price": "101"}).data == filled
    assert trader.api.patch(f"/orders/{order['id']}", {"price": "102"}).error == (409, 3010)


REFUSED = [
    ({"quantity": "1.0001"}, (400, 3001)),
    ({"quantity": "0.0001"}, (400, 3000)),
    ({"quantity": "2000"}, (400, 1001)),
    ({"price": "95.5"}, (400, 3002)),
    ({"price": "150"}, (400, 3008)),
    ({"quantity": "200"}, (400, 3003)),
    ({"price": "0"}, (400, 1001)),
    ({"price": "NaN"}, (400, 1001)),
    ({"trigger_price": "90"}, (400, 1001)),
    ({}, (400, 1001)),
    ({"version": 1}, (400, 1001)),
    ({"price": "96", "version": 7}, (409, 1006)),
    ({"price": "96", "version": 0}, (400, 1001)),
]


@pytest.mark.parametrize(("body", "refusal"), REFUSED)
def test_refused_replace_changes_nothing(trader: Trader, body: dict[str, Any], refusal: tuple[int, int]) -> None:
    order = trader.rest().data
    stored, before = order_as_stored(order["id"]), rows()

    assert trader.api.patch(f"/orders/{order['id']}", body).error == refusal

    assert order_as_stored(order["id"]) == stored
    assert rows() == before
    assert margin_used(trader) == 95


@pytest.mark.parametrize("body", [{"price": "96", "version": 7}, {"quantity": "200"}, {"price": "95.5"}])
def test_refused_replace_is_kept_with_its_figures(trader: Trader, body: dict[str, Any]) -> None:
    order = trader.rest().data

    code = trader.api.patch(f"/orders/{order['id']}", body).error[1]

    refusal = OrderRefusal.objects.get()
    assert (refusal.code, refusal.client_order_id) == (code, order["client_order_id"])
    assert refusal.request["replaces"] == order["id"]
    assert refusal.figures


def test_if_match_names_the_version(trader: Trader) -> None:
    order = trader.rest().data

    def replace(tag: str, price: str) -> Any:
        return trader.api.call("PATCH", f"/orders/{order['id']}", {"price": price}, If_Match=tag)

    assert replace('"9"', "96").error == (409, 1006)
    assert replace("W/", "96").error == (400, 1001)
    assert replace("x", "96").error == (400, 1001)
    assert replace(f'"{order["version"]}"', "96").data["price"] == "96"
    assert replace(f'W/"{order["version"] + 1}"', "94").data["price"] == "94"
    assert replace("*", "93").data["price"] == "93"
    both = {"price": "92", "version": 1}
    assert trader.api.call("PATCH", f"/orders/{order['id']}", both, If_Match='"2"').error == (400, 1001)


def test_post_only_order_is_not_replaced_into_taking(trader: Trader) -> None:
    order = trader.rest(post_only=True).data

    assert trader.api.patch(f"/orders/{order['id']}", {"price": "101"}).error == (400, 3007)
    assert trader.api.patch(f"/orders/{order['id']}", {"price": "100"}).data["status"] == "open"


def test_reduce_only_order_is_not_replaced_beyond_the_position(trader: Trader) -> None:
    trader.place(quantity="2")
    order = trader.rest(side="sell", price="105", reduce_only=True).data

    assert trader.api.patch(f"/orders/{order['id']}", {"quantity": "2.5"}).error == (400, 3006)
    assert trader.api.patch(f"/orders/{order['id']}", {"quantity": "2"}).data["quantity"] == "2"


def test_what_ended_is_not_replaced(trader: Trader) -> None:
    order = trader.rest().data
    trader.api.delete(f"/orders/{order['id']}")

    assert trader.api.patch(f"/orders/{order['id']}", {"price": "96"}).error == (409, 3010)
    market = trader.place().data
    assert trader.api.patch(f"/orders/{market['id']}", {"price": "96"}).error == (409, 3010)
    late = good_till(trader)
    let_pass(late["id"])
    assert trader.api.patch(f"/orders/{late['id']}", {"price": "96"}).error == (409, 3010)


def test_nobody_replaces_a_strangers_order(trader: Trader) -> None:
    order = trader.rest().data
    stranger = Trader()

    assert stranger.api.patch(f"/orders/{order['id']}", {"price": "96"}).error == (404, 1002)
    assert stranger.api.patch(f"{trader.path}/orders/{order['id']}", {"price": "96"}).error == (404, 1002)
    assert trader.with_key("read").patch(f"/orders/{order['id']}", {"price": "96"}).error == (403, 1106)
    assert OrderRefusal.objects.count() == 0


def test_smaller_quantity_needs_no_prices_and_keeps_its_place(trader: Trader, feed: Feed) -> None:
    order = trader.rest(quantity="2").data
    place_in_queue = Order.objects.get().admitted_sequence
    forget_prices()

    assert trader.api.patch(f"/orders/{order['id']}", {"price": "96"}).error == (503, 2002)
    assert trader.api.patch(f"/orders/{order['id']}", {"quantity": "3"}).error == (503, 2002)
    assert trader.api.patch(f"/orders/{order['id']}", {"quantity": "1"}).data["quantity"] == "1"
    assert Order.objects.get().admitted_sequence == place_in_queue


def test_frozen_account_replaces_nothing(trader: Trader) -> None:
    order = trader.rest(quantity="2").data
    trader.account.state = "frozen"
    trader.account.save(update_fields=["state"])

    assert trader.api.patch(f"/orders/{order['id']}", {"quantity": "1"}).error == (403, 3016)


STOP = {"type": "stop", "trigger_price": "105"}


def test_waiting_order_takes_a_new_trigger_price(trader: Trader) -> None:
    order = trader.place(**STOP).data

    replaced = trader.api.patch(f"/orders/{order['id']}", {"stop_price": "106", "quantity": "2"}).data

    assert (replaced["status"], replaced["trigger_price"], replaced["quantity"]) == ("untriggered", "106", "2")
    moves = trader.api.get(f"/orders/{order['id']}").data["transitions"]
    assert [(move["to"], move["change"]) for move in moves] == [
        ("untriggered", None),
        ("untriggered", {"trigger_price": ["105", "106"], "quantity": ["1", "2"]}),
    ]
    assert_sound()


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"trigger_price": "100"}, (400, 1001)),  # the mark: it would trigger at once
        ({"trigger_price": "105.5"}, (400, 3002)),
        ({"price": "106"}, (400, 1001)),
        ({"quantity": "1.0001"}, (400, 3001)),
    ],
)
def test_waiting_order_is_not_replaced_by_what_could_not_be_placed(
    trader: Trader, body: dict[str, Any], refusal: tuple[int, int]
) -> None:
    order = trader.place(**STOP).data
    stored = order_as_stored(order["id"])

    assert trader.api.patch(f"/orders/{order['id']}", body).error == refusal

    assert order_as_stored(order["id"]) == stored


def test_take_profit_and_stop_loss_are_changed_on_their_position(trader: Trader) -> None:
    trader.place(stop_loss="90")
    leg = Order.objects.get(role="stop_loss")

    answer = trader.api.patch(f"/orders/{leg.uuid}", {"trigger_price": "91"})

    assert answer.error == (400, 1001)
    leg.refresh_from_db()
    assert leg.trigger_price == 90


def test_waiting_order_expires_too(trader: Trader) -> None:
    order = trader.place(**STOP, time_in_force="GTT", expires_at=in_ms(hours=1)).data
    assert order["status"] == "untriggered"
    let_pass(order["id"])

    assert expire_orders(trader.account.pk) == 1

    assert trader.api.get(f"/orders/{order['id']}").data["status"] == "expired"
    assert_sound()


# --- one's own order met


def test_arriving_order_ends_the_own_one_it_would_trade_with(trader: Trader) -> None:
    """Sells 1 at 102 rest; a buy of 4 up to 103 would meet them on its way, and not the one at 104."""
    met = trader.rest(side="sell", price="102").data
    out_of_reach = trader.rest(side="sell", price="104").data

    bought = trader.rest(price="103", quantity="4").data

    assert (bought["status"], bought["filled_quantity"]) == ("filled", "4")
    gone = trader.api.get(f"/orders/{met['id']}").data
    assert (gone["status"], gone["reason"]) == ("cancelled", "self_trade_prevention")
    assert gone["transitions"][-1]["reason"] == "self_trade_prevention"
    assert [order["id"] for order in trader.api.get("/orders").data] == [out_of_reach["id"]]
    told = [event["data"]["id"] for event in trader.api.get("/events").data if event["kind"] == "order_update"]
    assert told[-2:] == [met["id"], bought["id"]]
    assert_sound()


def test_order_that_is_filled_before_it_gets_there_spares_the_own_one(trader: Trader) -> None:
    own = trader.rest(side="sell", price="102").data

    assert trader.rest(price="103", quantity="1").data["status"] == "filled"  # at 101, all of it

    assert trader.api.get(f"/orders/{own['id']}").data["status"] == "open"


def test_market_order_ends_own_orders_within_its_band(trader: Trader, feed: Feed) -> None:
    own = trader.rest(side="sell", price="104").data
    beyond = trader.rest(side="sell", price="110").data
    feed(asks=(("101", "1"),), sequence=2)

    trader.place(quantity="3")

    assert trader.api.get(f"/orders/{own['id']}").data["reason"] == "self_trade_prevention"
    assert trader.api.get(f"/orders/{beyond['id']}").data["status"] in {"open", "cancelled"}


def test_fill_or_kill_that_is_killed_spares_the_own_order(trader: Trader, feed: Feed) -> None:
    own = trader.rest(side="sell", price="102").data

    assert trader.rest(price="102", quantity="50", time_in_force="FOK").data["status"] == "cancelled"

    assert trader.api.get(f"/orders/{own['id']}").data["status"] == "open"


def test_resting_order_at_the_price_of_the_own_other_side_ends_it(trader: Trader) -> None:
    own = trader.rest(side="sell", price="100").data

    assert trader.rest(price="100").data["status"] == "open"

    assert trader.api.get(f"/orders/{own['id']}").data["reason"] == "self_trade_prevention"


def test_post_only_order_is_refused_where_it_would_meet_the_own_one(trader: Trader) -> None:
    own = trader.rest(side="sell", price="100").data

    answer = trader.rest(price="100", post_only=True)

    assert answer.error == (400, 3007)
    assert answer.content["error"]["details"]["best"] == "100"
    assert trader.api.get(f"/orders/{own['id']}").data["status"] == "open"
    assert trader.rest(price="99", post_only=True).status == 201


def test_preview_sees_ones_own_orders_too(trader: Trader) -> None:
    trader.rest(side="sell", price="100")
    body = {"symbol": "BTC-USD", "side": "buy", "type": "limit", "quantity": "1", "price": "100", "post_only": True}

    refusal = trader.api.post("/orders/preview", body).data["refusal"]

    assert refusal["code"] == 3007
    assert trader.api.get("/orders").data[0]["status"] == "open"


def test_replaced_order_ends_the_own_one_it_now_meets(trader: Trader) -> None:
    own = trader.rest(side="sell", price="100").data
    order = trader.rest(price="95").data

    assert trader.api.patch(f"/orders/{order['id']}", {"price": "100"}).data["status"] == "open"

    assert trader.api.get(f"/orders/{own['id']}").data["reason"] == "self_trade_prevention"
    assert_sound()


def test_other_accounts_and_markets_are_not_ones_own_order(trader: Trader, feed: Feed) -> None:
    make_market("ETH-USD")
    feed(symbol="ETH-USD")
    elsewhere = trader.rest(side="sell", price="100", symbol="ETH-USD").data
    second = open_account(user=trader.user)
    place(second, "1", side=Side.SELL, price="100")

    trader.rest(price="100")

    assert trader.api.get(f"/orders/{elsewhere['id']}").data["status"] == "open"
    assert Order.objects.get(account=second).status == "open"


def test_ended_own_order_frees_its_margin_for_the_arriving_one(trader: Trader) -> None:
    """10,000: 60 sold short at 100 bind 6,000; buying 70 at 100 fits only without them."""
    trader.rest(side="sell", price="100", quantity="60")

    assert trader.rest(price="100", quantity="99").status == 201
    assert margin_used(trader) == 9900


# --- cancel many


@pytest.fixture
def book(trader: Trader, feed: Feed) -> dict[str, str]:
    """One order each by market and side."""
    make_market("ETH-USD")
    feed(symbol="ETH-USD")
    wanted = {
        f"{symbol[:3].lower()} {side}": {"symbol": symbol, "side": side, "price": price}
        for symbol in ("BTC-USD", "ETH-USD")
        for side, price in (("buy", "95"), ("sell", "105"))
    }
    return {trader.rest(**body).data["id"]: name for name, body in wanted.items()}


@pytest.mark.parametrize("path", ["/orders", "{}/orders"])
@pytest.mark.parametrize(
    ("query", "gone"),
    [
        ("", {"btc buy", "btc sell", "eth buy", "eth sell"}),
        ("?symbol=btc-usd", {"btc buy", "btc sell"}),
        ("?side=sell", {"btc sell", "eth sell"}),
        ("?market=eth-usd&side=buy", {"eth buy"}),
    ],
)
def test_cancel_by_market_and_side(trader: Trader, book: dict[str, str], path: str, query: str, gone: set[str]) -> None:
    answer = trader.api.delete(f"{path.format(trader.path)}{query}")

    assert {book[order["id"]] for order in answer.data} == gone
    assert {order["status"] for order in answer.data} == {"cancelled"}
    assert {book[order["id"]] for order in trader.api.get("/orders").data} == set(book.values()) - gone
    assert trader.api.delete(f"{path.format(trader.path)}{query}").data == []
    assert_sound()


def test_cancel_all_tells_of_each_order_and_once_of_the_money(trader: Trader, book: dict[str, str]) -> None:
    after = trader.api.get("/events").data[-1]["sequence"]

    trader.api.delete("/orders")

    kinds = [event["kind"] for event in trader.api.get(f"/events?after={after}").data]
    assert kinds == ["order_update"] * 4 + ["balance_update"]
    assert margin_used(trader) == 0


def test_cancel_all_takes_orders_that_wait_for_a_trigger(trader: Trader) -> None:
    order = trader.place(**STOP).data

    assert trader.api.delete("/orders?side=sell").data == []
    (cancelled,) = trader.api.delete("/orders?symbol=BTC-USD&side=buy").data

    assert (cancelled["id"], cancelled["status"]) == (order["id"], "cancelled")


def test_cancel_all_takes_a_positions_own_stop_loss_and_says_so(trader: Trader) -> None:
    trader.place()
    (position,) = trader.api.get("/positions").data
    path = f"{trader.path}/positions/{position['id']}"
    assert trader.api.patch(path, {"stop_loss": "90"}).data["stop_loss"] == "90"
    after = trader.api.get("/events").data[-1]["sequence"]

    (cancelled,) = trader.api.delete("/orders").data

    assert (cancelled["type"], cancelled["status"]) == ("stop", "cancelled")
    assert trader.api.get(path).data["stop_loss"] is None
    told = {event["kind"]: event["data"] for event in trader.api.get(f"/events?after={after}").data}
    assert told.keys() == {"order_update", "position_update", "balance_update"}
    assert told["position_update"]["stop_loss"] is None
    assert_sound()


def test_cancel_all_refuses_what_it_does_not_know(trader: Trader) -> None:
    assert trader.api.delete("/orders?symbol=NOTHING").error == (400, 2000)
    assert trader.api.delete("/orders?side=hold").error == (400, 1001)
    assert trader.api.delete("/orders?simbol=BTC-USD").error == (400, 1001)
    assert trader.api.delete("/orders?side=buy&status=open").error == (400, 1001)
    assert trader.api.call("DELETE", "/orders", {"side": "buy"}).error == (400, 1000)
    assert Trader().api.delete(f"{trader.path}/orders").error == (404, 1002)


def with_many(trader: Trader) -> int:
    """More open orders than one transaction ends; returns how many."""
    trader.rest()
    order = Order.objects.get()
    count = ORDERS_AT_ONCE + 5
    copies = []
    for number in range(2, count + 1):
        order.pk, order.uuid, order.number, order.client_order_id = None, uuid4(), number, str(number)
        copies.append(copy(order))
    Order.objects.bulk_create(copies)
    return count


def test_more_than_one_transaction_ends_are_all_cancelled(trader: Trader) -> None:
    count = with_many(trader)

    assert len(trader.api.delete("/orders").data) == count

    assert not Order.objects.filter(status="open").exists()
    assert trader.api.get("/account/balance").data["margin_used"] == "0"


def test_switch_stays_due_until_all_orders_are_gone(trader: Trader) -> None:
    with_many(trader)
    trader.api.post("/orders/dead-man-switch", {"timeout_s": 60})
    let_fire(trader)

    assert [fire_switch(trader.account.pk) for _ in range(3)] == [ORDERS_AT_ONCE, 5, 0]

    assert Event.objects.filter(kind="dead_man_switch", data__state="fired").count() == 1


# --- dead-man switch


def let_fire(trader: Trader) -> None:
    """The switch's time is over."""
    DeadManSwitch.objects.filter(account=trader.account).update(fires_at=timezone.now())


def switched(trader: Trader) -> list[str]:
    """What events told of the switch."""
    events = trader.api.get("/events").data
    return [event["data"]["state"] for event in events if event["kind"] == "dead_man_switch"]


def test_switch_says_when_it_fires_and_cancels_all_once(trader: Trader) -> None:
    trader.rest()
    trader.rest(side="sell", price="105")

    answer = trader.api.post("/orders/dead-man-switch", {"timeout_s": 60})

    assert set(answer.data) == set(schemas.DeadManSwitchOut().fields)
    assert answer.data["timeout_s"] == 60
    assert abs(answer.data["fires_at"] - in_ms(seconds=60)) < 5_000
    assert answer.data["unprotected_positions"] == []
    assert (due_work(), fire_switch(trader.account.pk)) == ([], 0)
    let_fire(trader)
    assert [due.run for due in due_work()] == [fire_switch]
    assert [fire_switch(trader.account.pk), fire_switch(trader.account.pk)] == [2, 0]
    assert trader.api.get("/orders").data == []
    assert {order["reason"] for order in trader.api.get("/orders/history").data} == {"dead_man_switch"}
    assert switched(trader) == ["on", "fired"]
    assert due_work() == []
    assert_sound()


def test_switch_called_again_waits_again_without_more_events(trader: Trader) -> None:
    trader.rest()
    trader.api.post("/orders/dead-man-switch", {"timeout_s": 60})
    let_fire(trader)

    trader.api.post("/orders/dead-man-switch", {"timeout_s": 30})

    assert fire_switch(trader.account.pk) == 0
    assert len(trader.api.get("/orders").data) == 1
    assert switched(trader) == ["on"]


def test_zero_switches_off(trader: Trader) -> None:
    trader.rest()
    assert trader.api.post("/orders/dead-man-switch", {"timeout_s": 0}).data["fires_at"] is None
    trader.api.post("/orders/dead-man-switch", {"timeout_s": 60})

    answer = trader.api.post("/orders/dead-man-switch", {"timeout_s": 0})

    assert (answer.data["timeout_s"], answer.data["fires_at"]) == (0, None)
    assert switched(trader) == ["on", "off"]
    assert DeadManSwitch.objects.get().fires_at is None


def test_switch_warns_of_positions_that_would_stand_alone(trader: Trader, feed: Feed) -> None:
    make_market("ETH-USD")
    feed(symbol="ETH-USD")
    trader.place(quantity="2")
    trader.place(quantity="2", symbol="ETH-USD")
    trader.rest(side="sell", price="105", reduce_only=True)
    trader.rest(side="sell", price="105", symbol="ETH-USD")  # an order like any other
    trader.place(type="stop", side="buy", trigger_price="110")  # the other way

    (warned,) = trader.api.post("/orders/dead-man-switch", {"timeout_s": 60}).data["unprotected_positions"]

    assert set(warned) == set(schemas.UnprotectedOut().fields)
    shown = {name: warned[name] for name in ("symbol", "side", "quantity", "protective_orders")}
    assert shown == {"symbol": "BTC-USD", "side": "long", "quantity": "2", "protective_orders": 1}
    trader.place(type="stop", side="sell", trigger_price="90", symbol="ETH-USD")
    renewed = trader.api.post("/orders/dead-man-switch", {"timeout_s": 60}).data["unprotected_positions"]
    assert {position["symbol"] for position in renewed} == {"BTC-USD", "ETH-USD"}


def test_switch_of_a_named_account_leaves_the_others_alone(trader: Trader) -> None:
    second = open_account(user=trader.user)
    place(second, "1", price="95")
    trader.rest()

    trader.api.post("/orders/dead-man-switch", {"timeout_s": 60, "account": str(second.uuid)})
    DeadManSwitch.objects.update(fires_at=timezone.now())
    (due,) = due_work()
    due.run(due.account_id)

    assert due.account_id == second.pk
    assert Order.objects.get(account=second).status == "cancelled"
    assert Order.objects.get(account=trader.account).status == "open"


@pytest.mark.parametrize(
    "body", [{}, {"timeout_s": -1}, {"timeout_s": 86_401}, {"timeout_s": "x"}, {"timeout_s": 60, "account": "x"}]
)
def test_switch_refuses_nonsense(trader: Trader, body: dict[str, Any]) -> None:
    assert trader.api.post("/orders/dead-man-switch", body).error == (400, 1001)


def test_switch_is_the_owners(trader: Trader) -> None:
    body = {"timeout_s": 60, "account": str(trader.account.uuid)}

    assert Trader().api.post("/orders/dead-man-switch", body).error == (404, 1002)
    assert trader.with_key("read").post("/orders/dead-man-switch", body).error == (403, 1106)
    assert DeadManSwitch.objects.count() == 0
