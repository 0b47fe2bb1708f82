"""Queues at a price against a model that counts every tick for every order."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule

from trading.domain.lifecycle import Side
from trading.domain.matching import Reached, Resting, RestingOrders
from trading.domain.queues import Queues, Traded, traded_at
from trading.domain.simulator import Profile, Waiting, rest
from trading.tests.domain.test_matching import Tick
from trading.tests.factories import D, RestingFactory, book, terms


def at_price(sequence: int, sold: str = "0", bought: str = "0", **changes: Any) -> Tick:
    """A tick at 100 between 99 and 101, with this much traded at its edges."""
    return Tick(sequence, sold_at_low=D(sold), bought_at_high=D(bought), **changes)


def queued(ahead: str | None = "3", **changes: object) -> Resting:
    """An order to buy at 100 behind `ahead`."""
    order: Resting = RestingFactory.build(queue_ahead=None if ahead is None else D(ahead), **changes)
    return order


def test_an_order_gets_its_turn_once_more_traded_than_stood_before_it() -> None:
    orders, order = RestingOrders(), queued()
    orders.add(order)

    assert orders.take(at_price(1, "2")) == []
    assert orders.take(at_price(2, "1")) == []
    assert orders.take(at_price(3, "0.5")) == [Reached(order, False, Traded(quantity=D("3.5"), since=0, until=3))]
    (again,) = orders.take(at_price(4, "1"))  # as long as nobody says that it was booked
    assert again.traded == Traded(quantity=D("4.5"), since=0, until=4)


@pytest.mark.parametrize(
    ("side", "tick", "counted"),
    [
        ("buy", at_price(1, "5"), "5"),
        ("buy", at_price(1, bought="5"), "0"),  # a buyer at the price takes from the other side
        ("buy", at_price(1, "5", low=D(99)), "0"),  # traded through: no queue is asked
        ("buy", at_price(1, "5", low=D(101), high=D(101)), "0"),
        ("sell", at_price(1, bought="5"), "5"),
        ("sell", at_price(1, "5"), "0"),
        ("sell", at_price(1, bought="5", high=D(101)), "0"),
    ],
)
def test_what_counts_is_what_the_other_side_took_at_the_price(side: str, tick: Tick, counted: str) -> None:
    assert traded_at(tick, Side(side), price=D(100)) == D(counted)


def test_a_repeated_tick_and_one_that_goes_back_count_once() -> None:
    orders = RestingOrders()
    orders.add(queued())
    orders.take(at_price(5, "2"))
    orders.take(at_price(5, "2"))
    orders.take(at_price(4, "2"))

    assert orders.take(at_price(6, "1")) == []
    assert len(orders.take(at_price(7, "0.1"))) == 1


def test_an_order_that_was_booked_counts_on_from_there() -> None:
    orders, order = RestingOrders(), queued()
    orders.add(order)
    orders.take(at_price(1, "4"))
    orders.take(at_price(2, "1"))  # while it was being booked

    booked = queued("0", order_id=order.order_id, uuid=order.uuid, queue_sequence=1)
    reached = orders.add(booked)

    assert reached == Reached(booked, False, Traded(quantity=D(1), since=1, until=2))
    assert orders.add(booked) is None
    assert len(orders) == 1


def test_an_order_that_comes_late_counts_the_ticks_since_its_admission() -> None:
    orders = RestingOrders()
    orders.take(at_price(1, "9"))
    orders.take(at_price(2, "2"))

    assert orders.add(queued(admitted_sequence=1, queue_sequence=1)) is None
    late = orders.add(queued("1", admitted_sequence=1, queue_sequence=1))
    assert late is not None
    assert late.traded == Traded(quantity=D(2), since=1, until=2)
    assert [found.order.queue_ahead for found in orders.take(at_price(3, "1.5"))] == [1, 3]


def test_nothing_traded_at_its_price_reaches_an_order_whose_place_nobody_knows() -> None:
    orders = RestingOrders()
    orders.add(queued(None))

    assert orders.take(at_price(1, "1000")) == []
    assert len(orders.take(at_price(2, low=D(99)))) == 1


def test_one_that_is_touched_and_has_its_turn_is_named_once() -> None:
    orders, order = RestingOrders(), queued("1")
    orders.add(order)

    assert orders.take(at_price(1, "2", ask=D(100))) == [Reached(order, False, Traded(quantity=D(2), since=0, until=1))]


def test_a_level_nobody_waits_at_is_forgotten() -> None:
    queues, order = Queues(), queued()
    queues.add(order, ticks=())
    queues.remove(order.uuid)
    queues.remove(order.uuid)

    assert queues.take(at_price(1, "1000")) == {}
    assert queues._levels == {}


quantities = st.integers(0, 40).map(lambda n: Decimal(n) / 10)


@given(
    parts=st.lists(st.integers(1, 30).map(lambda n: Decimal(n) / 10), min_size=1, max_size=6),
    shown=quantities,
    trades=st.lists(quantities, max_size=12),
)
def test_splitting_an_order_gains_no_place_in_the_queue(
    parts: list[Decimal], shown: Decimal, trades: list[Decimal]
) -> None:
    """The parts, each behind those before it, get together what the whole gets."""

    def got(wanted: list[Decimal]) -> Decimal:
        total, ahead = D(0), shown
        for quantity in wanted:
            waiting = Waiting(
                profile=Profile.REALISTIC, side=Side.BUY, quantity=quantity, price=D(100), traded_through=False,
                taken=D(0), traded=sum(trades, D(0)), ahead=ahead,
            )  # fmt: skip
            rested = rest(terms(), book(), waiting)
            total += rested.execution.quantity if rested else 0
            ahead += quantity
        return total

    assert got(parts) == got([sum(parts, D(0))]) == max(0, min(sum(parts, D(0)), sum(trades, D(0)) - shown))


@dataclass
class Model:
    """Every order, and every tick that counts."""

    orders: dict[UUID, Resting] = field(default_factory=dict)
    ticks: list[Tick] = field(default_factory=list)

    def counted(self, order: Resting) -> Decimal:
        """What traded for an order since it counts."""
        since = (tick for tick in self.ticks if tick.sequence > order.queue_sequence)
        return sum((traded_at(tick, order.side, price=order.price) for tick in since), D(0))

    def turns(self, tick: Tick) -> dict[UUID, Decimal]:
        """Whose turn it is now, of those for whom `tick` counts."""
        return {
            uuid: self.counted(order)
            for uuid, order in self.orders.items()
            if order.queue_ahead is not None
            and traded_at(tick, order.side, price=order.price)
            and self.counted(order) > order.queue_ahead
        }


class QueuesAreKept(RuleBasedStateMachine):
    """Orders come, are booked in part, and go; ticks come, also twice and out of order."""

    orders: Bundle[UUID] = Bundle("orders")

    def __init__(self) -> None:
        super().__init__()
        self.queues, self.model, self.number, self.told = Queues(), Model(), 0, list[Tick]()

    def queue(self, order: Resting) -> None:
        self.model.orders[order.uuid] = order
        counted = self.model.counted(order)
        turn = self.queues.add(order, ticks=self.told)
        due = order.queue_ahead is not None and counted > order.queue_ahead
        assert (turn and turn.quantity) == (counted if due else None)

    @rule(
        target=orders, side=st.sampled_from(Side), price=st.integers(99, 101), ahead=st.none() | quantities,
        back=st.integers(0, 3),
    )  # fmt: skip
    def add(self, side: Side, price: int, ahead: Decimal | None, back: int) -> UUID:
        """An order admitted now or a few ticks ago."""
        self.number += 1
        sequence = max(0, max((tick.sequence for tick in self.model.ticks), default=0) - back)
        order = RestingFactory.build(
            order_id=self.number, side=side, price=D(price), queue_ahead=ahead, queue_sequence=sequence
        )
        self.queue(order)
        return order.uuid

    @rule(uuid=orders, ahead=quantities)
    def booked(self, uuid: UUID, ahead: Decimal) -> None:
        """It got its part, and counts from the last tick on."""
        order = self.model.orders[uuid]
        sequence = max((tick.sequence for tick in self.model.ticks), default=0)
        self.queue(
            RestingFactory.build(
                order_id=order.order_id,
                uuid=uuid,
                side=order.side,
                price=order.price,
                queue_ahead=ahead,
                queue_sequence=sequence,
            )
        )

    @rule(uuid=consumes(orders))
    def remove(self, uuid: UUID) -> None:
        """It ended."""
        del self.model.orders[uuid]
        self.queues.remove(uuid)

    @rule(
        low=st.integers(99, 101), height=st.integers(0, 2), sold=quantities, bought=quantities, back=st.integers(-1, 1)
    )
    def tick(self, low: int, height: int, sold: Decimal, bought: Decimal, back: int) -> None:
        """Something traded; or an old tick is told again, and counts for nothing."""
        last = max((tick.sequence for tick in self.model.ticks), default=0)
        tick = Tick(last - back, low=D(low), high=D(low + height), sold_at_low=sold, bought_at_high=bought)
        self.told.append(tick)
        expected = {}
        if tick.sequence > last:
            self.model.ticks.append(tick)
            expected = self.model.turns(tick)
        found = self.queues.take(tick)
        assert {uuid: traded.quantity for uuid, traded in found.items()} == expected
        assert all(traded.until == tick.sequence for traded in found.values())


QueuesAreKept.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestQueuesAreKept = QueuesAreKept.TestCase
