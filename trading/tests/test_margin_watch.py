"""The margin watcher end to end: real positions, real prices on Redis, real liquidations; only time is ours to wait
for."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from hypothesis import given
from hypothesis import strategies as st

from astrade.core.clock import system_clock
from astrade.core.redis import async_client
from trading.domain.lifecycle import Side
from trading.domain.margin import summarise
from trading.domain.state import CashState
from trading.exposures import Exposure, exposures, exposures_of
from trading.margin_watch import MarginWatcher, margin_watch_runners
from trading.models import CashBalance, Liquidation, Order, TradingAccount
from trading.services.liquidation import liquidation_step
from trading.services.positions import close_position
from trading.tests.conftest import Feed, make_market
from trading.tests.domain.test_liquidation import board_of, looked_at
from trading.tests.factories import MARKET_ID, AccountStateFactory, D, PositionStateFactory, open_account, place, ref
from trading.tests.services.test_liquidation import assert_sound, at_price, worth
from trading.tests.test_matcher import WITHIN_S, until

A_WHILE_S = 0.8  # three looks of the watcher
stored = pytest.mark.django_db(transaction=True)


@contextmanager
def watching(*, lease: str | None = None, **changes: Any) -> Iterator[MarginWatcher]:
    """A watcher in a thread of its own, as in `streams`; `lease` makes it wait for another one than its shard's."""
    watcher = MarginWatcher(**({"threads": 2} | changes))
    watcher.name = lease or watcher.name
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        asyncio.get_running_loop().set_default_executor(leases)
        try:
            await watcher.run(stop)
        finally:
            await async_client().aclose()

    leases = ThreadPoolExecutor(1)
    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        yield watcher
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(WITHIN_S)
        leases.submit(connections.close_all)
        leases.shutdown()
        loop.close()


@pytest.fixture
def account(feed: Feed) -> TradingAccount:
    """Long 90 at 100 with leverage 10: 1,051 of cash after the fee."""
    return long_account(feed)


def long_account(feed: Feed) -> TradingAccount:
    """One more of them, on a book of its own."""
    at_price(feed, "99", "100", sequence=2)
    account = open_account(balance="1060")
    place(account, "90", leverage=10)
    return account


def is_liquidated() -> bool:
    """Whether a step is committed."""
    return Liquidation.objects.exclude(order=None).exists()


@stored
def test_an_account_that_falls_to_maintenance_is_brought_back(account: TradingAccount, feed: Feed) -> None:
    healthy = open_account()
    place(healthy, "1")
    place(account, "1", price="90", leverage=10)

    with watching() as watcher:
        until(lambda: watcher.accounts.keys() == {account.pk, healthy.pk})
        at_price(feed, "89", "91", sequence=3)
        until(is_liquidated)
        until(lambda: worth(account).equity > worth(account).maintenance)
        time.sleep(A_WHILE_S)

    assert Order.objects.get(number=2, account=account).reason == "liquidation"
    assert list(Liquidation.objects.order_by("id").values_list("orders_cancelled", flat=True)) == [1, 0]
    assert not Liquidation.objects.filter(account=healthy).exists()
    assert_sound(account)


@stored
def test_positions_that_come_and_go_are_followed(feed: Feed) -> None:
    with watching() as watcher:
        account = long_account(feed)
        until(lambda: account.pk in watcher.accounts)
        close_position(account=ref(account), symbol="BTC-USD")
        until(lambda: account.pk not in watcher.accounts)
        other = long_account(feed)
        until(lambda: other.pk in watcher.accounts)
        at_price(feed, "80", "81", sequence=3)
        until(lambda: other.pk not in watcher.accounts)

    assert CashBalance.objects.get(account=other).balance == 0
    assert_sound(other)


@stored
def test_a_watcher_that_starts_in_the_middle_of_a_liquidation_goes_on(account: TradingAccount, feed: Feed) -> None:
    place(account, "1", price="90", leverage=10)
    at_price(feed, "89", "91", sequence=3)
    liquidation_step(ref(account))  # the first of two steps, then the process is killed
    assert not is_liquidated()

    with watching():
        until(is_liquidated)

    assert worth(account).equity > worth(account).maintenance
    assert_sound(account)


@stored
def test_stale_marks_liquidate_nobody_until_they_are_fresh(account: TradingAccount, feed: Feed) -> None:
    at_price(feed, "89", "91", sequence=3, at=system_clock() - timedelta(minutes=1))
    with watching() as watcher:
        until(lambda: bool(watcher.accounts))
        time.sleep(A_WHILE_S)
        assert not Liquidation.objects.exists()
        at_price(feed, "89", "91", sequence=4)
        until(is_liquidated)


@stored
def test_two_watchers_by_mistake_liquidate_once(account: TradingAccount, feed: Feed) -> None:
    """The second has a lease of its own, and every account as well."""
    others = [long_account(feed) for _ in range(3)]

    with watching() as first, watching(lease="margin-watch:by-mistake") as second:
        until(lambda: len(first.accounts) == len(second.accounts) == 4)
        at_price(feed, "89", "91", sequence=3)
        until(lambda: Liquidation.objects.count() >= 4)
        time.sleep(A_WHILE_S)

    assert Liquidation.objects.count() == 4
    for one in (account, *others):
        assert worth(one).equity > worth(one).maintenance
        assert_sound(one)


@stored
def test_a_profit_elsewhere_is_seen(account: TradingAccount, feed: Feed) -> None:
    make_market("ETH-USD")
    at_price(feed, "99", "100", sequence=2, symbol="ETH-USD")
    place(account, "1", symbol="ETH-USD", leverage=10)
    with watching() as watcher:
        until(lambda: len(watcher.accounts) == 1 and len(watcher.accounts[account.pk].holdings) == 2)
        at_price(feed, "125", "126", sequence=3, symbol="ETH-USD")
        at_price(feed, "89", "91", sequence=3)
        time.sleep(A_WHILE_S)
        assert not Liquidation.objects.exists()
        at_price(feed, "105", "106", sequence=4, symbol="ETH-USD")
        until(is_liquidated)


@stored
def test_each_shard_has_its_accounts(account: TradingAccount, feed: Feed) -> None:
    other = long_account(feed)
    shards = [exposures(shard=shard, shards=2).keys() for shard in range(2)]

    assert sorted([*shards[0], *shards[1]]) == sorted([account.pk, other.pk])
    assert all(account_id % 2 == shard for shard, ids in enumerate(shards) for account_id in ids)
    assert exposures_of([other.pk]).keys() == {other.pk}
    with watching(shard=other.pk % 2, shards=2) as watcher:
        until(lambda: other.pk in watcher.accounts)
        third = long_account(feed)
        fourth = long_account(feed)
        mine = {pk for pk in (account.pk, other.pk, third.pk, fourth.pk) if pk % 2 == other.pk % 2}
        until(lambda: watcher.accounts.keys() == mine)


@stored
def test_an_exposure_is_read_with_two_queries(
    account: TradingAccount, feed: Feed, django_assert_num_queries: Any
) -> None:
    long_account(feed)
    with django_assert_num_queries(2):
        assert len(exposures(shard=0, shards=1)) == 2


def test_the_watcher_is_what_streams_runs(settings: Any) -> None:
    settings.MARGIN_WATCH_SHARDS = 2
    assert [runner.name for runner in margin_watch_runners()] == ["margin-watch:0", "margin-watch:1"]


amounts = st.integers(1, 10**7).map(lambda n: D(n).scaleb(-2))


@given(st.sampled_from([1, -1]), amounts, amounts, amounts, st.integers(-(10**6), 10**6), st.integers(0, 300))
def test_spare_is_equity_less_maintenance(
    sign: int, quantity: Decimal, entry: Decimal, mark: Decimal, cash: int, rate_bps: int
) -> None:
    """The watcher's short sum says what the full one says, to the last digit."""
    rate, cost = D(rate_bps).scaleb(-4), quantity * entry
    account = AccountStateFactory.build(cash=CashState(1, "USD", D(cash)))
    account.positions[MARKET_ID] = PositionStateFactory.build(quantity=sign * quantity, entry_notional=cost)
    exposure = Exposure(1, D(cash) - sign * cost, ((MARKET_ID, sign * quantity),))

    worth = summarise(account, board_of(looked_at(str(mark), str(mark)), maintenance_margin_rate=rate))

    assert exposure.spare({MARKET_ID: mark}, {MARKET_ID: rate}) == worth.equity - worth.maintenance
    assert exposure.spare({}, {MARKET_ID: rate}) is None


@stored
def test_exposure_of_a_short(feed: Feed) -> None:
    account = open_account()
    place(account, "2", side=Side.SELL)  # 1 at 99 and 1 at 98, for a fee of 0.197
    assert exposures_of([account.pk])[account.pk].base == 10_000 - D("0.197") + 197
