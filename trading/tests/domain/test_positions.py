"""Netting arithmetic, by numbers one can check by hand and by property."""

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.lifecycle import Side
from trading.domain.positions import Closed, apply_fill, released_notional
from trading.domain.state import PositionState
from trading.tests.factories import AT, D, PositionStateFactory

NEXT = UUID(int=99)
Fact = tuple[Side, Decimal, Decimal, Decimal]  # side, quantity, price, fee


def fill(
    position: PositionState, side: str, quantity: str, *, at: str, fee: str = "0"
) -> tuple[Decimal, Closed | None]:
    """One execution, all in texts."""
    return apply_fill(position, side=Side(side), price=D(at), quantity=D(quantity), fee=D(fee), at=AT, next_uuid=NEXT)


def held(position: PositionState) -> tuple[Decimal, Decimal, Decimal]:
    """Quantity, entry notional, realised PnL."""
    return position.quantity, position.entry_notional, position.realized_pnl


def test_opening_and_adding_collects_entry_notional() -> None:
    position = PositionStateFactory.build()

    assert fill(position, "buy", "2", at="100") == (0, None)
    assert fill(position, "buy", "1", at="130") == (0, None)

    assert held(position) == (3, 330, 0)
    assert (position.uuid, position.opened_at, position.version) == (NEXT, AT, 2)


def test_partial_close_of_a_long_realises_its_share() -> None:
    position = PositionStateFactory.build(quantity=D(3), entry_notional=D(330), opened_at=AT)

    assert fill(position, "sell", "1", at="120") == (10, None)

    assert held(position) == (2, 220, 10)


def test_partial_close_of_a_short_realises_its_share() -> None:
    position = PositionStateFactory.build()
    fill(position, "sell", "4", at="50")

    assert fill(position, "buy", "1", at="40") == (10, None)

    assert held(position) == (-3, 150, 10)


def test_last_close_takes_the_rest_and_tells_the_whole_story() -> None:
    position = PositionStateFactory.build()
    fill(position, "sell", "4", at="50", fee="0.2")
    fill(position, "buy", "1", at="40", fee="0.04")

    realized, closed = fill(position, "buy", "3", at="60", fee="0.18")

    assert realized == -30
    assert closed == Closed(
        uuid=NEXT, side=Side.SELL, quantity=D(4), entry_notional=D(200), exit_notional=D(220),
        realized_pnl=D(-20), fees=D("0.42"), funding=D(0), opened_at=AT,
    )  # fmt: skip
    assert held(position) == (0, 0, -20)


def test_flip_closes_first_and_opens_the_other_way() -> None:
    position = PositionStateFactory.build(uuid=UUID(int=5))
    apply_fill(position, side=Side.BUY, price=D(100), quantity=D(2), fee=D("0.2"), at=AT, next_uuid=UUID(int=6))

    realized, closed = fill(position, "sell", "5", at="110", fee="0.000003")

    assert realized == 20
    assert closed is not None
    assert (closed.uuid, closed.side, closed.quantity, closed.realized_pnl) == (UUID(int=6), Side.BUY, 2, 20)
    assert closed.fees == D("0.200002")  # 2/5 of the fee is 0.0000012: up, at the expense of the closed one
    assert held(position) == (-3, 330, 0)
    assert (position.uuid, position.opened_quantity, position.fees) == (NEXT, 3, D("0.000001"))


def test_funding_belongs_to_the_position_that_was_open() -> None:
    position = PositionStateFactory.build()
    fill(position, "buy", "2", at="100")
    position.funding = D("-0.3")

    _, closed = fill(position, "sell", "5", at="110")

    assert closed is not None
    assert (closed.funding, position.funding) == (D("-0.3"), 0)


def test_released_notional_is_rounded_down_once() -> None:
    position = PositionStateFactory.build(quantity=D(3), entry_notional=D(100))

    assert released_notional(position, closing=D(1)) == D("33.333333")
    assert released_notional(position, closing=D(3)) == 100


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_thirds_of_an_unending_average_come_out_even(side: str) -> None:
    position, other = PositionStateFactory.build(), Side(side).opposite
    fill(position, side, "3", at="33.34")
    realized = sum((fill(position, other, "1", at="33.34")[0] for _ in range(3)), D(0))

    assert (realized, position.entry_notional) == (0, 0)


quantities = st.integers(1, 10**6).map(lambda n: D(n).scaleb(-3))
prices = st.integers(1, 10**8).map(lambda n: D(n).scaleb(-4))
fees = st.integers(0, 10**6).map(lambda n: D(n).scaleb(-6))
fills = st.lists(st.tuples(st.sampled_from(Side), quantities, prices, fees), min_size=1, max_size=30)


@given(fills, prices)
def test_pnl_is_exactly_the_sum_of_cash_flows(made: list[Fact], last: Decimal) -> None:
    """However it was opened, closed and turned, and at whatever averages: once flat, every digit is accounted for."""
    position = PositionStateFactory.build()
    cash = realized = paid = D(0)
    histories: list[Closed] = []

    def book(side: Side, quantity: Decimal, price: Decimal, fee: Decimal) -> None:
        nonlocal cash, realized, paid
        pnl, closed = apply_fill(position, side=side, price=price, quantity=quantity, fee=fee, at=AT, next_uuid=NEXT)
        cash -= side.sign * quantity * price
        realized += pnl
        paid += fee
        histories.extend([closed] if closed else [])
        signed = position.entry_notional * (1 if position.quantity > 0 else -1)
        assert realized == cash + signed
        assert (position.quantity == 0) == (position.entry_notional == 0) or position.quantity != 0
        assert position.entry_notional >= 0

    for fact in made:
        book(*fact)
    if position.quantity:
        book(Side.SELL if position.quantity > 0 else Side.BUY, abs(position.quantity), last, D(0))

    assert position.quantity == position.entry_notional == 0
    assert realized == cash
    assert sum(closed.realized_pnl for closed in histories) == realized
    assert sum(closed.fees for closed in histories) == paid
    for closed in histories:
        sign = 1 if closed.side is Side.BUY else -1
        assert closed.realized_pnl == (closed.exit_notional - closed.entry_notional) * sign


@given(fills)
def test_position_is_the_sum_of_its_fills(made: list[Fact]) -> None:
    position = PositionStateFactory.build()
    for side, quantity, price, fee in made:
        apply_fill(position, side=side, price=price, quantity=quantity, fee=fee, at=AT, next_uuid=NEXT)

    assert position.quantity == sum(side.sign * quantity for side, quantity, _, _ in made)
