"""TWAP orders under the timekeeper: a restart in the middle, two of it by mistake, and calls that race with it."""

from collections.abc import Callable
from typing import Any

import pytest

from trading.domain.slicing import TwapState
from trading.loading import OrderRef
from trading.models import Event, Fill, Order, OrderTransition, TradingAccount, TwapPlan
from trading.services.orders import cancel_order, cancel_orders
from trading.services.twap import due_slices, pause_order, resume_order, run_due_slices
from trading.tests.conftest import Feed
from trading.tests.factories import open_account, place, ref
from trading.tests.test_concurrency import assert_whole, at_once
from trading.tests.test_timekeeper import keeping, until
from trading.tests.twaps import pass_time, place_twap

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 4


@pytest.fixture
def account(feed: Feed, settings: Any) -> TradingAccount:
    """10,000, and a market around 100 whose prices stay fresh on however slow a machine."""
    settings.FEED_STALE_AFTER_S = 120
    return open_account()


def filled(order: Order) -> int:
    """How much of it is filled."""
    return int(Order.objects.get(pk=order.pk).filled_quantity)


def slices_are_once(account: TradingAccount, order: Order) -> None:
    """As many orders and fills as slices traded, named one way each, and not a digit out of place."""
    children = Order.objects.filter(parent=order).order_by("id")
    names = list(children.values_list("client_order_id", flat=True))
    assert len(set(names)) == len(names) == TwapPlan.objects.get(order=order).executed_slices
    assert sum(fill.quantity for fill in Fill.objects.filter(order__parent=order)) == filled(order)
    assert_whole(account)


def test_a_restart_goes_on_where_it_was(account: TradingAccount, feed: Feed) -> None:
    order = place_twap(account)
    for number in range(1, 7):
        feed(sequence=number)
        with keeping():  # a timekeeper of its own for each slice: nothing is known from before
            until(lambda number=number: filled(order) == number)  # type: ignore[misc]
        pass_time(10)

    order.refresh_from_db()
    assert order.status == "filled"
    slices_are_once(account, order)


def test_what_became_due_while_nobody_ran_is_one_slice_of_bounded_size(account: TradingAccount) -> None:
    order = place_twap(account)
    pass_time(42)

    with keeping():
        until(lambda: filled(order) > 0)

    assert (filled(order), TwapPlan.objects.get().next_slice) == (3, 5)
    slices_are_once(account, order)


def test_two_timekeepers_by_mistake_trade_each_slice_once(account: TradingAccount, feed: Feed) -> None:
    orders = [place_twap(owner) for owner in (account, open_account(), open_account())]
    for number in range(1, 7):
        feed(sequence=number)
        with keeping(2):
            until(lambda number=number: all(filled(order) == number for order in orders))  # type: ignore[misc]
        pass_time(10)

    for order in orders:
        assert Order.objects.filter(parent=order).count() == 6
        slices_are_once(order.account, order)


def test_the_same_slices_at_once_trade_once(account: TradingAccount) -> None:
    order = place_twap(account)
    for number in range(1, 7):
        at_once(*[lambda: run_due_slices(account.pk)] * 6)
        assert Order.objects.filter(parent=order).count() == number
        pass_time(10)

    assert filled(order) == 6
    slices_are_once(account, order)


def test_a_cancel_races_with_a_slice(account: TradingAccount) -> None:
    """Whichever comes first, nothing trades after the cancel."""
    for _ in range(ROUNDS):
        order = place_twap(account)
        named = OrderRef(order_id=order.pk)
        calls: list[Callable[[], object]] = [lambda: run_due_slices(account.pk)] * 3
        at_once(*calls, lambda: cancel_order(account=ref(account), order=named))  # noqa: B023 - run at once

        order.refresh_from_db()
        assert order.status == "cancelled"
        last = OrderTransition.objects.filter(order=order).latest("id")
        assert (last.to_status, TwapPlan.objects.get(order=order).due_at) == ("cancelled", None)
        slices_are_once(account, order)


def test_pauses_resumes_slices_and_orders_of_the_account_at_once(account: TradingAccount) -> None:
    order = place_twap(account)
    named = OrderRef(order_id=order.pk)
    for _ in range(ROUNDS):
        at_once(
            *[lambda: run_due_slices(account.pk)] * 2,
            *[lambda: pause_order(account=ref(account), order=named)] * 2,
            *[lambda: resume_order(account=ref(account), order=named)] * 2,
            lambda: place(account, "1"),
        )
        pass_time(5)

    resume_order(account=ref(account), order=named)
    cancel_orders(account=ref(account))
    slices_are_once(account, order)
    sequences = Event.objects.filter(account=account).order_by("sequence").values_list("sequence", flat=True)
    assert list(sequences) == list(range(1, len(sequences) + 1))


def test_a_clock_that_was_set_back_trades_nothing_twice(account: TradingAccount) -> None:
    order = place_twap(account)
    run_due_slices(account.pk)

    pass_time(-3600)
    assert (due_slices(at_most=9), run_due_slices(account.pk)) == ([], 0)
    pass_time(3610)
    run_due_slices(account.pk)

    assert filled(order) == 2
    slices_are_once(account, order)


def test_the_row_and_its_times_agree(account: TradingAccount) -> None:
    order = place_twap(account, jitter="0.3")
    run_due_slices(account.pk)
    pass_time(7)

    plan = TwapPlan.objects.get(order=order)
    state: TwapState | None = Order.objects.select_related("plan").get(pk=order.pk).twap
    assert state is not None
    assert plan.due_at == state.next_at
