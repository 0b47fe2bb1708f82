"""Simulated latency: an order meets the market it arrives at, once, and is the user's to cancel on its way."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from trading.domain.limits import HaltScope
from trading.domain.liquidation import Step
from trading.loading import OrderRef
from trading.models import Fill, Order, OrderRefusal, Position, TradingAccount
from trading.replaying import replay_fills
from trading.services.arrivals import Arrived, arrivals, deliver_order, deliver_orders
from trading.services.due import expire_orders, fire_switch, set_switch
from trading.services.halts import HaltTarget, set_halt
from trading.services.liquidation import liquidate
from trading.services.orders import cancel_order, fill_resting_order, place_order
from trading.tests.api.client import ORDER, Trader
from trading.tests.conftest import Feed, forget_prices
from trading.tests.factories import book, ref, request
from trading.tests.test_concurrency import assert_whole, at_once

DEARER: dict[str, Any] = {"bids": (("104", "1000"),), "asks": (("106", "1000"),), "sequence": 2}


@pytest.fixture
def trader(feed: Feed) -> Trader:
    """10,000, a market around 100, and 5 seconds from the market."""
    trader = Trader()
    assert trader.api.patch(trader.path, {"simulated_latency_ms": 5000}).data["simulated_latency_ms"] == 5000
    return trader


def time_passes(trader: Trader) -> None:
    """What is on its way has arrived."""
    Order.objects.filter(account=trader.account, status="submitted").update(arrives_at=timezone.now())


def delivered(trader: Trader) -> int:
    """How many of the trader's orders were decided on their arrival just now."""
    time_passes(trader)
    return deliver_orders(trader.account.pk)


def now_of(trader: Trader) -> TradingAccount:
    """The account as it stands."""
    return TradingAccount.objects.get(pk=trader.account.pk)


def story(order: Order) -> list[str]:
    """Every status it had."""
    return list(order.transitions.order_by("id").values_list("to_status", flat=True))


def sent(trader: Trader, **changes: Any) -> Order:
    """An order on its way."""
    answer = trader.place(**changes)
    assert (answer.status, answer.data["status"], answer.data["filled_quantity"]) == (201, "submitted", "0")
    return Order.objects.get(uuid=answer.data["id"])


# The market of its arrival


def test_an_order_fills_on_the_book_of_its_arrival(trader: Trader, feed: Feed) -> None:
    order = sent(trader)
    assert (order.arrives_at - order.created_at) == timedelta(seconds=5)  # type: ignore[operator]
    early = Arrived(trader.account.pk, order.pk, order.market_id, "buy", None)
    assert (arrivals(), deliver_orders(trader.account.pk), deliver_order(early)) == ([], 0, False)
    feed(**DEARER)
    time_passes(trader)

    (due,) = arrivals()
    assert (due.account_id, due.run(due.account_id), arrivals()) == (trader.account.pk, 1, [])

    order.refresh_from_db()
    fill = Fill.objects.get()
    assert (order.status, fill.price, fill.book_sequence, order.admitted_sequence) == ("filled", 106, 2, 2)
    assert story(order) == ["submitted", "filled"]
    assert deliver_orders(trader.account.pk) == 0
    assert_whole(trader.account)


def test_without_latency_nothing_is_delayed(feed: Feed) -> None:
    trader = Trader()
    assert trader.api.get(trader.path).data["simulated_latency_ms"] == 0
    assert trader.place().data["status"] == "filled"
    assert Order.objects.get().arrives_at is None


def test_fills_after_a_delay_are_found_again(trader: Trader, feed: Feed) -> None:
    sent(trader, quantity="2.5")
    sent(trader, type="limit", price="105", quantity="3")
    feed(**DEARER | {"bids": (("102", "9"),), "asks": (("103", "2"), ("104", "1000"))})
    assert delivered(trader) == 2

    assert Fill.objects.count() >= 2
    assert [found for differences in replay_fills(now_of(trader)) for found in differences] == []


def test_a_limit_order_rests_from_its_arrival_on(trader: Trader, feed: Feed) -> None:
    order = sent(trader, type="limit", price="105")  # would have taken at once
    feed(**DEARER)
    assert delivered(trader) == 1

    order.refresh_from_db()
    assert (order.status, order.admitted_sequence, order.filled_quantity) == ("open", 2, 0)
    assert order.admitted_at > order.created_at
    traded = book(bids=(("103", "9"),), asks=(("104", "9"),), sequence=3)
    assert fill_resting_order(
        account_id=trader.account.pk, order_id=order.pk, book=traded, quotes={}, traded_through=True
    )
    assert_whole(trader.account)


def test_orders_arrive_in_the_order_they_were_sent(trader: Trader) -> None:
    for quantity in ("1", "2", "0.5"):
        sent(trader, quantity=quantity)
    assert delivered(trader) == 3
    assert list(Fill.objects.order_by("number").values_list("order__number", flat=True).distinct()) == [1, 2, 3]


def test_a_conditional_order_waits_for_its_trigger_after_its_arrival(trader: Trader, feed: Feed) -> None:
    waiting, late = (sent(trader, type="stop", trigger_price=price) for price in ("110", "104"))
    feed(**DEARER)
    assert delivered(trader) == 2

    waiting.refresh_from_db()
    late.refresh_from_db()
    assert (waiting.status, waiting.admitted_sequence, story(waiting)) == (
        "untriggered",
        2,
        ["submitted", "untriggered"],
    )
    assert (late.status, late.reason) == ("rejected", "validation_failed")


def test_take_profit_and_stop_loss_come_with_the_fill(trader: Trader) -> None:
    sent(trader, take_profit="120", stop_loss="90")
    assert not Order.objects.exclude(role=None).exists()
    assert delivered(trader) == 1
    assert set(Order.objects.exclude(role=None).values_list("status", flat=True)) == {"untriggered"}
    assert_whole(trader.account)


def test_closing_takes_its_time_too(trader: Trader) -> None:
    sent(trader)
    delivered(trader)

    closing = trader.api.post(f"{trader.path}/positions/close", {"symbol": "BTC-USD"})
    assert closing.data["status"] == "submitted"
    assert delivered(trader) == 1

    assert Position.objects.get(account=trader.account).quantity == 0


def test_a_twap_order_is_timed_by_the_venue(trader: Trader) -> None:
    plan = {"duration_s": 300, "slices": 5}
    assert trader.place(type="twap", quantity="5", twap=plan).data["status"] == "open"


# Margin


def balance(trader: Trader) -> dict[str, Any]:
    """What the user sees."""
    shown: dict[str, Any] = trader.api.get("/account/balance").data
    return shown


@pytest.mark.parametrize(
    ("changes", "margin"),
    [
        ({"quantity": "60"}, "6000"),  # at the mark
        ({"quantity": "60", "type": "limit", "price": "95"}, "5700"),
        ({"quantity": "60", "type": "stop_limit", "price": "105", "trigger_price": "104"}, "0"),
        ({"quantity": "60", "type": "stop", "trigger_price": "104"}, "0"),
    ],
)
def test_margin_is_reserved_on_the_way(trader: Trader, changes: dict[str, Any], margin: str) -> None:
    order = sent(trader, **changes)

    assert balance(trader)["margin_used"] == margin
    assert trader.place(quantity="60").status == (201 if margin == "0" else 400)
    trader.api.delete("/orders")
    order.refresh_from_db()
    assert (order.status, balance(trader)["margin_used"]) == ("cancelled", "0")
    assert_whole(trader.account)


def test_what_may_not_be_placed_is_refused_at_once(trader: Trader) -> None:
    assert trader.place(quantity="200").error == (400, 3003)
    assert trader.rest(price="50").error == (400, 3008)
    assert trader.place(quantity="0.0001").error == (400, 3000)
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    ("changes", "reason", "code"),
    [
        ({"type": "limit", "price": "100", "post_only": True, "side": "sell"}, "post_only_would_take", 3007),
        ({"quantity": "95"}, "insufficient_margin", 3003),
        ({"type": "limit", "price": "91", "side": "buy"}, "price_outside_band", 3008),
    ],
)
def test_what_may_not_be_placed_on_arrival_is_rejected(
    trader: Trader, feed: Feed, changes: dict[str, Any], reason: str, code: int
) -> None:
    order = sent(trader, **changes)
    feed(**DEARER)
    assert delivered(trader) == 1

    order.refresh_from_db()
    assert (order.status, order.reason, story(order)) == ("rejected", reason, ["submitted", "rejected"])
    refusal = OrderRefusal.objects.get(account=trader.account)
    assert (refusal.code, refusal.client_order_id) == (code, order.client_order_id)
    assert refusal.figures
    assert (balance(trader)["margin_used"], Fill.objects.count()) == ("0", 0)
    assert_whole(trader.account)


def test_a_halt_and_a_loss_limit_of_meanwhile_hold(trader: Trader) -> None:
    first = sent(trader)
    halt = HaltTarget(HaltScope.ACCOUNT, account=trader.account)
    set_halt(halt, reason="drill", actor_id=None, now=timezone.now(), until=timezone.now() + timedelta(seconds=60))
    delivered(trader)

    first.refresh_from_db()
    assert (first.status, first.reason) == ("rejected", "trading_halted")


def test_a_limit_set_meanwhile_opens_the_risk_day(trader: Trader) -> None:
    order = sent(trader)
    trader.api.patch(trader.path, {"max_daily_loss": "50"})
    assert delivered(trader) == 1
    order.refresh_from_db()
    assert order.status == "filled"


# On its way


def test_a_cancel_in_flight_ends_it(trader: Trader) -> None:
    order = sent(trader)
    assert trader.api.delete(f"/orders/{order.uuid}").data["status"] == "cancelled"
    time_passes(trader)

    assert (deliver_orders(trader.account.pk), Fill.objects.count()) == (0, 0)
    assert trader.api.delete(f"/orders/{order.uuid}").error == (409, 3010)


def test_it_is_shown_and_cancelled_with_all_others(trader: Trader) -> None:
    order = sent(trader)
    assert [shown["id"] for shown in trader.api.get("/orders").data] == [str(order.uuid)]
    assert [shown["status"] for shown in trader.api.delete("/orders").data] == ["cancelled"]


def test_it_cannot_be_replaced_before_it_is_there(trader: Trader) -> None:
    order = sent(trader, type="limit", price="95")
    for change in ({"price": "94"}, {"quantity": "0.5"}):
        refused = trader.api.patch(f"/orders/{order.uuid}", change)
        assert refused.error == (409, 3010)
        assert refused.content["error"]["details"] == {"status": "submitted"}
    delivered(trader)
    assert trader.api.patch(f"/orders/{order.uuid}", {"price": "94"}).data["price"] == "94"


def test_the_same_client_order_id_is_the_same_order(trader: Trader) -> None:
    first, second = (trader.place(client_order_id="mine") for _ in range(2))
    assert first.data == second.data
    delivered(trader)
    assert trader.place(client_order_id="mine").data["status"] == "filled"
    assert Fill.objects.count() == 1


def test_the_dead_man_switch_and_its_own_time_end_it(trader: Trader) -> None:
    switched = sent(trader)
    set_switch(account=ref(trader.account), timeout_s=60)
    trader.account.dead_man_switch.__class__.objects.update(fires_at=timezone.now())
    assert fire_switch(trader.account.pk) == 1
    expiring, late = (
        sent(trader, type="limit", price="95", time_in_force="GTT", expires_at=_in_ms(60_000)) for _ in range(2)
    )
    Order.objects.filter(status="submitted").update(expires_at=timezone.now())
    Order.objects.filter(pk=late.pk).update(arrives_at=timezone.now())
    assert deliver_orders(trader.account.pk) == 1
    assert expire_orders(trader.account.pk) == 1

    assert {Order.objects.get(pk=order.pk).status for order in (expiring, late)} == {"expired"}
    assert Order.objects.get(pk=switched.pk).reason == "dead_man_switch"
    assert balance(trader)["margin_used"] == "0"


def _in_ms(ms: int) -> int:
    return int(timezone.now().timestamp() * 1000) + ms


@pytest.mark.parametrize("prices", ["none", "old"])
def test_it_waits_for_fresh_prices(trader: Trader, feed: Feed, prices: str, settings: Any) -> None:
    order = sent(trader)
    if prices == "none":
        forget_prices()
    else:
        settings.FEED_STALE_AFTER_S = -1
    assert delivered(trader) == 0
    order.refresh_from_db()
    assert order.status == "submitted"

    settings.FEED_STALE_AFTER_S = 10
    feed(**DEARER)
    assert deliver_orders(trader.account.pk) == 1
    assert Fill.objects.get().price == 106


def test_a_change_of_latency_leaves_what_was_sent(trader: Trader) -> None:
    order = sent(trader)
    trader.api.patch(trader.path, {"simulated_latency_ms": 0})
    assert trader.place().data["status"] == "filled"
    assert Order.objects.get(pk=order.pk).arrives_at == order.arrives_at


def test_a_reset_closes_at_once(trader: Trader) -> None:
    sent(trader)
    delivered(trader)
    sent(trader, type="limit", price="95")

    made = trader.api.post(f"{trader.path}/reset")

    assert (made.status, made.data["account"]["simulated_latency_ms"]) == (201, 5000)
    assert set(Order.objects.values_list("status", flat=True)) == {"filled", "cancelled"}


def test_a_liquidation_does_not_wait(trader: Trader, feed: Feed) -> None:
    sent(trader, quantity="200", leverage=10)
    delivered(trader)
    sent(trader, type="limit", price="95")
    feed(bids=(("52", "1000"),), asks=(("54", "1000"),), sequence=3)
    assert liquidate(trader.account.pk)[Step.REDUCED]
    assert not Order.objects.filter(status="submitted").exists()


@pytest.mark.parametrize("value", [-1, 5001, "x", None, 1.5])
def test_latencies_that_are_none(trader: Trader, value: Any) -> None:
    assert trader.api.patch(trader.path, {"simulated_latency_ms": value}).error == (400, 1001)
    assert trader.api.post("/accounts", {"simulated_latency_ms": value}).error == (400, 1001)


def test_an_account_is_opened_with_it(trader: Trader) -> None:
    opened = trader.api.post("/accounts", {"simulated_latency_ms": 250}).data
    assert opened["simulated_latency_ms"] == 250
    made = trader.api.post("/orders", ORDER, X_Account_Id=opened["id"]).data
    order = Order.objects.get(uuid=made["id"])
    assert order.arrives_at - order.created_at == timedelta(milliseconds=250)  # type: ignore[operator]


# All at once


@pytest.mark.django_db(transaction=True)
def test_it_arrives_once_however_many_deliver_or_cancel(trader: Trader) -> None:
    for quantity in ("1", "2", "3"):
        sent(trader, quantity=quantity)
    first = Order.objects.order_by("id").first()
    assert first is not None
    time_passes(trader)
    cancelling = [lambda: cancel_order(account=ref(trader.account), order=OrderRef(order_id=first.pk))] * 2

    outcomes = at_once(*[lambda: deliver_orders(trader.account.pk)] * 6, *cancelling)

    statuses = Counter(Order.objects.values_list("status", flat=True))
    assert sum(outcome for outcome in outcomes[:6]) == statuses["filled"]
    assert statuses in ({"filled": 3}, {"filled": 2, "cancelled": 1})
    assert Fill.objects.values("order").distinct().count() == statuses["filled"]
    assert_whole(trader.account)


@pytest.mark.django_db(transaction=True)
def test_reservations_on_the_way_never_overspend(trader: Trader) -> None:
    """Each reserves 2,000 of 10,000."""
    placing = [lambda: place_order(account=ref(trader.account), symbol="BTC-USD", request=request("20"))] * 8

    outcomes = at_once(*placing)

    assert Counter(outcome for outcome in outcomes if isinstance(outcome, int)) == {3003: 3}
    assert balance(trader)["margin_available"] == "0"
    assert_whole(trader.account)
