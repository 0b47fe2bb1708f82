"""Fills: the walk through the book, what was taken before, the classic formula, and that chance is a function."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.lifecycle import Side
from trading.domain.simulator import (
    CLASSIC_NOISE,
    MAX_FILLS,
    Execution,
    Profile,
    classic_price,
    fee_of,
    noise,
    rest,
    seed_of,
    take,
    walk_book,
)
from trading.tests.factories import D, book, terms, view

ASKS = (("101", "1"), ("102", "2"), ("105", "4"))
BIDS = (("99", "1"), ("98", "2"), ("95", "4"))
BOOK = book(bids=BIDS, asks=ASKS)
QUIET = 10**6  # a seed whose noise is nothing


def walk(side: str, quantity: str, *, limit: str | None = None, taken: str = "0") -> list[tuple[Decimal, Decimal]]:
    """Price and quantity of each execution."""
    bound = None if limit is None else D(limit)
    made = walk_book(terms(), BOOK, side=Side(side), quantity=D(quantity), limit=bound, taken=D(taken))
    return [(execution.price, execution.quantity) for execution in made]


def test_buying_walks_the_asks_and_selling_the_bids() -> None:
    assert walk("buy", "2.5") == [(101, 1), (102, D("1.5"))]
    assert walk("sell", "4") == [(99, 1), (98, 2), (95, 1)]


def test_the_walk_ends_at_the_limit_and_at_the_end_of_the_book() -> None:
    assert walk("buy", "5", limit="102") == [(101, 1), (102, 2)]
    assert walk("buy", "50") == [(101, 1), (102, 2), (105, 4)]
    assert walk("sell", "5", limit="100") == []


def test_what_was_taken_from_this_book_is_gone() -> None:
    assert walk("buy", "1", taken="1") == [(102, 1)]
    assert walk("buy", "2", taken="1.5") == [(102, D("1.5")), (105, D("0.5"))]
    assert walk("buy", "2", taken="7") == []


def test_dust_between_steps_is_left_in_the_book() -> None:
    thin = book(asks=(("101", "0.0014"), ("102", "5")))

    made = walk_book(terms(), thin, side=Side.BUY, quantity=D("0.003"), limit=None, taken=D(0))

    assert [(e.price, e.quantity) for e in made] == [(101, D("0.001")), (102, D("0.002"))]


def test_each_execution_pays_the_taker_fee_rounded_up() -> None:
    market = terms(taker_fee_rate=D("0.00025"))

    made = walk_book(market, BOOK, side=Side.BUY, quantity=D("0.001"), limit=None, taken=D(0))

    assert made == [Execution(D(101), D("0.001"), D("0.000026"))]  # 0.101 x 0.00025 = 0.00002525


def test_one_booking_has_at_most_a_hundred_executions() -> None:
    fine = book(asks=tuple((str(100 + n), "1") for n in range(MAX_FILLS + 50)))

    assert len(walk_book(terms(), fine, side=Side.BUY, quantity=D(140), limit=None, taken=D(0))) == MAX_FILLS


parts = st.lists(st.integers(1, 2000), min_size=1, max_size=8)


@given(parts, st.sampled_from(Side))
def test_splitting_an_order_escapes_no_slippage(thousandths: list[int], side: Side) -> None:
    """The parts, each after what the ones before took, cost what the whole costs."""
    quantities = [D(n).scaleb(-3) for n in thousandths]

    def cost(made: list[Execution]) -> Decimal:
        return sum((e.price * e.quantity for e in made), D(0))

    taken, split = D(0), D(0)
    for quantity in quantities:
        made = walk_book(terms(), BOOK, side=side, quantity=quantity, limit=None, taken=taken)
        taken += sum((e.quantity for e in made), D(0))
        split += cost(made)
    whole = walk_book(terms(), BOOK, side=side, quantity=sum(quantities, D(0)), limit=None, taken=D(0))

    assert split == cost(whole)
    assert taken == sum((e.quantity for e in whole), D(0))


@given(parts, st.sampled_from(Side), st.integers(90, 110))
def test_no_execution_is_beyond_the_limit_or_the_book(thousandths: list[int], side: Side, limit: int) -> None:
    quantity = sum(thousandths) * D("0.001")
    made = walk_book(terms(), BOOK, side=side, quantity=quantity, limit=D(limit), taken=D(0))

    assert sum((e.quantity for e in made), D(0)) <= quantity
    assert all(e.price <= limit if side is Side.BUY else e.price >= limit for e in made)
    assert all(e.quantity % D("0.001") == 0 for e in made)


# The classic profile: half the spread, 0.1 % a unit of size x factor, +-0.02 % noise, at most 1 %.


def classic(side: str, quantity: str, *, seed: int = QUIET, **market: Decimal) -> Decimal:
    """Price of a classic market order around 10,000; tick 0.01."""
    rules = terms(**({"tick_size": D("0.01"), "spread": D("0.0002")} | market))
    return classic_price(rules, mid=D(10_000), side=Side(side), quantity=D(quantity), seed=seed)


def test_classic_price_is_half_the_spread_and_a_tenth_of_a_percent_a_unit_away() -> None:
    # spread 0.02 % of 10,000 is 2, half of it 1; 0.1 % x 3 of 10,001 is 30.003, of 9,999 it is 29.997
    assert classic("buy", "3") == D("10031.01")  # 10031.003, up to the tick
    assert classic("sell", "3") == D("9969.00")  # 9969.003, down to the tick


def test_classic_slippage_scales_with_the_instrument_and_is_capped_at_one_percent() -> None:
    assert classic("buy", "3", slippage_factor=D("0.5"), spread=D(0)) == 10_015
    assert classic("buy", "500", spread=D(0)) == 10_100
    assert classic("sell", "500", spread=D(0)) == 9_900


def test_classic_noise_is_within_two_basis_points_and_reaches_both_ends() -> None:
    assert noise(QUIET) == 0
    assert noise(2 * 10**6) == CLASSIC_NOISE == D("0.0002")
    assert noise(0) == -CLASSIC_NOISE


@given(st.integers(0, 2**63 - 1))
def test_noise_is_a_function_of_its_seed_and_bounded(seed: int) -> None:
    assert noise(seed) == noise(seed)
    assert -D("0.0002") <= noise(seed) <= D("0.0002")


@given(st.integers(0, 2**63 - 1), st.sampled_from(Side), st.integers(1, 10**6))
def test_classic_price_is_on_the_tick_and_within_a_percent_of_the_quote(seed: int, side: Side, size: int) -> None:
    price = classic(side, str(D(size).scaleb(-3)), seed=seed, spread=D(0))

    assert price % D("0.01") == 0
    assert 9_900 <= price <= 10_100
    assert side.sign * (price - 10_000) >= -2 - D("0.01")  # noise alone may be in the taker's favour


def test_classic_fee_is_two_basis_points_and_at_least_a_cent() -> None:
    assert fee_of(D(10_000), rate=D("0.9"), profile=Profile.CLASSIC) == 2
    assert fee_of(D("1.5"), rate=D(0), profile=Profile.CLASSIC) == D("0.01")
    assert fee_of(D("50.001"), rate=D(0), profile=Profile.CLASSIC) == D("0.010001")


def taken_by(profile: Profile, *, limit: str | None, seed: int = 5) -> list[Execution]:
    """What an order to buy 2 gets at once."""
    market = view(bids=BIDS, asks=ASKS)
    bound = None if limit is None else D(limit)
    return take(
        terms(), market, profile=profile, side=Side.BUY, quantity=D(2), limit=bound, protection=D(102), taken=D(0),
        seed=seed,
    )  # fmt: skip


def test_classic_limit_orders_fill_whole_at_their_price_when_the_quote_reaches_it() -> None:
    assert [(e.price, e.quantity) for e in taken_by(Profile.CLASSIC, limit="103")] == [(103, 2)]
    assert taken_by(Profile.CLASSIC, limit="100") == []


def test_realistic_market_orders_stop_at_the_protection_price() -> None:
    market = view(bids=BIDS, asks=ASKS)
    made = take(
        terms(), market, profile=Profile.REALISTIC, side=Side.BUY, quantity=D(9), limit=None, protection=D(102),
        taken=D(0), seed=0,
    )  # fmt: skip

    assert [(e.price, e.quantity) for e in made] == [(101, 1), (102, 2)]


def test_same_seed_and_inputs_give_the_same_fills_to_the_byte() -> None:
    first, second = (repr(taken_by(Profile.CLASSIC, limit=None, seed=seed_of("a", 1, 0))) for _ in range(2))

    assert first == second
    assert seed_of("a", 1, 0) == 3838752783579492550
    assert len({seed_of("a", 1, n) for n in range(100)}) == 100
    assert 0 <= seed_of("x") < 2**63


# Resting orders


@pytest.mark.parametrize(
    ("side", "price", "through", "taken", "profile", "expected"),
    [
        ("buy", "101", False, "0", "realistic", "1"),  # what stands against it
        ("buy", "102", False, "1", "realistic", "2"),
        ("buy", "100", False, "0", "realistic", None),
        ("buy", "100", True, "0", "realistic", "5"),  # price went through it: whole
        ("sell", "98", False, "0", "realistic", "3"),
        ("buy", "101", False, "0", "classic", "5"),
    ],
)
def test_resting_order_gets_what_stands_against_it_at_its_own_price(
    side: str, price: str, through: bool, taken: str, profile: str, expected: str | None
) -> None:
    got = rest(
        terms(), profile=Profile(profile), side=Side(side), price=D(price), remaining=D(5), book=BOOK,
        traded_through=through, taken=D(taken),
    )  # fmt: skip

    assert (got and (got.price, got.quantity)) == (expected and (D(price), D(expected)))


def test_resting_order_pays_the_maker_fee() -> None:
    got = rest(
        terms(), profile=Profile.REALISTIC, side=Side.BUY, price=D(101), remaining=D(1), book=BOOK,
        traded_through=False, taken=D(0),
    )  # fmt: skip

    assert got == Execution(D(101), D(1), D("0.0505"))
