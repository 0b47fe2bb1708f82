"""From account events to XP: each once, all or nothing, and never stopped by a bad one."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django.fixtures import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks, Settings

from accounts.tests.factories import UserFactory
from astrade.core.redis import sync_client
from gamification.frames import channel_of
from gamification.intake import process_all, process_batch, retry, retry_skipped
from gamification.models import Mission, MissionProgress, MissionStep, Progress, SkippedEvent, Unlock, XpEntry
from gamification.selectors import standing_of
from gamification.tasks import process_events
from gamification.tests.factories import FillEventFactory, MissionFactory, OrderEventFactory, order_data
from trading.models import Event, ReaderPosition, TradingAccount
from trading.tests.event_factories import AT, AccountFactory, EventFactory

pytestmark = pytest.mark.usefixtures("catalogue")


def trade(account: TradingAccount, orders: int) -> None:
    """Filled market orders, each with its opening event and its fill."""
    for _ in range(orders):
        data = order_data()
        OrderEventFactory.create(account=account, data=data | {"status": "open"})
        FillEventFactory.create(account=account)
        OrderEventFactory.create(account=account, data=data)
        EventFactory.create(account=account, xid=1, kind="balance_update", data={"balance": "1"})


def entries(user_id: int) -> list[tuple[int, str, int, int]]:
    found = XpEntry.objects.filter(user_id=user_id).order_by("number")
    return list(found.values_list("number", "source", "amount", "total_xp"))


def test_first_trade_and_five_orders_bring_120_xp_and_the_second_planet() -> None:
    account = AccountFactory.create()
    trade(account, orders=6)

    assert process_all(batches_max=5) == 24

    standing = standing_of(account.user_id)
    assert entries(account.user_id) == [
        (1, "mission:first_trade", 20, 20),
        (2, "mission:crypto_prime_basic_trading", 100, 120),
    ]
    assert (standing.total_xp, standing.level, standing.xp_to_next) == (120, 2, 80)
    assert (standing.current_planet, list(standing.unlocked_planets)) == (2, [1, 2])
    assert standing.completed_missions == ["first_trade", "crypto_prime_basic_trading"]
    assert MissionStep.objects.filter(mission__slug="crypto_prime_basic_trading").count() == 5


def test_four_orders_are_not_enough() -> None:
    account = AccountFactory.create()
    trade(account, orders=4)

    process_batch()

    standing = standing_of(account.user_id)
    assert (standing.total_xp, standing.unlocked_planets, standing.completed_missions) == (20, [1], ["first_trade"])
    assert MissionProgress.objects.get(mission__slug="crypto_prime_basic_trading").count == 4


@pytest.mark.parametrize(
    "changed", [{"type": "limit"}, {"status": "cancelled"}, {"source": "liquidation"}, {"source": "twap"}]
)
def test_other_orders_do_not_count(changed: dict[str, str]) -> None:
    OrderEventFactory.create(data=order_data(**changed))

    process_batch()

    assert not MissionProgress.objects.exists()


def test_orders_of_all_of_a_users_accounts_count_together() -> None:
    user = UserFactory.create()
    trade(AccountFactory.create(user=user), orders=2)
    trade(AccountFactory.create(user=user, name="Second"), orders=3)

    process_batch()

    assert standing_of(user.pk).total_xp == 120


def test_same_events_read_again_award_nothing_more() -> None:
    account = AccountFactory.create()
    trade(account, orders=5)
    process_batch()
    before = entries(account.user_id)
    ReaderPosition.objects.update(xid=0, row_id=0)

    assert process_batch() == 20

    assert not SkippedEvent.objects.exists()
    assert entries(account.user_id) == before
    assert standing_of(account.user_id).total_xp == 120


def test_subject_that_counted_counts_once_while_the_mission_goes_on() -> None:
    account = AccountFactory.create()
    trade(account, orders=2)
    process_batch()
    ReaderPosition.objects.update(xid=0, row_id=0)

    assert process_batch() == 8

    assert not SkippedEvent.objects.exists()
    assert MissionProgress.objects.get(mission__slug="crypto_prime_basic_trading").count == 2


def test_crash_before_the_position_is_stored_undoes_the_award() -> None:
    FillEventFactory.create()
    with pytest.raises(KeyboardInterrupt), transaction.atomic():
        process_batch()
        raise KeyboardInterrupt

    assert not XpEntry.objects.exists()
    assert process_batch() == 1
    assert XpEntry.objects.count() == 1


def test_event_without_its_fields_is_kept_aside_and_the_rest_is_played() -> None:
    good, bad = FillEventFactory.create(), OrderEventFactory.create(data={"type": "market"})
    last = FillEventFactory.create()

    assert process_all(batches_max=5) == 3

    skipped = SkippedEvent.objects.get()
    assert (skipped.event_id, skipped.attempts, skipped.resolved_at) == (bad.pk, 1, None)
    assert skipped.error == f"MalformedFact: event {bad.pk}: status is missing"
    assert {standing_of(event.account.user_id).total_xp for event in (good, last)} == {20}


def test_event_of_a_newer_schema_waits_until_it_is_understood() -> None:
    event = FillEventFactory.create(schema=2)

    process_batch()

    assert SkippedEvent.objects.get().event_id == event.pk


def test_skipped_event_is_played_once_its_cause_is_gone() -> None:
    mission = MissionFactory.create(where={"mood": ["good"]}, reward_xp=7)
    event = OrderEventFactory.create()
    process_batch()
    skipped = SkippedEvent.objects.get()

    assert retry_skipped(now=AT) == 0  # not due
    assert retry_skipped(now=skipped.retry_at) == 0  # due, and fails once more
    skipped.refresh_from_db()
    assert (skipped.attempts, skipped.retry_at) == (2, AT + timedelta(seconds=30 + 60))

    Mission.objects.filter(pk=mission.pk).update(where={})
    assert retry_skipped(now=skipped.retry_at) == 1
    assert retry(skipped.pk, now=skipped.retry_at) is False  # resolved

    skipped.refresh_from_db()
    assert skipped.resolved_at == skipped.retry_at
    assert standing_of(event.account.user_id).total_xp == 7


def test_delay_between_retries_ends_at_six_hours() -> None:
    OrderEventFactory.create(data={})
    process_batch()
    skipped = SkippedEvent.objects.get()
    SkippedEvent.objects.update(attempts=500)

    retry(skipped.pk, now=AT)

    assert SkippedEvent.objects.get().retry_at == AT + timedelta(hours=6)


def test_sweep_reads_and_retries() -> None:
    FillEventFactory.create()
    OrderEventFactory.create(data={})

    process_events()
    process_events()

    assert XpEntry.objects.count() == 1
    assert SkippedEvent.objects.get().attempts == 2  # the event is old, so it was due at once, and then in a minute


def test_inactive_mission_counts_nothing() -> None:
    Mission.objects.update(is_active=False)
    FillEventFactory.create()

    assert process_batch() == 1

    assert not Progress.objects.exists()


def test_entries_are_history() -> None:
    FillEventFactory.create()
    process_batch()

    for change in ("UPDATE gamification_xpentry SET amount = 1000", "DELETE FROM gamification_xpentry"):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change)
    assert XpEntry.objects.get().amount == 20


def test_one_cause_is_one_award_for_the_database_too() -> None:
    FillEventFactory.create()
    process_batch()
    entry = XpEntry.objects.get()
    twin = {"user_id": entry.user_id, "source": entry.source, "reason": "mission", "description": "", "at": AT}

    with pytest.raises(IntegrityError, match="xp_one_award_a_cause"), transaction.atomic():
        XpEntry.objects.create(number=2, amount=20, total_xp=40, precedence=1, **twin)


def test_batch_costs_the_same_few_queries_however_large(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    accounts = [AccountFactory.create() for _ in range(30)]
    for account in accounts:
        trade(account, orders=4)
    process_batch()
    for account in accounts:
        trade(account, orders=1)

    with django_assert_max_num_queries(18):  # four of them are the tests' and the batch's savepoints
        assert process_batch() == 120

    assert Progress.objects.filter(xp=120).count() == 30


def test_frames_are_published_after_commit(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    account = AccountFactory.create()
    trade(account, orders=5)
    with sync_client().pubsub() as channel:
        channel.subscribe(channel_of(account.user_id))
        channel.get_message(timeout=5)
        with django_capture_on_commit_callbacks(execute=True):
            process_batch()
        frames: list[dict[str, Any]] = []
        while len(frames) < 12 and (message := channel.get_message(timeout=5)):
            frames.append(json.loads(message["data"]))

    at = 1772366400000
    mission = {"mission": "crypto_prime_basic_trading", "at": at}
    assert frames[:4] == [
        {"type": "mission_progress", "mission": "first_trade", "count": 1, "target": 1, "at": at},
        {"type": "mission_completed", "mission": "first_trade", "reward_xp": 20, "at": at},
        {
            "type": "xp",
            "amount": 20,
            "source": "mission:first_trade",
            "total_xp": 20,
            "level": 1,
            "xp_to_next": 80,
            "at": at,
        },
        {"type": "mission_progress", "count": 1, "target": 5, **mission},
    ]
    source = "mission:crypto_prime_basic_trading"
    assert frames[7:] == [
        {"type": "mission_progress", "count": 5, "target": 5, **mission},
        {"type": "mission_completed", "reward_xp": 100, **mission},
        {"type": "xp", "amount": 100, "source": source, "total_xp": 120, "level": 2, "xp_to_next": 80, "at": at},
        {"type": "level_up", "level": 2, "at": at},
        {"type": "planet", "planet": 2, "source": source, "at": at},
    ]


@pytest.fixture
def redis_away(settings: Settings) -> Iterator[None]:
    """Nobody listens where Redis should be."""
    sync_client.cache_clear()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    yield
    sync_client.cache_clear()


def test_award_stands_without_redis(
    redis_away: None, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    FillEventFactory.create()

    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        process_batch()

    assert len(callbacks) == 1
    assert XpEntry.objects.count() == 1


stories = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["order", "open", "fill", "bad", "other"]), st.integers(0, 7)),
    max_size=60,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stories, st.lists(st.booleans(), min_size=8, max_size=8))
def test_xp_always_equals_its_entries_and_one_cause_gives_one_award(
    story: list[tuple[int, str, int]], crashes: list[bool]
) -> None:
    with transaction.atomic():
        accounts = [AccountFactory.create() for _ in range(3)]
        for who, what, identity in story:
            tell(accounts[who], what, str(identity))
        for crash in crashes:
            play_or_crash(crash)
        while process_batch():
            pass

        for account in accounts:
            check_user(account.user_id, [(what, identity) for who, what, identity in story if accounts[who] == account])
        transaction.set_rollback(True)


def tell(account: TradingAccount, what: str, identity: str) -> None:
    match what:
        case "fill":
            FillEventFactory.create(account=account, data={"id": identity})
        case "other":
            EventFactory.create(account=account, xid=1)
        case _:
            status = {"order": "filled", "open": "open", "bad": None}[what]
            OrderEventFactory.create(account=account, data=order_data(id=identity, status=status))


def play_or_crash(crash: bool) -> None:
    try:
        with transaction.atomic():
            process_batch()
            if crash:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        ReaderPosition.objects.filter(name="totals").delete()


def check_user(user_id: int, story: list[tuple[str, int]]) -> None:
    filled = {identity for what, identity in story if what == "order"}
    traded = any(what == "fill" for what, _ in story)
    expected = 20 * traded + 100 * (len(filled) >= 5)
    total = XpEntry.objects.filter(user_id=user_id).aggregate(total=Sum("amount"))["total"] or 0
    sources = list(XpEntry.objects.filter(user_id=user_id).values_list("source", flat=True))
    assert standing_of(user_id).total_xp == total == expected
    assert len(sources) == len(set(sources))
    assert Unlock.objects.filter(user_id=user_id).exists() is (len(filled) >= 5)
    numbers = XpEntry.objects.filter(user_id=user_id).order_by("number").values_list("number", flat=True)
    assert list(numbers) == list(range(1, len(sources) + 1))


def test_events_are_never_changed_by_reading_them() -> None:
    event = FillEventFactory.create()

    process_batch()

    kept = Event.objects.get(pk=event.pk)
    assert (kept.kind, kept.data, kept.at) == (event.kind, event.data, event.at)
