"""Readers over all accounts meet every event once, whatever commits late, crashes or runs twice."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from trading.models import Event, ReaderPosition, TradingAccount
from trading.readers import Cursor, advance, events_behind, next_events, present_cursor
from trading.tests.event_factories import AccountFactory, EventFactory

WITHIN_S = 30.0  # other work on the same server may hold events back for a while


def read(name: str = "totals", *, limit: int = 100) -> list[int]:
    """One page, as a reader takes it."""
    with transaction.atomic():
        events = next_events(name, limit=limit)
        advance(name, events)
    return [event.pk for event in events]


def read_until(count: int, *, name: str = "totals", limit: int = 100) -> list[int]:
    """Pages until `count` events were read."""
    found: list[int] = []
    give_up_at = time.monotonic() + WITHIN_S
    while len(found) < count and time.monotonic() < give_up_at:
        found += read(name, limit=limit)
    return found


@contextmanager
def elsewhere(begin: threading.Event, end: threading.Event, *, account: TradingAccount) -> Iterator[threading.Thread]:
    """Another process' transaction: writes one event, says so on `begin`, commits after `end`."""

    def write() -> None:
        with transaction.atomic():
            EventFactory.create(account=account, sequence=1)
            begin.set()
            end.wait(WITHIN_S)
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    begin.wait(WITHIN_S)
    try:
        yield thread
    finally:
        end.set()
        thread.join(WITHIN_S)


def test_reader_meets_events_in_order_and_once(db: None) -> None:
    account = AccountFactory.create()
    ids = [EventFactory.create(account=account, xid=xid).pk for xid in (1, 1, 2)]

    assert read(limit=2) == ids[:2]
    assert read(limit=2) == ids[2:]
    assert read(limit=2) == []


def test_order_is_by_transaction_then_row(db: None) -> None:
    account = AccountFactory.create()
    later, earlier = (EventFactory.create(account=account, xid=xid).pk for xid in (7, 3))

    assert read() == [earlier, later]


def test_readers_do_not_disturb_each_other(db: None) -> None:
    event = EventFactory.create(xid=1)

    assert read("totals") == [event.pk]
    assert read("game") == [event.pk]


def test_events_come_with_their_account(db: None) -> None:
    event = EventFactory.create(xid=1)

    with transaction.atomic():
        (found,) = next_events("totals", limit=1)

    assert found.account.user_id == event.account.user_id


@pytest.mark.django_db(transaction=True)
def test_transaction_that_commits_late_is_not_skipped() -> None:
    begin, end = threading.Event(), threading.Event()
    account = AccountFactory.create()
    with elsewhere(begin, end, account=account) as other:
        EventFactory.create(account=account, sequence=2)  # younger transaction, committed first
        assert read() == []  # it may not be read before the older one has ended
        end.set()
        other.join(WITHIN_S)

    late, early = (event.pk for event in Event.objects.order_by("sequence"))
    assert read_until(2) == [late, early]


@pytest.mark.django_db(transaction=True)
def test_crash_between_effect_and_position_repeats_nothing() -> None:
    account = AccountFactory.create()
    EventFactory.create(account=account, xid=1)

    def crash() -> None:
        with transaction.atomic():
            events = next_events("totals", limit=1)
            account.name = "seen"
            account.save(update_fields=["name"])
            advance("totals", events)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash()

    account.refresh_from_db()
    assert account.name == "Practice"
    assert len(read_until(1)) == 1
    assert read() == []


@pytest.mark.django_db(transaction=True)
def test_second_reader_of_a_name_is_sent_away_instead_of_waiting() -> None:
    EventFactory.create(xid=1)
    found: list[list[int]] = []

    def second() -> None:
        found.append(read())
        connection.close()

    read("totals", limit=0)  # makes the row
    with transaction.atomic():
        first = next_events("totals", limit=10)
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(WITHIN_S)
        advance("totals", first)

    assert [len(first), found] == [1, [[]]]
    assert ReaderPosition.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_readers_at_once_share_the_events_without_overlap() -> None:
    account = AccountFactory.create()
    ids = {EventFactory.create(account=account).pk for _ in range(60)}
    found: list[int] = []
    give_up_at = time.monotonic() + WITHIN_S

    def work() -> None:
        while len(found) < len(ids) and time.monotonic() < give_up_at:
            found.extend(read(limit=7))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == sorted(ids)


def test_reader_in_memory_goes_on_behind_its_cursor(db: None) -> None:
    account = AccountFactory.create()
    ids = [EventFactory.create(account=account, xid=xid).pk for xid in (4, 4, 6)]

    assert [event.pk for event in events_behind(Cursor(xid=0, row_id=0), limit=2)] == ids[:2]
    assert [event.pk for event in events_behind(Cursor(xid=4, row_id=ids[0]), limit=5)] == ids[1:]


@pytest.mark.django_db(transaction=True)
def test_present_cursor_stands_before_what_is_still_being_written() -> None:
    begin, end = threading.Event(), threading.Event()
    account = AccountFactory.create()
    with elsewhere(begin, end, account=account):
        cursor = present_cursor()

    found: list[Event] = []
    give_up_at = time.monotonic() + WITHIN_S
    while not found and time.monotonic() < give_up_at:
        found = events_behind(cursor, limit=5)
    assert [event.sequence for event in found] == [1]


@pytest.mark.django_db(transaction=True)
def test_reading_outside_a_transaction_is_a_bug() -> None:
    with pytest.raises(RuntimeError):
        next_events("totals", limit=1)
