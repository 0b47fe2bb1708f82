"""Fills: the walk through the book, what was taken before, the classic formula, and that chance is a function."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.lifecycle import Side
from trading.domain.simulator import (
    CLASSIC_NOISE,
    MAX_FILLS,
    Execution,
    Profile,
    Rested,
    Taking,
    Waiting,
    classic_price,
    fee_of,
    noise,
    queue_ahead,
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
    """Price of a classic market order while the latest price is 10,000; tick 0.01."""
    rules = terms(**({"tick_size": D("0.01"), "spread": D("0.0002")} | market))
    return classic_price(rules, last=D(10_000), side=Side(side), quantity=D(quantity), seed=seed)


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


INSTRUMENTS = {  # of the Tunicoin document: latest price, tick size, spread, slippage factor
    "BTC-USD": ("50000", "0.01", "0.0001", "1"),
    "ETH-USD": ("3000", "0.01", "0.0002", "0.5"),
    "BTC-FUT": ("50100", "0.5", "0.0001", "1"),
    "SPX-FUT": ("4500", "0.25", "0.0001", "0.1"),
    "EURUSD": ("1.1", "0.00001", "0.0001", "0.001"),
}


@pytest.mark.parametrize(
    ("symbol", "side", "size", "seed", "price", "commission"),
    [
        # the document's own order: buy 0.1; half the spread is 0.005 %, slippage 0.1 x 0.1 % = 0.01 %
        ("BTC-USD", "buy", "0.1", QUIET, "50007.51", "1.000151"),  # 50002.5 x 1.0001 = 50007.50025
        ("BTC-USD", "sell", "0.1", QUIET, "49992.50", "0.99985"),  # 49997.5 x 0.9999 = 49992.50025
        ("BTC-USD", "buy", "0.1", 0, "49997.50", "0.99995"),  # noise -0.02 %: 50002.5 x 0.9999 = 49997.49975
        ("BTC-USD", "buy", "0.1", 2 * QUIET, "50017.51", "1.000351"),  # noise +0.02 %: 50002.5 x 1.0003
        ("BTC-USD", "buy", "9.8", 2 * QUIET, "50502.53", "98.984959"),  # 0.98 % and 0.02 %: the most there is
        ("BTC-USD", "buy", "50", QUIET, "50502.53", "505.0253"),  # 5 %, capped at 1 %: 50002.5 x 1.01 = 50502.525
        ("ETH-USD", "buy", "2", QUIET, "3003.31", "1.201324"),  # 3000.3 x 1.001
        ("BTC-FUT", "sell", "1", QUIET, "50047.0", "10.0094"),  # 50097.495 x 0.999 = 50047.397505, down to 0.5
        ("SPX-FUT", "buy", "10", QUIET, "4504.75", "9.0095"),  # 4500.225 x 1.001 = 4504.725225, up to 0.25
        ("EURUSD", "buy", "1000", QUIET, "1.10116", "0.220232"),  # 1.100055 x 1.001 = 1.101155055
        ("EURUSD", "buy", "10", QUIET, "1.10007", "0.01"),  # 0.02 % of 11 is less than a cent
    ],
)
def test_classic_by_the_documents_instruments(
    symbol: str, side: str, size: str, seed: int, price: str, commission: str
) -> None:
    last, tick, spread, factor = (D(text) for text in INSTRUMENTS[symbol])
    market = terms(tick_size=tick, spread=spread, slippage_factor=factor)

    got = classic_price(market, last=last, side=Side(side), quantity=D(size), seed=seed)

    assert got == D(price)
    assert fee_of(got * D(size), rate=D(0), profile=Profile.CLASSIC) == D(commission)


def test_classic_fee_is_two_basis_points_and_at_least_a_cent() -> None:
    assert fee_of(D(10_000), rate=D("0.9"), profile=Profile.CLASSIC) == 2
    assert fee_of(D("1.5"), rate=D(0), profile=Profile.CLASSIC) == D("0.01")
    assert fee_of(D("50.001"), rate=D(0), profile=Profile.CLASSIC) == D("0.010001")


def decimals(**texts: str | None) -> dict[str, Any]:
    """Amounts from texts."""
    return {name: text if text is None else D(text) for name, text in texts.items()}


def taken_by(profile: Profile = Profile.REALISTIC, *, seed: int = 5, **changes: str | None) -> list[Any]:
    """Price and quantity of what an order to buy 2 at market gets at once."""
    amounts = {"quantity": "2", "limit": None, "protection": "102", "taken": "0"} | changes
    wanted = Taking(profile=profile, side=Side.BUY, seed=seed, **decimals(**amounts))
    return [(e.price, e.quantity) for e in take(terms(), view(bids=BIDS, asks=ASKS), wanted)]


def test_classic_limit_orders_fill_whole_at_their_price_when_the_quote_reaches_it() -> None:
    assert taken_by(Profile.CLASSIC, limit="103") == [(103, 2)]
    assert taken_by(Profile.CLASSIC, limit="100") == []


def test_classic_stops_fill_whole_at_their_stop_price_and_stop_limits_at_their_limit() -> None:
    assert taken_by(Profile.CLASSIC, stop="98", quantity="50") == [(98, 50)]
    assert taken_by(Profile.CLASSIC, stop="98", limit="104") == [(104, 2)]


def test_realistic_stops_over_a_gap_take_the_worse_present_price() -> None:
    assert taken_by(stop="98") == [(101, 1), (102, 1)]


def test_realistic_market_orders_stop_at_the_protection_price() -> None:
    assert taken_by(quantity="9") == [(101, 1), (102, 2)]


def test_same_seed_and_inputs_give_the_same_fills_to_the_byte() -> None:
    first, second = (repr(taken_by(Profile.CLASSIC, seed=seed_of("a", 1, 0))) for _ in range(2))

    assert first == second
    assert seed_of("a", 1, 0) == 3838752783579492550
    assert len({seed_of("a", 1, n) for n in range(100)}) == 100
    assert 0 <= seed_of("x") < 2**63


# Resting orders


def rested(**changes: Any) -> tuple[Decimal, Decimal, Decimal] | None:
    """Price, quantity and what came out of the book of what an order to buy 5 at 100 gets."""
    named = {"profile": Profile.REALISTIC, "side": Side.BUY, "traded_through": False}
    amounts = {"quantity": "5", "price": "100", "taken": "0", "traded": "0", "ahead": None}
    values = {name: changes.get(name, value) for name, value in named.items()}
    texts = {name: changes.get(name, text) for name, text in amounts.items()}
    got = rest(terms(), BOOK, Waiting(**values, **decimals(**texts)))
    return None if got is None else (got.execution.price, got.execution.quantity, got.from_book)


@pytest.mark.parametrize(
    ("changes", "expected", "from_book"),
    [
        ({"price": "101"}, "1", "1"),  # what stands against it
        ({"price": "102", "taken": "1"}, "2", "2"),
        ({}, None, None),
        ({"traded_through": True}, "5", "0"),  # price went through it: whole
        ({"side": Side.SELL, "price": "98"}, "3", "3"),
        ({"profile": Profile.CLASSIC, "price": "101"}, "5", "0"),
        ({"traded": "4", "ahead": "3"}, "1", "0"),  # what traded at it beyond the queue
        ({"traded": "3.0005", "ahead": "3"}, None, None),  # less than a step
        ({"traded": "90", "ahead": "3"}, "5", "0"),
        ({"traded": "3", "ahead": "3"}, None, None),
        ({"traded": "90", "ahead": None}, None, None),  # nobody knows what stood before it
        ({"price": "101", "traded": "6", "ahead": "3"}, "3", "1"),
    ],
)
def test_resting_order_gets_what_reached_it_at_its_own_price(
    changes: dict[str, Any], expected: str | None, from_book: str | None
) -> None:
    price = D(changes.get("price", "100"))
    assert rested(**changes) == (expected and (price, D(expected), D(from_book or "0")))


def test_resting_order_pays_the_maker_fee() -> None:
    waiting = Waiting(
        profile=Profile.REALISTIC, side=Side.BUY, quantity=D(1), price=D(101), traded_through=False, taken=D(0)
    )

    assert rest(terms(), BOOK, waiting) == Rested(Execution(D(101), D(1), D("0.0505")), from_book=D(1))


@pytest.mark.parametrize(
    ("side", "price", "ahead"),
    [
        ("buy", "99", "1"),
        ("buy", "98", "2"),
        ("buy", "97", "0"),  # between two levels that are shown
        ("buy", "100", "0"),  # better than the best
        ("buy", "94", None),  # beyond what is shown
        ("sell", "102", "2"),
        ("sell", "103", "0"),
        ("sell", "106", None),
    ],
)
def test_queue_ahead_is_what_the_book_shows_at_the_price(side: str, price: str, ahead: str | None) -> None:
    assert queue_ahead(BOOK, Side(side), price=D(price)) == (None if ahead is None else D(ahead))


def test_nobody_knows_the_queue_of_a_side_that_is_not_shown() -> None:
    assert queue_ahead(book(asks=ASKS), Side.BUY, price=D(99)) is None
