"""How a TWAP order is cut into slices: pure arithmetic of quantity, time and seed."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.domain.slicing import CATCH_UP, TwapState, TwapTerms, planned_quantity, resume, smallest_slice
from trading.tests.factories import AT, D

STEP = D("0.001")
ANY_PACE = settings(deadline=None)
plans = st.builds(
    lambda slices, every_s, extra_s, jitter, seed: plan(
        duration_s=slices * every_s + extra_s, slices=slices, jitter=D(jitter).scaleb(-4), seed=seed
    ),
    slices=st.integers(2, 60) | st.just(1000),
    every_s=st.integers(5, 80),
    extra_s=st.integers(0, 50),
    jitter=st.integers(0, 5000),
    seed=st.integers(0, 2**63 - 1),
)
quantities = st.integers(1000, 10**9).map(lambda steps: steps * STEP)


def plan(**changes: object) -> TwapState:
    """Six slices in a minute from noon on, at the very second."""
    values = {"duration_s": 60, "slices": 6, "jitter": D(0), "seed": 1, "starts_at": AT, "reserve_price": D(100)}
    return TwapState(**{**values, **changes})  # type: ignore[arg-type]


def at(seconds: float) -> object:
    """So many seconds after noon."""
    return AT + timedelta(seconds=seconds)


@ANY_PACE
@given(plans)
def test_times_rise_within_the_duration_each_in_its_own_part(plan: TwapState) -> None:
    times = [plan.slice_at(number) for number in range(plan.slices)]
    part_us = Fraction(plan.duration_s * 10**6, plan.slices)

    assert times == sorted(set(times))
    for number, time in enumerate(times):
        delay_us = (time - plan.starts_at) // timedelta(microseconds=1) - part_us * number
        assert 0 <= delay_us < part_us * Fraction(plan.jitter) + 1
    assert times[-1] < plan.ends_at


@ANY_PACE
@given(plans, st.integers(-10, 90_000 * 1000))
def test_a_slice_has_passed_exactly_when_its_time_has_come(plan: TwapState, after_ms: int) -> None:
    now = plan.starts_at + timedelta(milliseconds=after_ms)

    assert plan.passed(now) == sum(plan.slice_at(number) <= now for number in range(plan.slices))


@ANY_PACE
@given(plans, st.integers(0, 999))
def test_a_slice_is_due_at_its_own_microsecond(plan: TwapState, number: int) -> None:
    number %= plan.slices

    moment = plan.slice_at(number)
    assert (plan.passed(moment), plan.passed(moment - timedelta(microseconds=1))) == (number + 1, number)


@ANY_PACE
@given(quantities, st.integers(2, 1000))
def test_slices_are_equal_to_a_step_and_sum_to_the_quantity(quantity: Decimal, slices: int) -> None:
    sums = [planned_quantity(quantity, step=STEP, slices=slices, passed=number) for number in range(slices + 1)]
    sizes = [after - before for before, after in pairwise(sums)]

    assert (sums[0], sum(sizes)) == (0, quantity)
    assert max(sizes) - min(sizes) <= STEP
    assert min(sizes) == smallest_slice(quantity, step=STEP, slices=slices) > 0
    assert all(size % STEP == 0 for size in sizes)


@ANY_PACE
@given(plans, quantities, st.lists(st.tuples(st.integers(1, 5), st.integers(0, 100)), max_size=60))
def test_what_falls_short_is_carried_over_and_caught_up_with_by_and_by(
    plan: TwapState, quantity: Decimal, script: list[tuple[int, int]]
) -> None:
    """However many slices come together and however little of each is filled: never above plan, never a burst."""
    filled, passed = D(0), 0
    sizes = quantity // STEP // plan.slices * STEP + STEP
    for skipped, percent in script:
        passed = min(passed + skipped, plan.slices)
        due = plan.due_quantity(quantity=quantity, filled=filled, step=STEP, passed=passed)
        planned = planned_quantity(quantity, step=STEP, slices=plan.slices, passed=passed)
        assert 0 <= due <= CATCH_UP * sizes
        assert due == planned - filled or due >= CATCH_UP * smallest_slice(quantity, step=STEP, slices=plan.slices)
        filled += due * percent // 100 // STEP * STEP
        assert filled <= planned


def test_a_seed_gives_the_same_times_and_another_one_others() -> None:
    times = [[plan(jitter=D("0.5"), seed=seed).slice_at(number) for number in range(6)] for seed in (7, 7, 8)]

    assert times[0] == times[1]
    assert all(one != other for one, other in zip(times[0], times[2], strict=True))


def test_a_plain_plan() -> None:
    simple = plan()

    assert [simple.slice_at(number) for number in range(6)] == [at(0), at(10), at(20), at(30), at(40), at(50)]
    assert (simple.next_at, simple.ends_at) == (at(0), at(60))
    simple.next_slice = 6
    assert simple.next_at == at(60)
    sizes = [planned_quantity(D(1), step=STEP, slices=6, passed=number) for number in range(1, 7)]
    assert sizes == [D("0.166"), D("0.333"), D("0.5"), D("0.666"), D("0.833"), D(1)]


def test_two_overdue_slices_are_one_and_five_are_at_most_three() -> None:
    def due(passed: int) -> Decimal:
        return plan().due_quantity(quantity=D(6), filled=D(1), step=STEP, passed=passed)

    assert [due(passed) for passed in (2, 3, 4, 5, 6)] == [D(1), D(2), D(3), D(3), D(3)]


@ANY_PACE
@given(plans, st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_pause_moves_all_that_is_to_come(plan: TwapState, elapsed_s: int, paused_s: int) -> None:
    before, paused_at = [plan.slice_at(number) for number in range(plan.slices)], plan.starts_at
    paused_at += timedelta(seconds=elapsed_s)
    plan.paused_at, passed = paused_at, plan.passed(paused_at)

    resume(plan, now=paused_at + timedelta(seconds=paused_s))

    assert [plan.slice_at(number) - timedelta(seconds=paused_s) for number in range(plan.slices)] == before
    assert plan.passed(paused_at + timedelta(seconds=paused_s)) == passed


def test_resuming_what_runs_changes_nothing() -> None:
    running = plan()
    resume(running, now=AT + timedelta(seconds=5))
    assert running == plan()


@pytest.mark.parametrize("jitter", ["0.1", "0.10", "1E-1"])
def test_terms_are_spelled_one_way(jitter: str) -> None:
    assert str(TwapTerms(duration_s=60, slices=6, jitter=D(jitter))) == "6 slices in 60 s, jitter 0.1"
