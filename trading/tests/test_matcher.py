"""The matcher end to end: real orders, real ticks on Redis, real bookings; only time is ours to wait for."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from astrade.core.clock import system_clock
from astrade.core.redis import async_client, sync_client
from marketdata import frames, keys
from marketdata.selectors import forget_markets
from marketdata.tests.factories import quote_of
from trading.domain.lifecycle import Side
from trading.domain.replacing import Changes
from trading.loading import OrderRef
from trading.matcher import Matcher, matcher_runners
from trading.models import Event, Fill, Order, TradingAccount
from trading.services.orders import cancel_order
from trading.services.replacing import replace_order
from trading.tests.conftest import Feed, make_market
from trading.tests.factories import D, open_account, place, ref
from trading.verification import CHECKS, run_check

pytestmark = pytest.mark.django_db(transaction=True)
WITHIN_S = 20.0
A_WHILE_S = 0.6  # three turns of the matcher's own clock


@contextmanager
def matching(*, lease: str | None = None, waits: bool = False, **changes: Any) -> Iterator[Matcher]:
    """A matcher in a thread of its own, as in `streams`; listening when the block begins, unless it `waits` for its
    lease. `lease` is another one than its shard's.
    """
    matcher, loop, stop = Matcher(**({"threads": 2} | changes)), asyncio.new_event_loop(), asyncio.Event()
    matcher.name = lease or matcher.name

    async def run() -> None:
        asyncio.get_running_loop().set_default_executor(leases)
        try:
            await matcher.run(stop)
        finally:
            await async_client().aclose()

    leases = ThreadPoolExecutor(1)  # where the lease is renewed, on a connection of its own
    listeners = ticks_listeners()
    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        until(lambda: waits or ticks_listeners() > listeners)
        yield matcher
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(WITHIN_S)
        leases.submit(connections.close_all)
        leases.shutdown()
        loop.close()


def ticks_listeners() -> int:
    """Who hears the feed."""
    (_, count), *_ = sync_client().pubsub_numsub(keys.TICKS)
    return int(count)


def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    give_up_at = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < give_up_at, "it never happened"
        time.sleep(0.02)


def watched(matcher: Matcher) -> int:
    """How many orders are in its memory."""
    return sum(len(market) for market in list(matcher.markets.values()))


def status_of(number: int = 1) -> str:
    """The order's, as committed."""
    return Order.objects.get(number=number).status


def tick(price: str, *, sequence: int, low: str | None = None, high: str | None = None) -> None:
    """A tick whose book says nothing new."""
    quote = quote_of("BTC-USD", price)
    encoded = frames.tick(quote, sequence=sequence, low=D(low or price), high=D(high or price))
    sync_client().publish(keys.TICKS, encoded)


def touch(ask: str, size: str, *, sequence: int) -> None:
    """The best ask comes down to a price, and nothing was traded beyond it."""
    quote = quote_of("BTC-USD", ask)
    levels = {"bids": {"90": "1"}, "asks": {ask: size}}
    book = frames.book_snapshot("BTC-USD", sequence=sequence, at=quote.at, **levels)
    with sync_client().pipeline(transaction=False) as pipe:
        pipe.set(keys.book("BTC-USD"), book)
        pipe.hset(keys.QUOTES, "BTC-USD", frames.quote_value(quote, None))
        pipe.publish(keys.TICKS, frames.tick(quote, sequence=sequence, low=D(ask), high=D(ask)))
        pipe.execute()


@pytest.fixture
def account(feed: Feed) -> TradingAccount:
    """10,000, and a market around 100."""
    return open_account()


def assert_booked_once(account: TradingAccount, *, fills: int) -> None:
    """One fill an order, and every check of the ledger."""
    assert Fill.objects.filter(account=account).count() == fills
    assert [finding for name in CHECKS for finding in run_check(name)] == []


def test_a_tick_that_touches_a_resting_order_fills_it(account: TradingAccount, feed: Feed) -> None:
    with matching() as matcher:
        place(account, "1", price="95")
        until(lambda: watched(matcher) == 1)
        touch("95", "5", sequence=2)
        until(lambda: status_of() == "filled")
        until(lambda: watched(matcher) == 0)

    fill = Fill.objects.get()
    assert (fill.price, fill.quantity, fill.is_taker, fill.book_sequence) == (95, 1, False, 2)
    kinds = Event.objects.filter(account=account, sequence__gt=3).order_by("sequence").values_list("kind", flat=True)
    assert list(kinds) == ["trade_update", "order_update", "position_update", "balance_update"]
    assert_booked_once(account, fills=1)


def test_price_that_traded_through_fills_the_order_whole(account: TradingAccount) -> None:
    with matching() as matcher:
        place(account, "50", price="105", side=Side.SELL)
        until(lambda: watched(matcher) == 1)
        tick("100", sequence=2, high="106")
        until(lambda: status_of() == "filled")

    assert Fill.objects.get().price == 105


def test_ticks_that_repeat_or_go_back_book_nothing_twice(account: TradingAccount, feed: Feed) -> None:
    with matching() as matcher:
        place(account, "5", price="95")
        until(lambda: watched(matcher) == 1)
        touch("95", "2", sequence=3)
        until(lambda: status_of() == "partially_filled")
        for sequence in (3, 3, 2, 3, 1):
            tick("95", sequence=sequence)
        time.sleep(A_WHILE_S)

    assert Order.objects.get().filled_quantity == 2
    assert_booked_once(account, fills=1)


def test_a_market_out_of_reach_leaves_orders_alone(account: TradingAccount, feed: Feed) -> None:
    with matching() as matcher:
        place(account, "1", price="95")
        place(account, "1", price="105", side=Side.SELL)
        until(lambda: watched(matcher) == 2)
        feed(bids=(("96", "1"),), asks=(("97", "1"),), sequence=2)
        time.sleep(A_WHILE_S)

    assert [status_of(1), status_of(2)] == ["open", "open"]


def test_cancelled_order_is_forgotten(account: TradingAccount, feed: Feed) -> None:
    with matching() as matcher:
        place(account, "1", price="95")
        until(lambda: watched(matcher) == 1)
        cancel_order(account=ref(account), order=OrderRef(number=1))
        until(lambda: watched(matcher) == 0)
        tick("95", sequence=2, low="90")
        time.sleep(A_WHILE_S)

    assert status_of() == "cancelled"
    assert_booked_once(account, fills=0)


def test_memory_is_rebuilt_from_the_database_at_start(account: TradingAccount, feed: Feed) -> None:
    place(account, "1", price="95")
    place(account, "1", price="94")
    place(account, "1")

    with matching() as matcher:
        until(lambda: watched(matcher) == 2)
        feed(bids=(("90", "9"),), asks=(("94", "9"),), sequence=2)
        until(lambda: status_of(1) == status_of(2) == "filled")

    assert_booked_once(account, fills=3)


def test_what_happened_while_nobody_matched_is_looked_up(account: TradingAccount, feed: Feed) -> None:
    """The price went below the order and came back before the matcher started."""
    place(account, "1", price="95")
    Order.objects.update(admitted_at=system_clock() - timedelta(seconds=30))
    feed(bids=(("90", "1"),), asks=(("91", "1"),), sequence=2, at=system_clock() - timedelta(seconds=10))
    feed(bids=(("99", "1"),), asks=(("101", "1"),), sequence=3)

    with matching():
        until(lambda: status_of() == "filled")

    assert Fill.objects.get().price == 95
    assert_booked_once(account, fills=1)


def test_order_reached_between_its_admission_and_being_added(account: TradingAccount, feed: Feed) -> None:
    """The tick is taken before the matcher hears of the order, which was decided against the book before it."""
    with matching() as matcher:
        place(account, "1", price="90")
        until(lambda: watched(matcher) == 1)
        tick("100", sequence=5)
        tick("100", sequence=6, low="94")
        tick("100", sequence=7)
        until(lambda: matcher.markets["BTC-USD"].knows_since(5))
        time.sleep(0.1)
        feed(sequence=5)
        place(account, "1", price="95")
        until(lambda: status_of(2) == "filled")

    assert status_of(1) == "open"


def test_a_tick_is_not_lost_while_an_order_is_being_booked(account: TradingAccount) -> None:
    """A touch would fill a part; the trade through the price that comes before that is booked fills all, once."""
    place(account, "50", price="95")
    touch("95", "2", sequence=2)
    touched = frames.Tick("BTC-USD", 2, D(90), D(95), D(95), D(95), system_clock())
    through = frames.Tick("BTC-USD", 3, D(99), D(101), D(90), D(100), system_clock())
    again = frames.Tick("BTC-USD", 4, D(90), D(95), D(95), D(95), system_clock())

    asyncio.run(by_hand(Matcher(threads=1), touched, through, again))

    assert (status_of(), Order.objects.get().fill_count) == ("filled", 1)
    assert_booked_once(account, fills=1)


async def by_hand(matcher: Matcher, *ticks: frames.Tick) -> None:
    """Ticks that come faster than anything is booked, to a matcher without a lease; ends when all is booked."""
    matcher.open()
    await matcher.load()
    for tick in ticks:
        matcher.arrived(tick)
        await asyncio.sleep(0)
    while any(lane.waiting for lane in matcher.lanes):
        for lane in matcher.lanes:
            await lane.book_next()
    matcher.close()


def test_without_fresh_prices_nothing_is_booked_until_they_are_back(account: TradingAccount, feed: Feed) -> None:
    with matching() as matcher:
        place(account, "1", price="95")
        until(lambda: watched(matcher) == 1)
        feed(bids=(("90", "1"),), asks=(("91", "5"),), sequence=2, at=system_clock() - timedelta(minutes=1))
        time.sleep(A_WHILE_S)
        assert status_of() == "open"
        feed(bids=(("90", "1"),), asks=(("91", "5"),), sequence=3)
        until(lambda: status_of() == "filled")

    assert_booked_once(account, fills=1)


def test_two_matchers_by_mistake_book_once(account: TradingAccount, feed: Feed) -> None:
    """The second has no lease, so its memory is fed by hand."""
    for number in range(4):
        place(account, "1", price=str(92 + number))
    with matching() as matcher:
        until(lambda: watched(matcher) == 4)
        feed(bids=(("80", "9"),), asks=(("81", "99"),), sequence=2)
        tick = frames.Tick("BTC-USD", 2, D(80), D(81), D(80), D(100), system_clock())
        asyncio.run(by_hand(Matcher(threads=2), tick))
        until(lambda: not Order.objects.exclude(status="filled").exists())
        time.sleep(A_WHILE_S)

    assert_booked_once(account, fills=4)


def test_markets_are_apart_and_may_come_later(account: TradingAccount, feed: Feed) -> None:
    with matching() as matcher:
        make_market("ETH-USD")
        feed(symbol="ETH-USD")
        place(account, "1", price="95", symbol="ETH-USD")
        until(lambda: watched(matcher) == 1)
        tick("90", sequence=9)
        time.sleep(1.2)  # past the life of the list of markets
        assert status_of() == "open"
        feed(symbol="ETH-USD", bids=(("93", "1"),), asks=(("94", "9"),), sequence=2)
        until(lambda: status_of() == "filled")


def test_replaced_order_is_matched_at_its_new_price_only(account: TradingAccount, feed: Feed) -> None:
    """A tick that reaches the old price and not the new one changes nothing."""
    place(account, "1", price="96")
    changes = Changes(price=D(92))

    with matching() as matcher:
        until(lambda: prices_in(matcher) == [96])
        replace_order(account=ref(account), order=OrderRef(number=1), changes=changes)
        until(lambda: prices_in(matcher) == [92])
        touch("95", "5", sequence=2)
        time.sleep(A_WHILE_S)
        assert status_of() == "open"
        touch("92", "5", sequence=3)
        until(lambda: status_of() == "filled")

    assert Fill.objects.get().price == 92
    assert_booked_once(account, fills=1)


def prices_in(matcher: Matcher) -> list[int]:
    """What the matcher's memory waits for."""
    return [int(order.price) for market in matcher.markets.values() for order in market.resting]


def test_the_matcher_is_what_streams_runs(settings: Any) -> None:
    settings.MATCHER_THREADS = 3
    settings.MATCHER_SHARDS = 2
    runners = [runner for runner in matcher_runners() if isinstance(runner, Matcher)]
    assert [(runner.name, runner._threads) for runner in runners] == [("matcher:0", 3), ("matcher:1", 3)]
    forget_markets()
