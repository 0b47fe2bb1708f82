"""Roots over all balances: as of midnight, chained, made once, and made again from the ledger to the same."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from psycopg import errors as pg

from trading.domain.merkle import leaf_hash, leaf_nonce, leaf_text, tree_levels
from trading.models import BalanceLeaf, BalanceRoot, JournalEntry, TradingAccount
from trading.services.roots import DAY, check_roots, make_roots, settled_moment
from trading.tasks import ROOT_FINDINGS, check_balance_roots, make_balance_roots
from trading.tests.backdating import backdate
from trading.tests.conftest import Feed
from trading.tests.factories import D, open_account, place
from trading.tests.test_concurrency import at_once
from trading.tests.test_verification import superuser

pytestmark = pytest.mark.django_db(transaction=True)
FIRST = datetime(2026, 3, 1, tzinfo=UTC)  # everything is booked in the two days after it
HOUR, US = timedelta(hours=1), timedelta(microseconds=1)


@pytest.fixture
def accounts(feed: Feed) -> list[TradingAccount]:
    """Three with 10, 20, 30 from the first day on; the second one pays a fee at the last instant of that day, and one
    at the first of the next. A fourth one was never paid into."""
    accounts = [open_account(balance=str(n)) for n in (10, 20, 30)]
    open_account(balance="0")
    place(accounts[1], "0.01")
    place(accounts[1], "0.01")
    backdate(accounts[0], FIRST + HOUR)
    backdate(accounts[1], FIRST + HOUR, FIRST + DAY - US, FIRST + DAY)
    backdate(accounts[2], FIRST + HOUR)
    return accounts


def made(until: datetime) -> list[BalanceRoot]:
    """Roots made up to a moment."""
    return list(make_roots(until=until))


def findings() -> list[str]:
    """What is wrong with all roots."""
    return [finding for _, found in check_roots() for finding in found]


def test_a_root_is_of_what_was_booked_before_its_midnight(accounts: list[TradingAccount]) -> None:
    first, second = made(FIRST + 2 * DAY + HOUR)

    assert (first.number, first.at, first.accounts) == (1, FIRST + DAY, 3)
    assert (second.number, second.at, second.accounts) == (2, FIRST + 2 * DAY, 3)
    for root, balances, counts in (
        (first, ("10", "19.99899", "30"), (1, 2, 1)),
        (second, ("10", "19.99798", "30"), (1, 3, 1)),
    ):
        leaves = [
            leaf_hash(
                leaf_text(
                    nonce=leaf_nonce(bytes(root.salt), account.uuid),
                    account=account.uuid,
                    asset="USD",
                    balance=D(balance),
                    entry_count=count,
                    head_hash=JournalEntry.objects.get(account=account, number=count).hash,
                )
            )
            for account, balance, count in zip(accounts, balances, counts, strict=True)
        ]
        assert root.root == tree_levels(b"".join(leaves))[-1].hex()
        rows = BalanceLeaf.objects.filter(root=root).order_by("position").values_list("account", "entry_number")
        assert list(rows) == list(zip([account.pk for account in accounts], counts, strict=True))
    assert (first.previous_hash, second.previous_hash) == ("0" * 64, first.hash)
    assert first.salt != second.salt
    assert findings() == []


def test_missed_days_are_caught_up_and_no_day_is_made_twice(accounts: list[TradingAccount]) -> None:
    assert [root.at for root in made(FIRST + DAY - US)] == []
    assert [root.at for root in made(FIRST + DAY)] == [FIRST + DAY]
    assert [root.at for root in made(FIRST + DAY + 23 * HOUR)] == []
    assert [root.at for root in made(FIRST + 5 * DAY)] == [FIRST + n * DAY for n in (2, 3, 4, 5)]
    assert findings() == []


def test_an_empty_ledger_has_no_roots(db: None) -> None:
    assert made(datetime.now(UTC)) == []


def test_four_makers_at_once_make_each_root_once(accounts: list[TradingAccount]) -> None:
    outcomes = at_once(*[lambda: made(FIRST + 3 * DAY)] * 4)

    assert sorted(root.number for roots in outcomes for root in roots) == [1, 2, 3]
    assert findings() == []


def test_bookings_of_later_days_leave_roots_as_they_are(accounts: list[TradingAccount]) -> None:
    made(FIRST + 2 * DAY)
    place(accounts[0], "0.01")
    open_account()

    assert findings() == []


@contextmanager
def writing() -> Iterator[None]:
    """A transaction elsewhere that has written something and goes on."""
    begun, ended = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()")
            begun.set()
            ended.wait(30)
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    begun.wait(30)
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_roots_wait_for_transactions_that_may_still_book(accounts: list[TradingAccount]) -> None:
    before = datetime.now(UTC)
    with writing():
        assert settled_moment(within_s=0.3) is None
    moment = settled_moment(within_s=30)
    assert moment is not None
    assert before < moment <= datetime.now(UTC)


def test_scheduled_task_makes_and_checks(accounts: list[TradingAccount], caplog: pytest.LogCaptureFixture) -> None:
    last = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    backdate(accounts[0], last - 2 * DAY - HOUR)
    backdate(accounts[1], *[last - DAY - HOUR] * 3)
    backdate(accounts[2], last - DAY - HOUR)

    make_balance_roots()
    make_balance_roots()
    check_balance_roots()

    roots = BalanceRoot.objects.order_by("number").values_list("at", "accounts")
    assert list(roots) == [(last - 2 * DAY, 1), (last - DAY, 3), (last, 3)]
    assert ROOT_FINDINGS._value.get() == 0
    with superuser() as cursor:
        cursor.execute("UPDATE trading_balanceroot SET accounts = 4 WHERE number = 2")
    check_balance_roots()
    assert ROOT_FINDINGS._value.get() == 2
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors == ["balance_root_finding"] * 2


def test_tasks_are_scheduled() -> None:
    tasks = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert tasks >= {"trading.tasks.make_balance_roots", "trading.tasks.check_balance_roots"}


LATEST = "WHERE number = 2"
TREE = "UPDATE trading_balancetreelevel SET hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1) WHERE root_id = 2"
ENTRY = "trading_journalentry WHERE account_id = %(account)s AND number = 2"
TAMPERED = {
    "root": (
        f"UPDATE trading_balanceroot SET root = md5(root) || md5(root) {LATEST}",
        "its tree does not give its root",
    ),
    "root's hash": (f"UPDATE trading_balanceroot SET hash = md5(hash) || md5(hash) {LATEST}", "does not give its hash"),
    "root's accounts": (f"UPDATE trading_balanceroot SET accounts = 2 {LATEST}", "its number of accounts"),
    "root's salt": (
        f"UPDATE trading_balanceroot SET salt = sha256(salt) {LATEST}",
        "{account} was told with 3 entries",
    ),
    "root's chain": (f"UPDATE trading_balanceroot SET previous_hash = hash {LATEST}", "does not follow the one before"),
    "root's time": (
        f"UPDATE trading_balanceroot SET at = at + interval '1 h' {LATEST}",
        "does not follow the one before",
    ),
    "root left out": ("DELETE FROM trading_balanceroot WHERE number = 1", "does not follow the one before"),
    "leaf": (f"{TREE} AND level = 0", "its tree does not give its root"),
    "node": (f"{TREE} AND level = 1", "its tree does not give its root"),
    "tree left out": ("DELETE FROM trading_balancetreelevel WHERE root_id = 2", "its tree does not give its root"),
    "leaf row": ("DELETE FROM trading_balanceleaf WHERE root_id = 2 AND account_id = %(account)s", "with 0 entries"),
    "leaf's entry": (
        "UPDATE trading_balanceleaf SET entry_number = 9 WHERE root_id = 2 AND account_id = %(account)s",
        "{account} was told with 9 entries, the ledger before 2026-03-03 gives 3",
    ),
    "entry's time": (f"UPDATE {ENTRY} ".replace(" WHERE", " SET at = at + interval '5 d' WHERE"), "with 2 entries"),
    "entry's hash": (
        f"UPDATE {ENTRY} ".replace(" WHERE", " SET hash = md5(hash) || md5(hash) WHERE"),
        "of other content",
    ),
    "entry left out": (f"DELETE FROM {ENTRY}", "gives 1"),
    "balance": (
        "UPDATE trading_posting SET running_balance = 1 WHERE ledger_account = 'cash' AND entry_id IN "
        f"(SELECT id FROM {ENTRY})",
        "of other content",
    ),
    "account put in": (
        "UPDATE trading_journalentry SET account_id = (SELECT max(id) FROM trading_tradingaccount) "
        "WHERE account_id = %(account)s AND number = 3",
        "with 3 entries, the ledger before 2026-03-03 gives 2",
    ),
}


@pytest.mark.parametrize(("statement", "told"), TAMPERED.values(), ids=TAMPERED.keys())
def test_what_a_superuser_changed_is_found_and_named(accounts: list[TradingAccount], statement: str, told: str) -> None:
    made(FIRST + 2 * DAY)
    with superuser() as cursor:
        cursor.execute(statement, {"account": accounts[1].pk})
        assert cursor.rowcount >= 1

    found = findings()

    assert any(told.format(account=accounts[1].uuid) in finding for finding in found), found
    output = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("verify_roots", stdout=output)
    assert ended.value.code == 1
    assert found[0] in output.getvalue()


def test_command_tells_of_each_root(accounts: list[TradingAccount]) -> None:
    made(FIRST + 3 * DAY)
    output = StringIO()

    call_command("verify_roots", "--last", "2", stdout=output)

    assert output.getvalue().splitlines() == [
        "root 2 of 2026-03-03, 3 accounts: ok",
        "root 3 of 2026-03-04, 3 accounts: ok",
        "2 roots are what the ledger gives",
    ]


TABLES = ("trading_balanceroot", "trading_balanceleaf", "trading_balancetreelevel")


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_roots_are_history(accounts: list[TradingAccount], table: str, change: str) -> None:
    made(FIRST + DAY)
    column: Any = "accounts" if table.endswith("root") else "root_id"
    statement = change.format(table, column, column)
    with pytest.raises(DatabaseError) as refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert isinstance(refused.value.__cause__, pg.InsufficientPrivilege)
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableowner FROM pg_tables WHERE tablename = %s", [table])
        (owner,) = cursor.fetchone() or ("",)
    with pytest.raises(DatabaseError) as refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f'SET LOCAL ROLE "{owner}"')
        cursor.execute(statement)
    assert isinstance(refused.value.__cause__, pg.RestrictViolation)
