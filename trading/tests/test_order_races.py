"""Replace, fill, cancel, expiry and the dead-man switch of the same orders, all at once on real rows."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from marketdata import live
from trading.domain.lifecycle import Side, TimeInForce
from trading.domain.replacing import Changes
from trading.loading import OrderRef
from trading.models import DeadManSwitch, Event, Fill, Order, OrderRefusal, Position, TradingAccount
from trading.services.due import expire_orders, fire_switch, set_switch
from trading.services.orders import cancel_order, cancel_orders, fill_resting_order
from trading.services.replacing import replace_order
from trading.tests.conftest import Feed
from trading.tests.factories import D, open_account, place, ref
from trading.tests.test_concurrency import assert_whole, at_once, matched

pytestmark = pytest.mark.django_db(transaction=True)
Call = Callable[[], Any]
ROUNDS = 5


@pytest.fixture
def account(feed: Feed) -> TradingAccount:
    """10,000, and a market around 100."""
    return open_account()


def resting(account: TradingAccount, **changes: Any) -> Order:
    """An order to buy 1 at 95."""
    placed = place(account, "1", **{"price": "95"} | changes)
    return Order.objects.get(uuid=placed.body["id"])


def replacing(order: Order, *, price: str, version: int | None = None, quantity: str | None = None) -> Call:
    """A call that replaces it."""
    changes = Changes(price=D(price), quantity=None if quantity is None else D(quantity))
    owner = order.account
    return lambda: replace_order(
        account=ref(owner), order=OrderRef(order_id=order.pk), changes=changes, version=version
    )


def test_replaces_of_one_version_are_one_replace(account: TradingAccount) -> None:
    order = resting(account)
    calls = [replacing(order, price=str(85 + n), version=order.version) for n in (6, 7, 8, 9, 11, 12, 13, 14)]

    outcomes = at_once(*calls)

    assert Counter(outcome if isinstance(outcome, int) else "replaced" for outcome in outcomes) == {
        "replaced": 1,
        1006: len(calls) - 1,
    }
    assert OrderRefusal.objects.count() == len(calls) - 1
    assert_whole(account)


def test_replace_and_fill_leave_one_outcome(account: TradingAccount) -> None:
    """Either it filled at its old price and the replace came too late, or it waits at the new one."""
    for _ in range(ROUNDS):
        order = resting(account)
        outcomes = at_once(*[replacing(order, price="92", version=order.version)] * 2, *[reached(order)] * 3)
        order.refresh_from_db()
        if order.status == "filled":
            assert [fill.price for fill in order.fills.all()] == [95]
            assert Counter(map(str, outcomes)) == {"3010": 2, "True": 1, "False": 2}
        else:
            assert (order.status, order.price, order.filled_quantity) == ("open", 92, 0)
            assert outcomes[2:] == [False] * 3
            cancel_order(account=ref(account), order=OrderRef(order_id=order.pk))
    assert_whole(account)


def reached(order: Order) -> Call:
    """A matcher's booking of a price that traded through the order as its memory has it."""
    view, quotes = live.view_of("BTC-USD")
    assert order.price is not None
    admitted = (order.price, order.admitted_sequence)
    return lambda: fill_resting_order(
        account_id=order.account_id,
        order_id=order.pk,
        book=view.book,
        quotes=quotes,
        traded_through=True,
        admitted=admitted,
    )


def test_cancel_and_replace_leave_one_outcome(account: TradingAccount) -> None:
    for _ in range(ROUNDS):
        order = resting(account)
        cancels = [lambda order=order: cancel_order(account=ref(account), order=OrderRef(order_id=order.pk))] * 2

        *outcomes, _, _ = at_once(*cancels, *[replacing(order, price="92")] * 2)

        order.refresh_from_db()
        assert order.status == "cancelled"
        assert Counter(outcome if isinstance(outcome, int) else "cancelled" for outcome in outcomes) == {
            "cancelled": 1,
            3010: 1,
        }
    assert_whole(account)


def test_expiry_and_fill_leave_one_outcome(account: TradingAccount) -> None:
    """Its time is over, so whoever comes first ends it; a fill that is decided later does not happen."""
    for _ in range(ROUNDS):
        ends = timezone.now() + timedelta(hours=1)
        order = resting(account, time_in_force=TimeInForce.GTT, expires_at=ends)
        Order.objects.filter(pk=order.pk).update(expires_at=timezone.now())
        expiries = [lambda: expire_orders(account.pk)] * 3

        at_once(*[matched(order)] * 3, *expiries)

        order.refresh_from_db()
        assert (order.status, order.reason, order.filled_quantity) == ("expired", "expired", 0)
        moves = list(order.transitions.order_by("id").values_list("to_status", flat=True))
        assert moves == ["open", "expired"]
    assert Fill.objects.count() == 0
    assert_whole(account)


def test_cancel_all_from_many_sides_cancels_each_once(account: TradingAccount) -> None:
    for n in range(12):
        resting(account, price=str(91 + n % 5))

    outcomes = at_once(*[lambda: cancel_orders(account=ref(account))] * 6)

    assert sum(len(cancelled) for cancelled in outcomes) == 12
    assert Order.objects.filter(status="cancelled").count() == 12
    assert_whole(account)


def test_switch_fires_once_and_a_renewal_in_time_saves_the_orders(account: TradingAccount) -> None:
    for _ in range(ROUNDS):
        resting(account)
        set_switch(account=ref(account), timeout_s=60)
        DeadManSwitch.objects.update(fires_at=timezone.now())

        *fired, _ = at_once(
            *[lambda: fire_switch(account.pk)] * 4, lambda: set_switch(account=ref(account), timeout_s=60)
        )

        left = Order.objects.filter(status="open").count()
        assert sorted(fired) == ([0, 0, 0, 0] if left else [0, 0, 0, 1])
        cancel_orders(account=ref(account))
    events = Event.objects.filter(kind="dead_man_switch", data__state="fired").count()
    assert events == Order.objects.filter(reason="dead_man_switch").count()
    assert_whole(account)


def test_buys_and_sells_that_meet_never_both_rest_across(account: TradingAccount, feed: Feed) -> None:
    """Resting both at 100 would be a trade with oneself: whichever came later ended the earlier."""
    sides = [Side.BUY, Side.SELL] * 6

    at_once(*[lambda side=side: place(account, "0.1", price="100", side=side) for side in sides])

    left = {order.side for order in Order.objects.filter(status="open")}
    assert len(left) == 1
    ended = Order.objects.exclude(status="open")
    assert {order.reason for order in ended} <= {"self_trade_prevention"}
    assert Position.objects.filter(account=account).exclude(quantity=0).count() == 0
    assert_whole(account)


def test_replaces_that_together_exceed_the_balance_never_overdraw_it(account: TradingAccount) -> None:
    """Ten orders of 95 each; each may grow to 2,850, and three of them fit."""
    orders = [resting(account) for _ in range(10)]

    outcomes = at_once(*[replacing(order, price="95", quantity="30") for order in orders])

    grown = [outcome for outcome in outcomes if outcome != 3003]
    assert len(grown) == 3
    balances = Event.objects.filter(account=account, kind="balance_update")
    assert all(D(event.data["margin_available"]) >= 0 for event in balances)
    assert_whole(account)
