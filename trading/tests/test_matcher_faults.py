"""The matcher when things go wrong, and orders with a trigger, on the real database and Redis."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from astrade.core.clock import system_clock, to_ms
from astrade.core.leases import acquire
from astrade.core.redis import sync_client
from marketdata import frames, keys
from marketdata.tape import SecondExtremes
from marketdata.tests.factories import publish, quote_of
from trading.domain.lifecycle import OrderType, TriggerBy
from trading.matcher import BACKLOG, LAG, RESTING_ORDERS, UNTRIGGERED_ORDERS, Matcher
from trading.models import Fill, Order, TradingAccount
from trading.resting import shard_of
from trading.tests.conftest import Feed, make_market
from trading.tests.factories import D, open_account, place
from trading.tests.test_matcher import (
    A_WHILE_S,
    assert_booked_once,
    by_hand,
    matching,
    status_of,
    tick,
    touch,
    until,
    watched,
)
from trading.verification import CHECKS, run_check

pytestmark = pytest.mark.django_db(transaction=True)
OTHER_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename = current_user
"""


@pytest.fixture
def account(feed: Feed) -> TradingAccount:
    """10,000, and a market around 100."""
    return open_account()


def stop(account: TradingAccount, trigger_price: str, **changes: Any) -> None:
    """A stop order by the mark, to buy one."""
    values: dict[str, Any] = {
        "type": OrderType.STOP,
        "trigger_price": D(trigger_price),
        "trigger_by": TriggerBy.MARK,
    } | changes
    place(account, "1", **values)


def mark_moves(mark: str, *, sequence: int, back_s: float = 0) -> None:
    """The book stays around 100, the mark doesn't."""
    at = system_clock() - timedelta(seconds=back_s)
    publish("BTC-USD", bids=(("99", "9"),), asks=(("101", "9"),), mark=mark, sequence=sequence, at=at)


def expire(lease: str) -> None:
    """As if its holder had died nine seconds ago."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE core_lease SET expires_at = clock_timestamp() - interval '1 ms' WHERE name = %s", [lease]
        )


def assert_sound() -> None:
    """Every check of the ledger, over all accounts."""
    assert [finding for name in CHECKS for finding in run_check(name)] == []


def test_a_tick_that_reaches_its_trigger_fills_a_stop_order(account: TradingAccount) -> None:
    with matching() as matcher:
        stop(account, "105")
        stop(account, "106")
        until(lambda: watched(matcher) == 2)
        mark_moves("105", sequence=2)
        until(lambda: status_of(1) == "filled")
        until(lambda: watched(matcher) == 1)

    assert (status_of(2), Fill.objects.get().price) == ("untriggered", 101)
    assert_booked_once(account, fills=1)


def test_a_triggered_stop_limit_order_rests_and_is_filled_then(account: TradingAccount) -> None:
    with matching() as matcher:
        stop(account, "105", type=OrderType.STOP_LIMIT, price="96")
        until(lambda: watched(matcher) == 1)
        mark_moves("105", sequence=2)
        until(lambda: [len(market.resting) for market in matcher.markets.values()] == [1])
        assert status_of() == "open"
        touch("96", "9", sequence=3)
        until(lambda: status_of() == "filled")

    assert Fill.objects.get().price == 96


def test_a_trigger_reached_while_nobody_matched_is_looked_up(account: TradingAccount) -> None:
    """The mark rose and fell again before the matcher started; another order's trigger was not reached."""
    stop(account, "105")
    stop(account, "107")
    Order.objects.update(admitted_at=system_clock() - timedelta(seconds=30))
    mark_moves("106", sequence=2, back_s=10)
    mark_moves("100", sequence=3)

    with matching() as matcher:
        until(lambda: status_of(1) == "filled")
        until(lambda: watched(matcher) == 1)

    assert status_of(2) == "untriggered"


def test_a_feed_that_stopped_triggers_nothing(account: TradingAccount) -> None:
    with matching() as matcher:
        stop(account, "105")
        until(lambda: watched(matcher) == 1)
        mark_moves("106", sequence=2, back_s=60)
        time.sleep(A_WHILE_S)
        assert status_of() == "untriggered"
        mark_moves("106", sequence=3)
        until(lambda: status_of() == "filled")


def test_prices_too_old_for_the_matchers_clock_reach_nobody(account: TradingAccount) -> None:
    """Its clock jumps ahead by an hour and comes back."""
    place(account, "1", price="95")
    touch("95", "9", sequence=2)
    reaching = [frames.Tick("BTC-USD", n, D(90), D(95), D(95), D(95), system_clock()) for n in (2, 3)]

    asyncio.run(by_hand(Matcher(clock=lambda: system_clock() + timedelta(hours=1)), reaching[0]))
    assert status_of() == "open"
    asyncio.run(by_hand(Matcher(), reaching[1]))
    assert status_of() == "filled"


def test_a_tick_that_nobody_understands_ends_nothing(account: TradingAccount) -> None:
    with matching() as matcher:
        stop(account, "105")
        until(lambda: watched(matcher) == 1)
        for raw in (b"", b"not json", b"{}", b'["BTC-USD"]', b"\xff"):
            sync_client().publish(keys.TICKS, raw)
        mark_moves("105", sequence=2)
        until(lambda: status_of() == "filled")

    assert_booked_once(account, fills=1)


def test_a_feed_whose_clock_was_set_back_is_heard(account: TradingAccount) -> None:
    """A later book with an earlier time, still fresh."""
    place(account, "1", price="95")
    touch("95", "9", sequence=3)
    now = system_clock()
    before = frames.Tick("BTC-USD", 2, D(99), D(101), D(100), D(100), now)
    after = frames.Tick("BTC-USD", 3, D(90), D(95), D(95), D(95), now - timedelta(seconds=3))

    asyncio.run(by_hand(Matcher(), before, after))

    assert status_of() == "filled"


def test_two_matchers_at_work_at_once_book_once(feed: Feed) -> None:
    """The second holds another lease by mistake; both hear every tick."""
    accounts = [open_account() for _ in range(4)]
    for account in accounts:
        for price in ("95", "94"):
            place(account, "1", price=price)
        stop(account, "105")
    with matching() as one, matching(lease="matcher:mistake") as other:
        until(lambda: watched(one) == watched(other) == 12)
        mark_moves("105", sequence=2)
        touch("94", "1000", sequence=3)
        for sequence in range(4, 8):
            tick("94", sequence=sequence, low="90")
        until(lambda: not Order.objects.exclude(status="filled").exists())
        until(lambda: watched(one) == watched(other) == 0)

    assert Fill.objects.count() == 12
    assert_sound()


def test_a_storm_at_one_price_is_booked_once_each_however_often_it_is_told(feed: Feed) -> None:
    accounts = [open_account(balance="100000") for _ in range(5)]
    for _ in range(20):
        for account in accounts:
            place(account, "0.1", price="95")
    with matching(threads=3) as matcher:
        until(lambda: watched(matcher) == 100)
        touch("94", "1000", sequence=2)
        for sequence in range(3, 60):
            tick("94", sequence=sequence, low="93")
            assert sum(len(lane.waiting) for lane in matcher.lanes) <= 100
        until(lambda: not Order.objects.exclude(status="filled").exists())
        until(lambda: watched(matcher) == 0)
        until(lambda: not any(lane.waiting or lane.booking for lane in matcher.lanes))

    assert Fill.objects.count() == 100
    assert_sound()


def test_a_frozen_users_orders_are_not_filled(account: TradingAccount) -> None:
    with matching() as matcher:
        place(account, "1", price="95")
        until(lambda: watched(matcher) == 1)
        User.objects.update(state="frozen")
        tick("94", sequence=2, low="90")
        time.sleep(A_WHILE_S)

    assert status_of() == "open"


def test_it_goes_on_when_the_database_was_away(account: TradingAccount) -> None:
    """All its connections break; the order is reached before it has new ones."""
    with matching() as matcher:
        place(account, "1", price="95")
        until(lambda: watched(matcher) == 1)
        with connection.cursor() as cursor:
            cursor.execute(OTHER_SESSIONS)
        tick("100", sequence=2, low="90")
        until(lambda: status_of() == "filled")

    assert_booked_once(account, fills=1)


def test_what_redis_did_not_tell_is_looked_up(account: TradingAccount) -> None:
    """The price fell below the order and came back while its subscription was broken."""
    place(account, "1", price="95")
    Order.objects.update(admitted_at=system_clock() - timedelta(seconds=30))
    with matching() as matcher:
        until(lambda: watched(matcher) == 1)
        time.sleep(A_WHILE_S)
        remember("94", back_s=5, sequence=2)
        drop_subscriptions()
        until(lambda: status_of() == "filled")

    assert_booked_once(account, fills=1)


def remember(price: str, *, back_s: int, sequence: int) -> None:
    """A second of the past, of which no tick tells."""
    ring, at = SecondExtremes(), system_clock() - timedelta(seconds=back_s)
    ring.take(quote_of("BTC-USD", price), at_ms=to_ms(at), traded=())
    sync_client().hset(keys.extremes("BTC-USD"), str(ring.second % keys.EXTREMES_KEPT_S), ring.encoded(sequence))


def drop_subscriptions() -> None:
    """Of this installation; the server may have other guests."""
    mine = str(sync_client().connection_pool.connection_kwargs["db"])
    for client in sync_client().client_list(_type="pubsub"):
        if client["db"] == mine:
            sync_client().client_kill_filter(_id=client["id"])


def test_a_shard_moves_when_its_holder_died(account: TradingAccount) -> None:
    place(account, "1", price="95")
    assert acquire("matcher:0", holder="died") is not None

    with matching(waits=True) as matcher:
        time.sleep(A_WHILE_S)
        assert watched(matcher) == 0  # the lease is still the other's
        expire("matcher:0")
        until(lambda: watched(matcher) == 1)
        until(lambda: told("95", low="90") and status_of() == "filled")


def told(price: str, *, low: str) -> bool:
    """The same tick, again and again: the successor hears it once it listens."""
    tick(price, sequence=2, low=low)
    return True


def test_a_matcher_that_lost_its_lease_forgets_all(account: TradingAccount) -> None:
    """It notices when it wants to renew; somebody else has the lease by then."""
    place(account, "1", price="95")
    with matching() as matcher:
        until(lambda: watched(matcher) == 1)
        expire("matcher:0")
        assert acquire("matcher:0", holder="successor") is not None
        until(lambda: watched(matcher) == 0)
        tick("95", sequence=2, low="90")
        time.sleep(A_WHILE_S)

    assert status_of() == "open"


def test_shards_have_their_own_markets_and_leave_none_out(feed: Feed) -> None:
    symbols = ["BTC-USD", "ETH-USD", "SOL-USD", "DOGE-USD"]
    assert [shard_of(symbol, shards=2) for symbol in symbols] == [0, 1, 1, 1]  # in every process
    for symbol in symbols[1:]:
        make_market(symbol)
        feed(symbol=symbol)
    account = open_account()
    for symbol in symbols:
        place(account, "1", price="95", symbol=symbol)

    with matching(shard=0, shards=2) as first, matching(shard=1, shards=2) as second:
        until(lambda: watched(first) + watched(second) == 4)
        place(account, "1", price="94", symbol="ETH-USD")  # comes by the event feed
        until(lambda: watched(first) + watched(second) == 5)
        for shard, matcher in enumerate((first, second)):
            mine = {symbol for symbol, market in matcher.markets.items() if len(market)}
            assert mine == {symbol for symbol in symbols if shard_of(symbol, shards=2) == shard}
        for symbol in symbols:
            feed(symbol=symbol, bids=(("90", "9"),), asks=(("94", "9"),), sequence=2)
        until(lambda: not Order.objects.exclude(status="filled").exists())

    assert_sound()


def test_what_it_watches_and_how_far_it_is_behind_is_measured(account: TradingAccount) -> None:
    with matching() as matcher:
        place(account, "1", price="95")
        stop(account, "105")
        until(lambda: watched(matcher) == 2)
        until(lambda: [gauge.labels("0")._value.get() for gauge in (RESTING_ORDERS, UNTRIGGERED_ORDERS)] == [1, 1])
        mark_moves("100", sequence=2, back_s=5)
        until(lambda: 4 < LAG.labels("0")._value.get() < 20)
        assert BACKLOG.labels("0")._value.get() == 0

    assert [gauge.labels("0")._value.get() for gauge in (RESTING_ORDERS, UNTRIGGERED_ORDERS, LAG)] == [0, 0, 0]
