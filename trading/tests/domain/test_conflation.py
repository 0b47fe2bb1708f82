"""Ticks as one reach what they reach one by one: nothing is skipped, and nothing is made up."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata.frames import Tick
from trading.domain.conflation import ConflatedTick, conflate, is_newer, widest
from trading.domain.lifecycle import Side, TriggerBy
from trading.domain.matching import TICKS_KEPT_MAX, Reached, Resting, reaches
from trading.domain.queues import Traded
from trading.domain.ticks import MarketTick, Span
from trading.domain.triggers import Untriggered, triggers
from trading.domain.watching import Hit, Waiting, WatchedOrders, both, missed, order_of
from trading.tests.factories import AT, D, RestingFactory

prices = st.integers(95, 105).map(Decimal)


def tick(sequence: int, low: str = "100", high: str = "100", **changes: Any) -> Tick:
    """Around 100, a second after the one before."""
    values: dict[str, Any] = {"bid": D(99), "ask": D(101), "at": AT + timedelta(seconds=sequence)} | changes
    return Tick("BTC-USD", sequence, low=D(low), high=D(high), **values)


def untriggered(number: int, price: str, *, rises: bool, **changes: Any) -> Untriggered:
    """Waits for a mark."""
    values: dict[str, Any] = {"trigger_by": TriggerBy.MARK, "admitted_sequence": 0, "admitted_at": AT} | changes
    return Untriggered(
        order_id=number, uuid=UUID(int=number), account_id=1, rises=rises, trigger_price=D(price), **values
    )


@st.composite
def spans(draw: st.DrawFn) -> Span | None:
    """How a price moved, or nothing is known of it."""
    low, rise = draw(st.integers(94, 105)), draw(st.integers(0, 4))
    return None if low == 94 else (D(low), D(low + rise), D(low + rise // 2))


@st.composite
def storms(draw: st.DrawFn) -> list[Tick]:
    """Ticks in their order; the book changes at most from one to the next."""
    ticks, sequence = [], draw(st.integers(1, 3))
    for number in range(draw(st.integers(1, 4))):
        low, bid = draw(prices), draw(prices)
        sequence += draw(st.integers(0, 1))
        ticks.append(
            tick(
                sequence,
                str(low),
                str(low + draw(st.integers(0, 4))),
                bid=bid,
                ask=bid + draw(st.integers(1, 4)),
                at=AT + timedelta(milliseconds=number + 1),
                last=draw(spans()),
                mark=draw(spans()),
                index=draw(spans()),
            )
        )
    return ticks


@st.composite
def waiting(draw: st.DrawFn, number: int) -> Waiting:
    """An order of either kind, decided before, amid or after the ticks."""
    admitted = {"admitted_sequence": draw(st.integers(0, 8))}
    if draw(st.booleans()):
        order: Resting = RestingFactory.build(
            order_id=number, uuid=UUID(int=number), side=draw(st.sampled_from(Side)), price=draw(prices), **admitted
        )
        return order
    by, price = draw(st.sampled_from(TriggerBy)), draw(prices)
    return untriggered(number, str(price), rises=draw(st.booleans()), trigger_by=by, **admitted)


orders = st.integers(1, 6).flatmap(lambda count: st.tuples(*(waiting(number) for number in range(1, count + 1))))


def reached_by(order: Waiting, one: MarketTick) -> bool:
    """Whether a tick alone reaches an order."""
    if isinstance(order, Resting):
        return one.sequence > order.admitted_sequence and reaches(order, one) is not None
    return triggers(order, one)


def through(order: Waiting, ticks: Sequence[Tick]) -> bool:
    """Whether a trade in one of them went past a resting order's price."""
    if not isinstance(order, Resting):
        return False
    later = [tick for tick in ticks if tick.sequence > order.admitted_sequence]
    return any(hit.traded_through for tick in later if (hit := reaches(order, tick)))


@given(storms(), orders)
@settings(max_examples=200, deadline=None)
def test_ticks_as_one_reach_exactly_what_they_reach_one_by_one(ticks: list[Tick], waiting: tuple[Waiting, ...]) -> None:
    whole, market = conflate(ticks), WatchedOrders()
    for order in waiting:
        market.add(order)
        if order.admitted_sequence < ticks[0].sequence:
            assert reached_by(order, whole) == any(reached_by(order, tick) for tick in ticks)

    hits = market.take(ticks)

    assert {order_of(hit) for hit in hits} == {
        order for order in waiting if any(reached_by(order, tick) for tick in ticks)
    }
    assert len(hits) == len({order_of(hit) for hit in hits})
    for hit in hits:
        if isinstance(hit, Reached):
            assert hit.traded_through == through(hit.order, ticks)


def test_what_was_traded_at_the_edges_is_kept() -> None:
    ticks = [
        tick(1, "98", "101", sold_at_low=D(2), bought_at_high=D(1)),
        tick(2, "97", "101", sold_at_low=D(3), bought_at_high=D(4)),
        tick(3, "97", "100", sold_at_low=D(5), bought_at_high=D(9)),
    ]

    whole = conflate(ticks)

    assert (whole.low, whole.sold_at_low, whole.high, whole.bought_at_high) == (97, 8, 101, 5)
    assert (whole.sequence, whole.at) == (3, ticks[-1].at)


def test_the_best_prices_of_all_ticks_count() -> None:
    whole = conflate([tick(1, bid=D(99), ask=D(101)), tick(2, bid=D(100), ask=D(102)), tick(3, bid=D(98), ask=D(103))])

    assert (whole.bid, whole.ask) == (100, 101)


def test_volume_of_each_tick_counts_in_the_queue() -> None:
    """5 stand before the order; 3 and 3 are traded there, the second after the price was lower on the other side."""
    market = WatchedOrders()
    order: Resting = RestingFactory.build(price=D(98), queue_ahead=D(5))
    market.add(order)

    (hit,) = market.take([tick(1, "98", sold_at_low=D(3)), tick(2, "99"), tick(3, "98", sold_at_low=D(3))])

    assert isinstance(hit, Reached)
    assert (hit.traded_through, hit.traded and hit.traded.quantity) == (False, 6)


def test_the_widest_span_ends_with_the_latest_price() -> None:
    first, second = (D(98), D(103), D(99)), (D(97), D(101), D(100))

    assert widest([None, first, second, None]) == (97, 103, 100)
    assert widest([None, None]) is None


def test_a_later_book_is_newer_whatever_the_clock_says() -> None:
    one = tick(5)

    assert is_newer(one, None)
    assert is_newer(tick(6, at=AT - timedelta(hours=1)), one)
    assert is_newer(tick(5, "99", at=one.at), one)  # prices moved while the book stood still
    assert is_newer(tick(5, at=one.at + timedelta(seconds=1)), one)
    assert not is_newer(tick(5), one)
    assert not is_newer(tick(5, at=one.at - timedelta(seconds=1)), one)
    assert not is_newer(tick(4, at=one.at + timedelta(hours=1)), one)


def test_ticks_that_repeat_or_go_back_reach_nobody() -> None:
    market, low = WatchedOrders(), (D(90), D(100), D(100))
    market.add(RestingFactory.build(price=D(95)))
    market.add(untriggered(1, "95", rises=False))
    reaching = tick(5, "90", mark=low)

    assert len(market.take([reaching])) == 2
    assert market.take([reaching, tick(4, "90", mark=low)]) == []
    assert market.take([]) == []
    assert len(market.take([tick(6, "90", mark=low)])) == 2


def test_an_order_is_kept_as_one_kind() -> None:
    """A stop-limit order that was triggered rests from then on."""
    market, stop = WatchedOrders(), untriggered(7, "95", rises=False)
    rests = RestingFactory.build(uuid=stop.uuid, price=D(90))
    market.add(stop)
    market.add(rests)

    assert (list(market), len(market), market.knows(rests), market.knows(stop)) == ([rests], 1, True, False)
    market.add(stop)
    assert (list(market), stop.uuid in market) == ([stop], True)
    market.remove(stop.uuid)
    assert (list(market), stop.uuid in market) == ([], False)


def test_memory_of_ticks_is_bounded_in_a_storm() -> None:
    market = WatchedOrders()
    market.take([tick(number, at=AT) for number in range(1, TICKS_KEPT_MAX + 1)])
    assert market.knows_since(1)

    market.take([tick(TICKS_KEPT_MAX + 1, at=AT)])

    assert not market.knows_since(1)
    assert market.knows_since(2)
    assert len(market.untriggered._ticks) == len(market.resting._ticks) == TICKS_KEPT_MAX


def second(offset: int, sequence: int, low: str, high: str) -> ConflatedTick:
    """A second of the past, in which every price moved alike."""
    span = (D(low), D(high), D(high))
    at = AT + timedelta(seconds=offset)
    return ConflatedTick(
        sequence=sequence, at=at, bid=D(high), ask=D(low), low=D(low), high=D(high), sold_at_low=D(0),
        bought_at_high=D(0), last=span, mark=span, index=span,
    )  # fmt: skip


def test_seconds_of_the_past_count_from_the_one_after_the_admission() -> None:
    rests: Resting = RestingFactory.build(price=D(95), admitted_sequence=10, admitted_at=AT + timedelta(seconds=0.5))
    stop = untriggered(1, "95", rises=False, admitted_sequence=10, admitted_at=rests.admitted_at)
    spike, same = [second(0, 12, "90", "100")], [second(1, 10, "90", "100")]

    assert [missed(rests, spike), missed(stop, spike)] == [None, None]  # the second it came in
    assert [missed(rests, same), missed(stop, same)] == [None, stop]  # the book stood still, the mark did not
    assert missed(stop, [second(1, 9, "90", "100")]) is None
    assert missed(rests, [second(1, 11, "95", "100"), second(2, 12, "94", "100")]) == Reached(rests, True)
    assert missed(rests, [second(1, 11, "95", "100")]) == Reached(rests, False)


def test_what_a_market_missed_is_found_in_the_seconds() -> None:
    market = WatchedOrders()
    for number, price in ((1, 95), (2, 92)):
        market.add(RestingFactory.build(order_id=number, price=D(price)))
    market.add(untriggered(3, "104", rises=True))
    market.add(untriggered(4, "106", rises=True, admitted_at=AT + timedelta(seconds=30)))

    hits = market.missed([second(1, 1, "94", "106"), second(2, 2, "99", "101")])

    assert [order_of(hit).order_id for hit in hits] == [3, 1]
    assert market.missed([]) == []


def test_triggers_come_before_what_rests() -> None:
    market = WatchedOrders()
    market.add(RestingFactory.build(order_id=1, price=D(95)))
    market.add(untriggered(2, "104", rises=True))

    hits = market.take([tick(1, "94", "106", mark=(D(94), D(106), D(100)))])

    assert [order_of(hit).order_id for hit in hits] == [2, 1]


def test_of_two_finds_nothing_is_lost() -> None:
    order: Resting = RestingFactory.build()
    later: Resting = RestingFactory.build(uuid=order.uuid, price=D(99))
    stop: Hit = untriggered(1, "95", rises=False)

    assert both(None, stop) == both(stop, stop) == stop
    assert both(Reached(order, True), Reached(order, False)) == Reached(order, True)
    turn = Traded(quantity=D(2), since=1, until=2)
    assert both(Reached(order, False, turn), Reached(order, True)) == Reached(order, True, turn)
    assert both(Reached(order, True), Reached(later, False)) == Reached(later, False)  # it was replaced meanwhile
