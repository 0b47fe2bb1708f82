"""Random books and orders: what an order gets is a function of its inputs, never better than the book, and its basis
alone gives it again (DESIGN §5.10).
"""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrade.core.messages import BookSnapshot, Level, MarketView, Quote
from trading.domain.fill_basis import Basis, basis_of_rest, basis_of_take, digest_of, recompute
from trading.domain.lifecycle import Side
from trading.domain.shapes import FillRules
from trading.domain.simulator import (
    CLASSIC_FEE_MIN,
    Execution,
    Profile,
    Taking,
    Waiting,
    fee_of,
    levels_against,
    rest,
    take,
)
from trading.tests.factories import AT, D

CENT = D("0.000001")


def scaled(low: int, high: int, *, places: int) -> st.SearchStrategy[Decimal]:
    """Decimals of a grid."""
    return st.integers(low, high).map(lambda n: Decimal(n).scaleb(-places))


def ladder(side: int) -> st.SearchStrategy[tuple[Level, ...]]:
    """Levels of one side around 1,000: rising asks or falling bids, with sizes off the step too."""
    gaps = st.lists(st.integers(1, 40), min_size=1, max_size=12)
    sizes = st.lists(scaled(1, 50_000, places=4), min_size=12, max_size=12)

    def made(drawn: tuple[list[int], list[Decimal]]) -> tuple[Level, ...]:
        price, found = 100_000, []
        for gap, size in zip(*drawn, strict=False):
            price += side * gap
            found.append((Decimal(price).scaleb(-2), size))
        return tuple(found)

    return st.tuples(gaps, sizes).map(made)


books = st.builds(BookSnapshot, st.just("X"), st.just(7), ladder(-1), ladder(1), st.just(AT))
rules = st.builds(
    SimpleNamespace,
    tick_size=st.just(D("0.01")),
    step_size=st.sampled_from([D("0.001"), D("0.01"), D("0.5")]),
    maker_fee_rate=scaled(0, 1000, places=6),
    taker_fee_rate=scaled(0, 1000, places=6),
    spread=scaled(0, 100, places=5),
    slippage_factor=scaled(0, 300, places=2),
)
sides, profiles = st.sampled_from(Side), st.sampled_from(Profile)
quantities = st.integers(1, 80).map(lambda halves: halves * D("0.5"))  # whole steps of each market
prices = scaled(99_700, 100_300, places=2)


def view_of(book: BookSnapshot) -> MarketView:
    """The market whose book this is."""
    bid, ask = book.bids[0][0], book.asks[0][0]
    return MarketView(Quote("X", last=bid, mark=bid, index=ask, bid=bid, ask=ask, at=AT), book, D(0))


takings = st.builds(
    Taking,
    profile=profiles,
    side=sides,
    quantity=quantities,
    limit=st.none() | prices,
    protection=st.sampled_from([D(1), D(1000), D(5000)]),
    taken=scaled(0, 20_000, places=3),
    seed=st.integers(0, 2**63 - 1),
    stop=st.none() | prices,
)
waitings = st.builds(
    Waiting,
    profile=profiles,
    side=sides,
    quantity=quantities,
    price=prices,
    traded_through=st.booleans(),
    taken=scaled(0, 5_000, places=3),
    traded=scaled(0, 60_000, places=4),
    ahead=st.none() | scaled(0, 20_000, places=4),
)


def stored(basis: Basis) -> Any:
    """As it comes back from a jsonb column, which keeps no order of keys."""
    return orjson.loads(orjson.dumps(dict(reversed(basis.items()))))


@given(rules, books, takings)
def test_a_taker_gets_the_same_again_and_from_its_basis_too(market: Any, book: BookSnapshot, wanted: Taking) -> None:
    view = view_of(book)
    made = take(market, view, wanted)

    assert repr(take(market, view, wanted)) == repr(made)
    if made:
        basis = stored(basis_of_take(view, wanted, rules_id=3, executions=made))
        assert recompute(basis, market, side=wanted.side, seed=wanted.seed) == made
        assert basis["digest"] == digest_of(basis)
        assert (basis["rules"], basis["book"]) == (3, 7)


@given(rules, books, waitings)
def test_a_resting_order_gets_the_same_again_and_from_its_basis_too(
    market: Any, book: BookSnapshot, waiting: Waiting
) -> None:
    rested = rest(market, book, waiting)

    assert repr(rest(market, book, waiting)) == repr(rested)
    if rested:
        basis = stored(basis_of_rest(book, waiting, rules_id=3, step=market.step_size))
        assert recompute(basis, market, side=waiting.side, seed=0) == [rested.execution]


def test_enough_of_the_book_is_kept_where_levels_hold_dust() -> None:
    """0.7, 0.8 and 2 in steps of 0.5: the first two hold 1, not 1.5."""
    market = SimpleNamespace(step_size=D("0.5"), maker_fee_rate=D(0))
    dusty = BookSnapshot("X", 7, (), ((D(1), D("0.7")), (D(2), D("0.8")), (D(3), D(2)), (D(4), D(2))), AT)
    waiting = Waiting(
        profile=Profile.REALISTIC, side=Side.BUY, quantity=D("1.5"), price=D(9), traded_through=False, taken=D(0)
    )

    rested = rest(market, dusty, waiting)
    basis = basis_of_rest(dusty, waiting, rules_id=3, step=market.step_size)

    assert rested is not None
    assert rested.execution.quantity == D("1.5")
    assert [price for price, _ in basis["levels"]] == ["1", "2", "3"]
    assert recompute(basis, market, side=Side.BUY, seed=0) == [rested.execution]


@given(rules, books, takings)
def test_no_more_of_the_book_is_kept_than_was_looked_at(market: Any, book: BookSnapshot, wanted: Taking) -> None:
    made = take(market, view_of(book), wanted)
    if made and wanted.profile is Profile.REALISTIC:
        basis = basis_of_take(view_of(book), wanted, rules_id=3, executions=made)
        shown = [Decimal(price) for price, _ in basis["levels"]]
        assert shown == [price for price, _ in levels_against(book, wanted.side)][: len(shown)]
        assert shown[-1] == made[-1].price


@given(rules, books, takings)
def test_no_taker_does_better_than_the_book_offered(market: Any, book: BookSnapshot, wanted: Taking) -> None:
    """Each execution stands at a level, all together at no level more than it holds, the best ones first."""
    made = take(market, view_of(book), wanted)
    total = sum((execution.quantity for execution in made), D(0))
    assert total <= wanted.quantity
    if wanted.profile is Profile.REALISTIC:
        sizes, sign = dict(levels_against(book, wanted.side)), wanted.side.sign
        bound = wanted.protection if wanted.limit is None else wanted.limit
        assert all(execution.quantity <= sizes[execution.price] for execution in made)
        assert [e.price * sign for e in made] == sorted({e.price * sign for e in made})
        assert bound is None or all(execution.price * sign <= bound * sign for execution in made)
        whole = sum((q for p, q in sizes.items() if bound is None or p * sign <= bound * sign), D(0))
        assert total <= max(D(0), whole - wanted.taken)
    elif made:
        assert total == wanted.quantity


@given(rules, books, waitings)
def test_no_resting_order_does_better_than_its_limit_and_what_reached_it(
    market: Any, book: BookSnapshot, waiting: Waiting
) -> None:
    rested = rest(market, book, waiting)
    if rested is None:
        return
    assert rested.execution.price == waiting.price
    assert 0 < rested.execution.quantity <= waiting.quantity
    assert 0 <= rested.from_book <= rested.execution.quantity
    if waiting.profile is Profile.REALISTIC and not waiting.traded_through:
        sign = waiting.side.sign
        against = sum((q for p, q in levels_against(book, waiting.side) if p * sign <= waiting.price * sign), D(0))
        queue = D(0) if waiting.ahead is None else waiting.traded - waiting.ahead
        assert rested.execution.quantity <= max(against - waiting.taken, queue)


@given(rules, books, sides, st.lists(quantities, min_size=2, max_size=5), st.none() | prices)
def test_splitting_an_order_never_improves_what_it_costs(
    market: Any, book: BookSnapshot, side: Side, parts: list[Decimal], limit: Decimal | None
) -> None:
    """Each part after what the ones before took: together the quantity and notional of the whole, and no lower fee."""

    def made(quantity: Decimal, taken: Decimal) -> list[Execution]:
        wanted = Taking(
            profile=Profile.REALISTIC, side=side, quantity=quantity, limit=limit, protection=None, taken=taken, seed=0
        )
        return take(market, view_of(book), wanted)

    def sums(executions: list[Execution]) -> tuple[Decimal, Decimal, Decimal]:
        quantity = sum((e.quantity for e in executions), D(0))
        return quantity, sum((e.price * e.quantity for e in executions), D(0)), sum((e.fee for e in executions), D(0))

    split: list[Execution] = []
    for part in parts:
        split += made(part, sums(split)[0])
    quantity, notional, fee = sums(split)
    whole_quantity, whole_notional, whole_fee = sums(made(sum(parts, D(0)), D(0)))

    assert (quantity, notional) == (whole_quantity, whole_notional)
    assert fee >= whole_fee  # each part's fee is rounded up


@given(scaled(1, 10**12, places=7), scaled(0, 10_000, places=7), profiles)
def test_fees_are_rounded_against_the_user_and_never_negative(
    notional: Decimal, rate: Decimal, profile: Profile
) -> None:
    fee = fee_of(notional, rate=rate, profile=profile)
    exact = max(CLASSIC_FEE_MIN, notional * D("0.0002")) if profile is Profile.CLASSIC else notional * rate

    assert fee >= 0
    assert 0 <= fee - exact < CENT
    assert fee == fee.quantize(CENT)


def test_a_rebate_is_rounded_against_the_user_too() -> None:
    assert fee_of(D("0.123456"), rate=D("-0.0001"), profile=Profile.REALISTIC) == D("-0.000012")


MARKET: FillRules = SimpleNamespace(
    tick_size=D(1), step_size=D(1), maker_fee_rate=D(0), taker_fee_rate=D(0), spread=D(0), slippage_factor=D(1)
)


@pytest.mark.parametrize("basis", [{}, {"kind": "take"}, {"kind": "take", "profile": "other", "quantity": "1"}])
def test_a_basis_that_is_none_gives_nothing(basis: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError, ArithmeticError)):
        recompute(basis, MARKET, side=Side.BUY, seed=0)
