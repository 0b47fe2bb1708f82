"""Scheduled work: done once however often it runs."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction

from accounts.models import User
from trading.domain.lifecycle import Side
from trading.models import EquitySnapshot, TradingAccount
from trading.services import snapshots
from trading.services.snapshots import take_snapshots
from trading.tasks import sweep_events, take_equity_snapshots
from trading.tests.conftest import Feed, forget_prices
from trading.tests.factories import open_account, place
from trading.totals import add_next_totals

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_snapshot_of_every_open_account_at_present_marks(feed: Feed) -> None:
    account, closed = open_account(), open_account()
    TradingAccount.objects.filter(pk=closed.pk).update(state="closed")
    place(account, "2")  # 203, and 0.203 of fees
    feed(bids=(("109", "1"),), asks=(("111", "1"),), sequence=2)

    assert take_snapshots(AT) == 1

    snapshot = EquitySnapshot.objects.get()
    assert (snapshot.account_id, snapshot.at) == (account.pk, AT)
    assert (snapshot.balance, snapshot.equity) == (Decimal("9999.797"), Decimal("9999.797") + 220 - 203)


def test_snapshots_are_taken_once_a_moment(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "BATCH", 2)
    for _ in range(5):
        open_account()

    assert [take_snapshots(AT), take_snapshots(AT), take_snapshots(AT + timedelta(minutes=5))] == [5, 0, 5]
    assert EquitySnapshot.objects.filter(at=AT).count() == 5


def test_snapshots_without_prices_carry_positions_at_entry(feed: Feed) -> None:
    place(open_account(), "2")
    forget_prices()

    take_snapshots(AT)

    assert EquitySnapshot.objects.get().equity == Decimal("9999.797")


def test_scheduled_snapshot_is_on_the_five_minute_grid(feed: Feed) -> None:
    open_account()

    take_equity_snapshots()
    take_equity_snapshots()

    moments = {snapshot.at for snapshot in EquitySnapshot.objects.all()}
    assert all((at.minute % 5, at.second, at.microsecond) == (0, 0, 0) for at in moments)


# Users' totals


@pytest.fixture
def traders(transactional_db: None, feed: Feed) -> tuple[User, User]:
    """One who made three fills over two accounts, one who made one."""
    first, second = open_account(), open_account()
    other = open_account(user=first.user)
    place(first, "1")  # 101
    place(first, "1", side=Side.SELL)  # 99, PnL -2
    place(other, "1")  # 101
    place(second, "1")  # 101
    return first.user, second.user


def totals(user: User) -> tuple[Decimal, int, Decimal]:
    """Volume, trades, realised PnL."""
    user.refresh_from_db()
    return user.total_volume, user.total_trades, user.total_realized_pnl


def eventually(done: Callable[[], bool]) -> None:
    """Sweep until it is done: events wait for the oldest transaction that still runs, whoever's it is."""
    for _ in range(200):
        sweep_events()
        if done():
            return
    raise AssertionError("events were never read")


def test_totals_are_the_sum_of_fills_and_added_once(traders: tuple[User, User]) -> None:
    first, second = traders

    eventually(lambda: totals(second)[1] == 1)

    assert totals(first) == (301, 3, -2)
    assert totals(second) == (101, 1, 0)
    sweep_events()
    assert add_next_totals() == 0
    assert totals(first) == (301, 3, -2)


def test_a_crash_between_totals_and_position_adds_nothing_twice(traders: tuple[User, User]) -> None:
    first, second = traders
    with pytest.raises(RuntimeError), transaction.atomic():
        add_next_totals()
        raise RuntimeError
    connection.close()  # as a new process

    eventually(lambda: totals(second)[1] == 1)

    assert totals(first) == (301, 3, -2)
