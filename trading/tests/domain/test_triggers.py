"""TriggerOrders against a model that looks at every order at every tick, and which way each kind triggers."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from trading.domain.lifecycle import OrderType, Side, TriggerBy
from trading.domain.matching import TICKS_KEPT_S
from trading.domain.ticks import Span
from trading.domain.triggers import TriggerOrders, Untriggered, triggers, triggers_upwards
from trading.tests.factories import AT, D


@dataclass(frozen=True)
class Tick:
    """Every price stands at 100 unless said."""

    sequence: int
    mark: Span | None = (D(100), D(100), D(100))
    last: Span | None = (D(100), D(100), D(100))
    index: Span | None = None
    at: datetime = AT


def moved(low: int, high: int, now: int) -> Span:
    """From `low` to `high`, now at `now`."""
    return D(low), D(high), D(now)


def waiting(number: int = 1, price: int = 105, *, rises: bool = True, **changes: Any) -> Untriggered:
    """A stop buy at 105 by the mark, admitted at book 5."""
    values: dict[str, Any] = {"trigger_by": TriggerBy.MARK, "admitted_sequence": 5, "admitted_at": AT} | changes
    return Untriggered(
        order_id=number, uuid=UUID(int=number), account_id=1, rises=rises, trigger_price=D(price), **values
    )


def later(seconds: float) -> datetime:
    """So long after."""
    return AT + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("type_", "side", "upwards"),
    [
        (OrderType.STOP, Side.BUY, True),
        (OrderType.STOP_LIMIT, Side.BUY, True),
        (OrderType.STOP, Side.SELL, False),
        (OrderType.STOP_LIMIT, Side.SELL, False),
        (OrderType.TAKE_PROFIT, Side.BUY, False),
        (OrderType.TAKE_PROFIT_LIMIT, Side.BUY, False),
        (OrderType.TAKE_PROFIT, Side.SELL, True),
        (OrderType.TAKE_PROFIT_LIMIT, Side.SELL, True),
    ],
)
def test_stops_follow_the_market_and_take_profits_go_against_it(type_: OrderType, side: Side, upwards: bool) -> None:
    assert triggers_upwards(type_, side) is upwards


def test_reaching_the_price_is_enough_and_a_hair_less_is_not() -> None:
    up, down = waiting(price=105), waiting(price=95, rises=False)

    assert triggers(up, Tick(6, mark=moved(100, 105, 101)))
    assert not triggers(up, Tick(6, mark=moved(0, 104, 104)))
    assert triggers(down, Tick(6, mark=moved(95, 100, 100)))
    assert not triggers(down, Tick(6, mark=moved(96, 200, 100)))


def test_each_order_looks_at_its_own_price() -> None:
    far, near = moved(100, 200, 200), moved(100, 100, 100)

    assert not triggers(waiting(), Tick(6, mark=near, last=far, index=far))
    assert triggers(waiting(trigger_by=TriggerBy.LAST), Tick(6, mark=near, last=far, index=near))
    assert triggers(waiting(trigger_by=TriggerBy.INDEX), Tick(6, mark=near, last=near, index=far))
    assert not triggers(waiting(trigger_by=TriggerBy.INDEX), Tick(6, mark=far, last=far, index=None))


def test_what_was_before_its_admission_is_not_for_an_order() -> None:
    order, spike = waiting(admitted_sequence=5), moved(100, 110, 100)

    assert not triggers(order, Tick(4, mark=spike))
    assert not triggers(order, Tick(5, mark=spike, at=later(1)))  # of the same book only the price now counts
    assert triggers(order, Tick(5, mark=moved(100, 110, 106), at=later(1)))
    assert not triggers(order, Tick(5, mark=moved(100, 110, 106), at=AT))  # the very prices it was admitted on
    assert triggers(order, Tick(6, mark=spike))


def test_nearest_trigger_first_and_the_older_first_at_one_price() -> None:
    book = TriggerOrders()
    for number, price in ((1, 109), (2, 104), (3, 106), (4, 104), (5, 120)):
        book.add(waiting(number, price))
    for number, price in ((6, 91), (7, 96), (8, 80)):
        book.add(waiting(number, price, rises=False))

    assert [order.order_id for order in book.take(Tick(6, mark=moved(90, 110, 100)))] == [2, 4, 3, 1, 7, 6]


def test_a_repeated_tick_and_one_from_the_past_trigger_nothing() -> None:
    book, reaching = TriggerOrders(), moved(100, 105, 105)
    book.add(waiting())

    assert len(book.take(Tick(7, mark=reaching, at=later(2)))) == 1
    assert book.take(Tick(7, mark=reaching, at=later(2))) == []
    assert book.take(Tick(6, mark=reaching, at=later(9))) == []
    assert book.take(Tick(7, mark=reaching, at=later(1))) == []
    assert len(book.take(Tick(7, mark=reaching, at=later(3)))) == 1  # prices move while the book stands still
    assert len(book.take(Tick(8, mark=reaching, at=later(3)))) == 1


def test_an_order_that_comes_late_is_held_against_the_ticks_since_its_admission() -> None:
    book = TriggerOrders()
    book.take(Tick(6, mark=moved(100, 110, 100), at=later(1)))
    book.take(Tick(7, at=later(2)))

    assert book.add(waiting(1, admitted_sequence=5))
    assert not book.add(waiting(1, admitted_sequence=5))  # it is there already
    assert not book.add(waiting(2, admitted_sequence=6))
    assert (len(book), UUID(int=2) in book, {order.order_id for order in book}) == (2, True, {1, 2})


def test_a_changed_order_takes_the_place_of_its_earlier_form() -> None:
    book = TriggerOrders()
    book.add(waiting(1, 105))
    book.add(waiting(1, 108))

    assert book.take(Tick(6, mark=moved(100, 107, 107))) == []
    assert book.take(Tick(7, mark=moved(100, 108, 107), at=later(1))) == [waiting(1, 108)]


def test_removing_twice_and_a_stranger_do_nothing() -> None:
    book = TriggerOrders()
    book.add(waiting(1))
    book.add(waiting(2))
    for number in (1, 1, 404):
        book.remove(UUID(int=number))

    assert [order.order_id for order in book.take(Tick(6, mark=moved(100, 110, 110)))] == [2]


def test_two_minutes_of_ticks_are_kept() -> None:
    book = TriggerOrders()
    assert not book.knows_since(0)
    book.take(Tick(6, mark=moved(100, 110, 100)))
    book.take(Tick(7, at=later(TICKS_KEPT_S)))
    assert book.knows_since(6)

    book.take(Tick(8, at=later(TICKS_KEPT_S + 0.001)))

    assert not book.knows_since(6)
    assert not book.add(waiting())


prices = st.integers(90, 110)


@dataclass
class Model:
    """Every order and every tick, looked at one by one."""

    orders: dict[UUID, Untriggered] = field(default_factory=dict)
    ticks: list[Tick] = field(default_factory=list)

    def take(self, tick: Tick) -> set[int]:
        """What a tick triggers, if it is new."""
        last = self.ticks[-1] if self.ticks else None
        if last and ((tick.sequence, tick.at) < (last.sequence, last.at) or tick == last):
            return set()
        self.ticks.append(tick)
        return {order.order_id for order in self.orders.values() if triggers(order, tick)}


class TriggerOrdersAreWatched(RuleBasedStateMachine):
    """Orders come, late or in time, change and go; ticks come, also twice and out of order."""

    placed: Bundle[UUID] = Bundle("placed")

    def __init__(self) -> None:
        super().__init__()
        self.book, self.model, self.count = TriggerOrders(), Model(), 0

    @rule(target=placed, price=prices, rises=st.booleans(), by=st.sampled_from(TriggerBy), admitted=st.integers(0, 9))
    def add(self, price: int, rises: bool, by: TriggerBy, admitted: int) -> UUID:
        """A new order."""
        self.count += 1
        order = waiting(self.count, price, rises=rises, trigger_by=by, admitted_sequence=admitted)
        self.model.orders[order.uuid] = order
        assert self.book.add(order) == any(triggers(order, tick) for tick in self.model.ticks)
        return order.uuid

    @rule(uuid=placed, price=prices)
    def change(self, uuid: UUID, price: int) -> None:
        """Another trigger price."""
        before = self.model.orders.get(uuid)
        if before is None:
            return
        order = waiting(
            before.order_id, price, rises=before.rises, trigger_by=before.trigger_by,
            admitted_sequence=before.admitted_sequence,
        )  # fmt: skip
        self.model.orders[uuid] = order
        expected = order != before and any(triggers(order, tick) for tick in self.model.ticks)
        assert self.book.add(order) == expected

    @rule(uuid=consumes(placed))
    def remove(self, uuid: UUID) -> None:
        """An order ended."""
        self.model.orders.pop(uuid)
        self.book.remove(uuid)

    @rule(sequence=st.integers(0, 10), at=st.integers(0, 10), spans=st.tuples(*[st.tuples(prices, prices, prices)] * 3))
    def tick(self, sequence: int, at: int, spans: tuple[tuple[int, int, int], ...]) -> None:
        """A tick, in order or not."""
        ordered = [sorted(span) for span in spans]
        mark, last, index = (moved(low, high, now) for low, now, high in ordered)
        tick = Tick(sequence, mark=mark, last=last, index=index, at=later(at))
        triggered = self.book.take(tick)
        assert len(triggered) == len(set(triggered))
        assert {order.order_id for order in triggered} == self.model.take(tick)

    @invariant()
    def as_many(self) -> None:
        """Nothing is lost or kept too long."""
        assert {order.uuid for order in self.book} == self.model.orders.keys()


TestTriggerOrders = TriggerOrdersAreWatched.TestCase
TestTriggerOrders.settings = settings(max_examples=60, stateful_step_count=25, derandomize=True, deadline=None)


def test_a_tick_that_reaches_nothing_looks_at_the_nearest_only() -> None:
    """100,000 orders cost what six cost: each list is looked at until the first price that is not reached."""
    book, looked = TriggerOrders(), []

    class Watched(dict[UUID, Untriggered]):
        def __getitem__(self, uuid: UUID) -> Untriggered:
            looked.append(uuid)
            return super().__getitem__(uuid)

    for number in range(300):
        by = list(TriggerBy)[number % 3]
        book.add(waiting(number, 200 + number, trigger_by=by))
        book.add(waiting(1000 + number, 90 - number % 50, rises=False, trigger_by=by))
    book._orders = Watched(book._orders)

    assert book.take(Tick(6, index=moved(100, 100, 100))) == []
    assert looked == []


def test_decimals_decide_not_texts() -> None:
    book = TriggerOrders()
    book.add(waiting(1, 9, rises=False))
    book.add(waiting(2, 10, rises=False))

    spans = (Decimal("9.99"), Decimal(100), Decimal(100))
    assert [order.order_id for order in book.take(Tick(6, mark=spans))] == [2]
