"""The reader in `streams`, with real transactions: prompt, alone, and in nobody's way."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.db.models import Sum

from astrade.core.redis import async_client, sync_client
from astrade.core.runners import Runner
from gamification.domain.rules import Fact
from gamification.frames import channel_of
from gamification.intake import process_batch
from gamification.models import MissionProgress, Progress, SkippedEvent, XpEntry
from gamification.reader import HINTS, game_runners
from gamification.services import UserFact, play_facts
from gamification.tests.factories import fill_data, order_data
from trading.models import TradingAccount
from trading.tests.event_factories import AT, AccountFactory, EventFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("catalogue")]
TOGETHER = 4  # one less than the mission wants
WITHIN_S = 30.0  # other work on the same server may hold events back for a while


def tell_trades(accounts: list[TradingAccount], orders: int) -> None:
    """Filled market orders as a booking tells them, account by account, each in its own transaction."""
    for number in range(orders):
        for account in accounts:
            with transaction.atomic():
                EventFactory.create(account=account, sequence=2 * number + 1, kind="order_update", data=order_data())
                EventFactory.create(account=account, sequence=2 * number + 2, kind="trade_update", data=fill_data())


def test_facts_of_one_player_played_at_once_all_count() -> None:
    account = AccountFactory.create()
    facts = [
        UserFact(account.user_id, Fact(number, "order_update", order_data(), AT)) for number in range(1, TOGETHER + 1)
    ]
    begin = threading.Barrier(TOGETHER)

    def play_one(fact: UserFact) -> None:
        try:
            connection.ensure_connection()
            begin.wait(WITHIN_S)
            play_facts([fact])
        finally:
            connection.close()

    with ThreadPoolExecutor(TOGETHER) as pool:
        list(pool.map(play_one, facts))
    assert MissionProgress.objects.get(mission__slug="crypto_prime_basic_trading").count == TOGETHER


def total_entries() -> int:
    return XpEntry.objects.count()


@pytest.fixture
async def one_thread(catalogue: None) -> AsyncIterator[None]:
    """All blocking calls of the loop in one thread, whose connection is closed at the end."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    yield
    await asyncio.to_thread(connections.close_all)


async def run_until(runners: list[Runner], done: Callable[[], bool]) -> None:
    """Run until `done`, then stop in order."""
    stop = asyncio.Event()
    running = [asyncio.create_task(runner.run(stop)) for runner in runners]
    give_up_at = time.monotonic() + WITHIN_S
    while not await asyncio.to_thread(done) and time.monotonic() < give_up_at:
        await asyncio.wait(running, timeout=0.02)
    stop.set()
    await asyncio.gather(*running)
    await async_client().aclose()


def test_two_readers_at_once_award_each_cause_once() -> None:
    accounts = [AccountFactory.create() for _ in range(4)]
    tell_trades(accounts, orders=5)
    give_up_at = time.monotonic() + WITHIN_S

    def work() -> None:
        while total_entries() < 8 and time.monotonic() < give_up_at:
            process_batch()
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    by_user = XpEntry.objects.values_list("user_id").annotate(total=Sum("amount"))
    assert sorted(by_user) == sorted((account.user_id, 120) for account in accounts)
    assert set(Progress.objects.values_list("xp", flat=True)) == {120}
    assert not SkippedEvent.objects.exists()


def test_busy_player_makes_the_batch_wait_and_no_event_is_skipped() -> None:
    account = AccountFactory.create()
    Progress.objects.create(user=account.user)
    EventFactory.create(account=account, sequence=1, kind="trade_update", data=fill_data(), xid=1)
    held, release = threading.Event(), threading.Event()

    def hold_player() -> None:
        with transaction.atomic():
            Progress.objects.select_for_update().get(user=account.user)
            held.set()
            release.wait(WITHIN_S)
        connection.close()

    thread = threading.Thread(target=hold_player)
    thread.start()
    held.wait(WITHIN_S)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '50ms'")
    with pytest.raises(OperationalError):
        process_batch()
    release.set()
    thread.join(WITHIN_S)

    assert process_batch() == 1
    assert (total_entries(), SkippedEvent.objects.count()) == (1, 0)
    connection.close()


@pytest.mark.usefixtures("one_thread")
async def test_runner_plays_what_was_and_what_comes() -> None:
    account = await asyncio.to_thread(AccountFactory.create)
    await asyncio.to_thread(lambda: tell_trades([account], orders=4))
    told = False

    def done() -> bool:
        nonlocal told
        if total_entries() == 1 and not told:
            told = True
            EventFactory.create(account=account, sequence=100, kind="order_update", data=order_data())
            sync_client().publish(HINTS, str(account.pk))
        return total_entries() == 2

    await run_until(game_runners(), done)

    progress = await asyncio.to_thread(Progress.objects.get, user_id=account.user_id)
    assert progress.xp == 120


@pytest.mark.usefixtures("one_thread")
async def test_second_process_waits_for_the_lease_and_harms_nothing() -> None:
    account = await asyncio.to_thread(AccountFactory.create)
    await asyncio.to_thread(lambda: tell_trades([account], orders=5))

    await run_until([*game_runners(), *game_runners()], lambda: total_entries() == 2)

    assert await asyncio.to_thread(total_entries) == 2


@pytest.mark.usefixtures("one_thread")
async def test_runner_survives_a_database_that_misses_its_table() -> None:
    await asyncio.to_thread(lambda: tell_trades([AccountFactory.create()], orders=1))
    broken_until = time.monotonic() + 1.5
    broken = False

    def done() -> bool:
        nonlocal broken
        if broken == (time.monotonic() >= broken_until):
            broken = not broken
            rename(back=not broken)
        return total_entries() == 1

    try:
        await run_until(game_runners(), done)
        assert await asyncio.to_thread(total_entries) == 1
    finally:
        await asyncio.to_thread(lambda: rename(back=True) if broken else None)


def rename(*, back: bool) -> None:
    """Take the readers' table away, or bring it back."""
    names = ("gone", "trading_readerposition") if back else ("trading_readerposition", "gone")
    as_superuser("ALTER TABLE {} RENAME TO {}".format(*names))


def as_superuser(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE NONE; {statement}; RESET ROLE")


def test_frame_leaves_when_the_award_is_committed() -> None:
    account = AccountFactory.create()
    EventFactory.create(account=account, sequence=1, kind="trade_update", data=fill_data())
    with sync_client().pubsub() as channel:
        channel.subscribe(channel_of(account.user_id))
        channel.get_message(timeout=5)
        give_up_at = time.monotonic() + WITHIN_S
        while not total_entries() and time.monotonic() < give_up_at:
            process_batch()
        frame = channel.get_message(timeout=5)

    assert frame is not None
    assert json.loads(frame["data"])["type"] == "mission_progress"
