"""The budget of calls to a venue, counted in Redis."""

import multiprocessing
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest

from astrade.core.redis import sync_client
from astrade.venues.budget import LOCAL_MOST, Budget, Cost
from astrade.venues.errors import Throttled

START = datetime(2026, 11, 21, tzinfo=UTC)
LIMIT = 1_000
CAPACITY = 300  # what the bucket holds of it
FLOW_PER_S = 650 / 60
NEWCOMERS = count(10_000)


class ManualClock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def budget(clock: ManualClock) -> Budget:
    return Budget(f"exchange-{uuid4()}", per_minute=LIMIT, clock=clock)


def takes(budget: Budget, cost: Cost = Cost.CANCEL, *, owner: int | None = 1, most: int = 2_000) -> int:
    """How many tokens an owner gets until it is denied."""
    for number in range(most):
        if not is_taken(budget, cost, owner=owner):
            return number
    return most


def is_taken(budget: Budget, cost: Cost = Cost.CANCEL, *, owner: int | None = 1, weight: int = 1) -> bool:
    try:
        budget.take(cost, owner=owner, weight=weight)
    except Throttled:
        return False
    return True


def takes_by_many(budget: Budget, cost: Cost) -> int:
    """How many tokens there are for so many owners that each needs but one."""
    return next(number for number in range(2_000) if not is_taken(budget, cost, owner=next(NEWCOMERS)))


def test_one_owner_gets_half_of_what_its_class_has_left(budget: Budget) -> None:
    assert takes(budget, Cost.CANCEL) == CAPACITY // 2
    assert takes(budget, Cost.CANCEL, owner=2) == CAPACITY // 4  # half of the rest, and so on


def test_reads_leave_a_fifth_and_orders_a_tenth(budget: Budget) -> None:
    assert takes_by_many(budget, Cost.READ) == CAPACITY * 8 // 10
    assert takes_by_many(budget, Cost.ORDER) == CAPACITY // 10
    assert takes_by_many(budget, Cost.CANCEL) == CAPACITY // 10
    assert not is_taken(budget, Cost.CANCEL, owner=5)


def test_no_minute_has_more_than_the_limit(budget: Budget, clock: ManualClock) -> None:
    """Greedy owners ask ten times a second, whatever minute is looked at."""
    taken: list[float] = []
    for tick in range(1_500):
        for owner in range(4):
            if is_taken(budget, owner=owner):
                taken.append(tick / 10)
        clock.move(0.1)
    worst = max(sum(begin <= at < begin + 60 for at in taken) for begin in taken[::20])
    assert CAPACITY < worst <= LIMIT * 0.95
    in_the_end = sum(at >= 90 for at in taken)
    assert abs(in_the_end - FLOW_PER_S * 60) < 20  # nothing that flows in is wasted


def test_who_asks_little_is_never_stopped_by_who_asks_much(budget: Budget, clock: ManualClock) -> None:
    got: Counter[int] = Counter()
    for tick in range(600):
        for owner in (1, 2, 3):
            got[owner] += sum(is_taken(budget, Cost.READ, owner=owner) for _ in range(5))
        if tick % 10 == 0:
            got[4] += is_taken(budget, Cost.READ, owner=4)
        clock.move(0.1)
    assert got[4] == 60  # each of its calls, one a second
    assert max(got[1], got[2], got[3]) <= 1.2 * min(got[1], got[2], got[3])  # the greedy ones share alike


def test_a_denial_says_when_to_ask_again_and_takes_nothing(budget: Budget, clock: ManualClock) -> None:
    takes_by_many(budget, Cost.CANCEL)
    for _ in range(3):
        with pytest.raises(Throttled) as denied:
            budget.take(Cost.CANCEL, owner=1)
        assert (denied.value.code, denied.value.status, denied.value.is_from_venue) == (1201, 429, False)
    assert denied.value.retry_after_s is not None
    clock.move(denied.value.retry_after_s)
    assert is_taken(budget)


def test_a_pause_stops_everyone_and_its_end_comes_gently(budget: Budget, clock: ManualClock) -> None:
    assert is_taken(budget)
    budget.pause(7)
    for cost in Cost:
        with pytest.raises(Throttled) as denied:
            budget.take(cost, owner=1)
        assert denied.value.retry_after_s == 7
    budget.pause(2)  # a later and shorter one doesn't end it
    clock.move(6.9)
    assert not is_taken(budget)
    clock.move(0.1)
    assert takes_by_many(budget, Cost.READ) == 1  # and no crowd of readers
    assert takes_by_many(budget, Cost.ORDER) == CAPACITY // 10
    assert is_taken(budget, Cost.CANCEL)


def test_a_pause_is_seen_by_other_processes(clock: ManualClock) -> None:
    host = f"exchange-{uuid4()}"
    Budget(host, per_minute=LIMIT, clock=clock).pause(3)
    assert not is_taken(Budget(host, per_minute=LIMIT, clock=clock))
    assert is_taken(Budget(f"{host}.other", per_minute=LIMIT, clock=clock))


def test_a_clock_that_lags_behind_another_lets_nothing_flow_in(clock: ManualClock, budget: Budget) -> None:
    takes_by_many(budget, Cost.CANCEL)
    clock.move(-30)
    assert not is_taken(budget)
    clock.move(31)
    assert 10 <= takes_by_many(budget, Cost.CANCEL) <= 11  # one second's


def _take_in_threads(host: str, owner: int, results: "multiprocessing.SimpleQueue[int]") -> None:
    budget = Budget(host, per_minute=LIMIT, clock=ManualClock())
    with ThreadPoolExecutor(4) as pool:
        results.put(sum(pool.map(lambda n: is_taken(budget, owner=owner * 1_000 + n), range(100))))


def test_processes_and_threads_share_one_bucket_exactly() -> None:
    host, context = f"exchange-{uuid4()}", multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    workers = [context.Process(target=_take_in_threads, args=(host, number, results)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert sum(results.get() for _ in workers) == CAPACITY


async def test_event_loops_take_from_the_same_bucket(budget: Budget) -> None:
    for number in range(CAPACITY):
        await budget.take_async(Cost.CANCEL, owner=number)
    with pytest.raises(Throttled):
        await budget.take_async(Cost.CANCEL, owner=1)
    assert not is_taken(budget, owner=2)
    await budget.pause_async(1)


@pytest.fixture
def no_redis(settings: Any) -> Iterator[None]:
    """A Redis that isn't there."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    sync_client.cache_clear()
    yield
    sync_client.cache_clear()


def test_without_redis_reads_wait_and_some_orders_and_cancels_go(no_redis: None, clock: ManualClock) -> None:
    budget = Budget("exchange", per_minute=LIMIT, clock=clock)
    assert not is_taken(budget, Cost.READ)
    assert takes(budget, Cost.CANCEL) == LOCAL_MOST
    assert not is_taken(budget, Cost.ORDER)
    clock.move(1)
    assert takes(budget, Cost.ORDER) == 2
    budget.pause(5)  # nobody to tell
    clock.move(1)
    assert is_taken(budget, Cost.CANCEL)


async def test_without_redis_the_same_on_an_event_loop(no_redis: None, clock: ManualClock) -> None:
    budget = Budget("exchange", per_minute=LIMIT, clock=clock)
    with pytest.raises(Throttled):
        await budget.take_async(Cost.READ, owner=None)
    await budget.take_async(Cost.CANCEL, owner=None)
    await budget.pause_async(5)


def test_a_call_takes_what_it_weighs(budget: Budget) -> None:
    for owner in range(3):
        assert is_taken(budget, owner=owner, weight=80)
    assert not is_taken(budget, owner=4, weight=80) and is_taken(budget, owner=4, weight=60)


async def test_what_the_venue_counts_leaves_no_more_than_the_rest(budget: Budget, clock: ManualClock) -> None:
    assert is_taken(budget, owner=1)
    await budget.note_async(100)  # far from the limit: nothing changes
    assert is_taken(budget, owner=2, weight=200)
    await budget.note_async(900)  # others use the same address: 95 % of the limit less that are left
    assert is_taken(budget, owner=3, weight=50) and not is_taken(budget, owner=4)
    clock.move(1)
    assert is_taken(budget, owner=5)


def test_a_long_ban_is_not_forgotten(budget: Budget) -> None:
    budget.take(Cost.CANCEL, owner=1)
    budget.pause(3 * 24 * 3_600)
    assert sync_client().pttl(budget._keys[0]) > 3 * 24 * 3_600 * 1_000
    with pytest.raises(Throttled) as banned:
        budget.take(Cost.CANCEL, owner=1)
    assert banned.value.retry_after_s == 3 * 24 * 3_600
