"""TWAP orders of an account at a venue: their slices go there one after the other, the order adds them up."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.models import F

from astrade.tests.live.trader import Trader
from trading.models import Order, TwapPlan
from trading.services.due import venue_work

TWAP = {"type": "twap", "quantity": "0.04", "price": None, "time_in_force": None}


@pytest.fixture
def twap(trader: Trader) -> Order:
    answer = trader.place(**TWAP, twap={"duration_s": 60, "slices": 4})
    assert (answer.status, answer.data["status"]) == (201, "open")
    assert trader.there.orders == {}
    return Order.objects.get()


def pass_time(seconds: int) -> None:
    moved = timedelta(seconds=seconds)
    TwapPlan.objects.update(starts_at=F("starts_at") - moved, due_at=F("due_at") - moved)


def run() -> None:
    for due in venue_work():
        due.run(due.account_id)


def test_its_slices_are_sent_and_added_up(trader: Trader, twap: Order) -> None:
    for _ in range(4):
        run()
        run()
        trader.sync()
        pass_time(15)
        trader.prices()

    twap.refresh_from_db()
    assert (twap.status, twap.filled_quantity, twap.plan.executed_slices) == ("filled", Decimal("0.04"), 4)
    slices = Order.objects.filter(parent=twap)
    assert [(one.source, one.quantity) for one in slices] == [("twap", Decimal("0.01"))] * 4
    assert twap.fee == sum(one.fee for one in slices)
    assert trader.differences() == []


def test_a_slice_whose_answer_was_lost_holds_the_next_one_back(trader: Trader, twap: Order) -> None:
    trader.venue.exchange.switch_faults("reset_after_accept")
    run()
    trader.venue.exchange.switch_faults("")
    pass_time(15)
    run()
    assert len(trader.there.orders) == 1

    trader.settle()
    pass_time(15)
    run()
    trader.sync()

    twap.refresh_from_db()
    assert (twap.status, twap.filled_quantity) == ("partially_filled", Decimal("0.03"))
    assert trader.differences() == []


def test_a_cancel_ends_it_here_and_nothing_more_is_sent(trader: Trader, twap: Order) -> None:
    run()

    answer = trader.call("DELETE", f"/orders/{twap.uuid}")
    trader.sync()
    pass_time(15)
    run()

    assert (answer.status, answer.data["status"]) == (200, "cancelled")
    twap.refresh_from_db()
    assert (twap.status, twap.filled_quantity) == ("cancelled", Decimal("0.01"))
    assert len(trader.there.orders) == 1
    assert trader.differences() == []


def test_all_orders_are_cancelled_here_and_there(trader: Trader, twap: Order) -> None:
    trader.place()

    answer = trader.call("DELETE", "/orders")
    trader.sync()

    assert answer.status == 202
    assert {order.status for order in Order.objects.all()} == {"cancelled"}
    assert trader.differences() == []
