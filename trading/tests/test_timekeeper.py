"""The timekeeper end to end: real rows become due by the database's clock, and are done once."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from astrade.core.leases import acquire, release
from trading.domain.lifecycle import TimeInForce
from trading.models import DeadManSwitch, Event, Order, OrderTransition, TradingAccount
from trading.services.arrivals import arrivals
from trading.services.due import due_work, set_switch
from trading.tests.conftest import Feed
from trading.tests.factories import open_account, place, ref
from trading.tests.test_concurrency import assert_whole
from trading.timekeeper import LEASE, timekeeper_runners

pytestmark = pytest.mark.django_db(transaction=True)
WITHIN_S = 20.0


@contextmanager
def keeping(count: int = 1) -> Iterator[None]:
    """All timekeepers, so many times, in a thread of their own, as in `streams`."""
    keepers = [keeper for _ in range(count) for keeper in timekeeper_runners()]
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        asyncio.get_running_loop().set_default_executor(leases)
        await asyncio.gather(*(keeper.run(stop) for keeper in keepers))

    leases = ThreadPoolExecutor(1)
    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(WITHIN_S)
        leases.submit(connections.close_all)
        leases.shutdown()
        loop.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    give_up_at = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < give_up_at, "it never happened"
        time.sleep(0.02)


@pytest.fixture
def account(feed: Feed) -> TradingAccount:
    """10,000, and a market around 100."""
    return open_account()


def good_for(account: TradingAccount, seconds: float) -> Order:
    """A resting order that ends so many seconds from now; a negative number is one that nobody expired in time."""
    ends = timezone.now() + timedelta(seconds=max(seconds, 60))
    placed = place(account, "1", price="95", time_in_force=TimeInForce.GTT, expires_at=ends)
    Order.objects.filter(uuid=placed.body["id"]).update(expires_at=timezone.now() + timedelta(seconds=seconds))
    return Order.objects.get(uuid=placed.body["id"])


def test_an_order_expires_within_a_second_or_so_of_its_moment(account: TradingAccount) -> None:
    with keeping():
        order = good_for(account, 1.5)
        until(lambda: not Order.objects.filter(status="open").exists())

    ended = OrderTransition.objects.get(to_status="expired")
    assert 0 <= (ended.at - order.expires_at).total_seconds() < 2  # type: ignore[operator]
    assert_whole(account)


def test_what_became_due_while_nobody_ran_is_done_at_once(account: TradingAccount) -> None:
    others = [open_account() for _ in range(3)]
    for owner in (account, *others):
        for _ in range(2):
            good_for(owner, -3600)
    place(account, "1", price="94")
    set_switch(account=ref(others[0]), timeout_s=60)
    DeadManSwitch.objects.update(fires_at=timezone.now() - timedelta(hours=1))

    with keeping():
        until(lambda: Order.objects.filter(status="open").count() == 1)
        until(lambda: DeadManSwitch.objects.get().fires_at is None)

    assert Order.objects.get(status="open").price == 94
    assert DeadManSwitch.objects.get().fired_at is not None
    for owner in (account, *others):
        assert_whole(owner)


def test_two_timekeepers_by_mistake_do_nothing_twice(account: TradingAccount) -> None:
    for _ in range(5):
        good_for(account, -1)
    set_switch(account=ref(account), timeout_s=60)
    DeadManSwitch.objects.update(fires_at=timezone.now())

    with keeping(2):
        until(lambda: not Order.objects.filter(status="open").exists())
        until(lambda: DeadManSwitch.objects.get().fires_at is None)

    assert OrderTransition.objects.exclude(to_status="open").count() == 5
    told = Event.objects.filter(kind="dead_man_switch").order_by("sequence")
    assert [event.data["state"] for event in told] == ["on", "fired"]
    assert_whole(account)


def test_it_waits_for_the_lease_that_another_process_holds(account: TradingAccount) -> None:
    token = acquire(LEASE, holder="another")
    order = good_for(account, -1)
    assert token is not None

    with keeping():
        time.sleep(0.8)  # longer than a look
        order.refresh_from_db()
        assert order.status == "open"
        release(LEASE, holder="another", token=token)
        until(lambda: Order.objects.get().status == "expired")


def test_one_account_that_cannot_be_helped_holds_up_nobody(account: TradingAccount) -> None:
    """The first order's market is gone from the catalogue: its booking fails each time."""
    broken, whole = good_for(account, -10), good_for(open_account(), -1)
    Order.objects.filter(pk=broken.pk).update(market_id=broken.market_id + 1000)

    with keeping():
        until(lambda: Order.objects.get(pk=whole.pk).status == "expired")

    assert Order.objects.get(pk=broken.pk).status == "open"


@pytest.mark.parametrize("count", [1, 2])
def test_orders_with_latency_arrive_by_themselves(account: TradingAccount, count: int) -> None:
    """One that was due while nobody ran at once, another one after its latency."""
    TradingAccount.objects.filter(pk=account.pk).update(simulated_latency_ms=400)
    overdue = Order.objects.get(uuid=place(account, "1").body["id"])
    until(lambda: timezone.now() > overdue.arrives_at)  # type: ignore[operator]
    assert Order.objects.get(pk=overdue.pk).status == "submitted"

    with keeping(count):
        until(lambda: Order.objects.get(pk=overdue.pk).status == "filled")
        order = Order.objects.get(uuid=place(account, "1").body["id"])
        until(lambda: Order.objects.get(pk=order.pk).status == "filled")

    decided = OrderTransition.objects.get(order=order, to_status="filled")
    assert 0.4 <= (decided.at - order.created_at).total_seconds() < 2
    assert_whole(account)


def test_streams_runs_one_of_each() -> None:
    assert [runner.name for runner in timekeeper_runners()] == ["timekeeper", "arrivals", "venue_slices"]


def test_what_is_due_is_found_by_its_indexes(account: TradingAccount) -> None:
    with CaptureQueriesContext(connection) as asked:
        due_work()
        arrivals()

    with transaction.atomic(), connection.cursor() as cursor:
        for other_way in ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin"):  # as cheap in tables without rows
            cursor.execute(f"SET LOCAL enable_{other_way} = off")
        plans = ""
        for query in asked:
            cursor.execute(f"EXPLAIN {query['sql']}")
            plans += "\n".join(line for (line,) in cursor.fetchall())
    for index in (
        "order_live_by_expiry",
        "dead_man_switch_armed",
        "twap_due",
        "order_on_its_way",
        "adjustment_by_expiry",
    ):
        assert f"using {index} on" in plans
    assert "Disabled: true" not in plans
