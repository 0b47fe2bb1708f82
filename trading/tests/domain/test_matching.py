"""RestingOrders against a model that looks at every order at every tick."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from trading.domain.lifecycle import Side
from trading.domain.matching import TICKS_KEPT_S, Reached, Resting, RestingOrders, reaches
from trading.domain.ticks import Span
from trading.tests.factories import AT, D, RestingFactory


@dataclass(frozen=True)
class Tick:
    """Best prices, lowest and highest trade."""

    sequence: int
    bid: Decimal = D(99)
    ask: Decimal = D(101)
    low: Decimal = D(100)
    high: Decimal = D(100)
    at: datetime = AT
    sold_at_low: Decimal = D(0)
    bought_at_high: Decimal = D(0)
    last: Span | None = None
    mark: Span | None = None
    index: Span | None = None


def test_a_touched_price_and_a_traded_through_one() -> None:
    buy, sell = RestingFactory.build(price=D(100)), RestingFactory.build(side=Side.SELL, price=D(100))

    assert reaches(buy, Tick(1)) is None
    assert reaches(buy, Tick(1, ask=D(100))) == Reached(buy, traded_through=False)
    assert reaches(buy, Tick(1, low=D(100))) is None  # a trade at the price may have been before us in the queue
    assert reaches(buy, Tick(1, low=D(99))) == Reached(buy, traded_through=True)
    assert reaches(sell, Tick(1, bid=D(100))) == Reached(sell, traded_through=False)
    assert reaches(sell, Tick(1, high=D(101))) == Reached(sell, traded_through=True)
    assert reaches(sell, Tick(1)) is None


def test_best_price_first_and_the_older_first_at_one_price() -> None:
    book = RestingOrders()
    orders = [RestingFactory.build(order_id=n, price=D(price)) for n, price in ((1, 100), (2, 103), (3, 103), (4, 102))]
    for order in orders:
        book.add(order)

    assert [found.order.order_id for found in book.take(Tick(1, ask=D(102)))] == [2, 3, 4]


def test_an_order_that_comes_late_is_held_against_the_ticks_since_its_admission() -> None:
    book = RestingOrders()
    book.take(Tick(5, low=D(90)))
    book.take(Tick(6, ask=D(100)))
    book.take(Tick(7))

    assert book.add(RestingFactory.build(admitted_sequence=4)) is not None
    missed = book.add(RestingFactory.build(admitted_sequence=5))
    assert missed is not None
    assert not missed.traded_through
    assert book.add(RestingFactory.build(admitted_sequence=6)) is None


def test_replaced_order_waits_at_its_new_price_only() -> None:
    book = RestingOrders()
    order = RestingFactory.build()
    book.add(order)

    assert book.add(replace(order, price=D(90), admitted_sequence=3)) is None

    assert (len(book), book.take(Tick(4, ask=D(95)))) == (1, [])
    assert [found.order.price for found in book.take(Tick(5, ask=D(90)))] == [90]


def test_a_tick_it_was_admitted_against_does_not_reach_an_order() -> None:
    book = RestingOrders()
    book.add(RestingFactory.build(admitted_sequence=5))

    assert book.take(Tick(5, ask=D(100))) == []
    assert len(book.take(Tick(6, ask=D(100)))) == 1


def test_adding_twice_and_removing_a_stranger_do_nothing() -> None:
    book, order = RestingOrders(), RestingFactory.build()
    book.add(order)
    book.take(Tick(1, low=D(1)))

    assert book.add(order) is None
    book.remove(UUID(int=404))
    assert (len(book), order.uuid in book, list(book)) == (1, True, [order])
    book.remove(order.uuid)
    assert (len(book), order.uuid in book) == (0, False)


def test_two_minutes_of_ticks_are_kept() -> None:
    book = RestingOrders()
    assert not book.knows_since(0)
    book.take(Tick(1, low=D(1)))
    book.take(Tick(2, at=AT + timedelta(seconds=TICKS_KEPT_S)))
    assert book.knows_since(1)

    book.take(Tick(3, at=AT + timedelta(seconds=TICKS_KEPT_S, milliseconds=1)))

    assert not book.knows_since(1)
    assert book.add(RestingFactory.build(admitted_sequence=0)) is None


prices = st.integers(90, 110).map(Decimal)


@dataclass
class Model:
    """Every order and every tick, looked at one by one."""

    orders: dict[UUID, Resting] = field(default_factory=dict)
    ticks: list[Tick] = field(default_factory=list)

    def reached(self, tick: Tick) -> set[Reached]:
        """What a tick reaches."""
        found = (reaches(order, tick) for order in self.orders.values() if tick.sequence > order.admitted_sequence)
        return {reached for reached in found if reached}

    def missed(self, order: Resting) -> bool | None:
        """Whether a tick since its admission traded through an order, None if none reached it."""
        late = [reaches(order, tick) for tick in self.ticks if tick.sequence > order.admitted_sequence]
        found = [reached.traded_through for reached in late if reached]
        return any(found) if found else None


class RestingOrdersAreWatched(RuleBasedStateMachine):
    """Orders come, late or in time, and go; ticks come, also twice and out of order."""

    orders: Bundle[Resting] = Bundle("orders")

    def __init__(self) -> None:
        super().__init__()
        self.book, self.model, self.number = RestingOrders(), Model(), 0

    @rule(target=orders, side=st.sampled_from(Side), price=prices, back=st.integers(-2, 4))
    def add(self, side: Side, price: Decimal, back: int) -> Resting:
        """An order admitted a few ticks ago, or against one still to come."""
        self.number += 1
        order: Resting = RestingFactory.build(
            order_id=self.number, side=side, price=price, admitted_sequence=len(self.model.ticks) - back
        )
        self.model.orders[order.uuid] = order
        reached = self.book.add(order)
        assert (reached.traded_through if reached else None) == self.model.missed(order)
        return order

    @rule(order=consumes(orders))
    def remove(self, order: Resting) -> None:
        """It ended."""
        self.model.orders.pop(order.uuid)
        self.book.remove(order.uuid)

    @rule(bid=prices, spread=st.integers(1, 5), low=prices, height=st.integers(0, 5), back=st.integers(0, 2))
    def tick(self, bid: Decimal, spread: int, low: Decimal, height: int, back: int) -> None:
        """The market moves, or an old tick is told again."""
        sequence = max(1, len(self.model.ticks) + 1 - back)
        tick = Tick(sequence, bid=bid, ask=bid + spread, low=low, high=low + height)
        expected = self.model.reached(tick)
        self.model.ticks.append(tick)
        found = self.book.take(tick)
        assert set(found) == expected
        assert len(found) == len(expected)
        buys = [reached.order.price for reached in found if reached.order.side is Side.BUY]
        sells = [reached.order.price for reached in found if reached.order.side is Side.SELL]
        assert buys == sorted(buys, reverse=True)
        assert sells == sorted(sells)

    @invariant()
    def same_orders(self) -> None:
        """Nothing lost, nothing kept."""
        assert {order.uuid for order in self.book} == set(self.model.orders)


TestRestingOrders = RestingOrdersAreWatched.TestCase
TestRestingOrders.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
