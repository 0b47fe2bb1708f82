"""What the database itself refuses, as the role of the processes and as the owner of its tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone
from psycopg import errors as pg

from trading.models import JournalEntry, Posting, TradingAccount
from trading.tests.conftest import Feed
from trading.tests.factories import D, open_account, place

HISTORY = ("trading_journalentry", "trading_posting", "trading_event", "trading_fill", "trading_ordertransition")
CHANGES = ("UPDATE {} SET id = id", "DELETE FROM {}", "TRUNCATE {} CASCADE")


@pytest.fixture
def account(feed: Feed) -> TradingAccount:
    """An account with a fill."""
    account = open_account()
    place(account, "1")
    return account


@contextmanager
def role(name: str) -> Iterator[None]:
    """Statements as this role, in the transaction of the test."""
    with connection.cursor() as cursor:
        cursor.execute(f'SET LOCAL ROLE "{name}"')
        yield
        cursor.execute("RESET ROLE")


def refusal(statement: str, values: Any = ()) -> DatabaseError:
    """What the database says to a statement; the test's transaction goes on."""
    with pytest.raises(DatabaseError) as raised, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)
    return raised.value


@pytest.mark.parametrize("table", HISTORY)
@pytest.mark.parametrize("change", CHANGES)
def test_processes_have_no_right_to_change_history(account: TradingAccount, table: str, change: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == (settings.DATABASE_ROLE,)

    assert isinstance(refusal(change.format(table)).__cause__, pg.InsufficientPrivilege)


@pytest.mark.parametrize("table", HISTORY)
@pytest.mark.parametrize("change", CHANGES)
def test_not_even_the_owner_changes_history(account: TradingAccount, table: str, change: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableowner FROM pg_tables WHERE tablename = %s", [table])
        (owner,) = cursor.fetchone() or ("",)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # else TRUNCATE already minds the checks still to come
    with role(owner):
        fault = refusal(change.format(table))

    assert isinstance(fault.__cause__, pg.RestrictViolation)
    assert "its rows are history" in str(fault)


def entry_of(account: TradingAccount, **fields: Any) -> JournalEntry:
    """A journal entry without postings, made beside the writer."""
    number = JournalEntry.objects.filter(account=account).count() + 1
    values = {"number": number, "kind": "adjustment", "reference": "test", "at": timezone.now()} | fields
    return JournalEntry.objects.create(account=account, previous_hash="0" * 64, hash="1" * 64, **values)


def posting(entry: JournalEntry, line: int, amount: str, **fields: Any) -> Posting:
    """A line; cash unless said."""
    values = {"ledger_account": "cash", "asset": "USD", "running_balance": D(amount)} | fields
    return Posting(entry=entry, line=line, amount=D(amount), **values)


FEES = {"ledger_account": "fees", "running_balance": None}


@pytest.mark.parametrize(
    "lines",
    [
        [("5", {})],
        [("5", {}), ("-4.999999999999999999", FEES)],
        [("5", {}), ("-5", FEES | {"asset": "EUR"})],
        [("5", {}), ("5", FEES)],
    ],
)
def test_unbalanced_postings_are_refused(account: TradingAccount, lines: list[tuple[str, dict[str, Any]]]) -> None:
    entry = entry_of(account)
    before = Posting.objects.count()
    rows = [posting(entry, line, amount, **fields) for line, (amount, fields) in enumerate(lines, start=1)]

    with pytest.raises(IntegrityError, match="do not sum to zero"), transaction.atomic():
        Posting.objects.bulk_create(rows)

    assert Posting.objects.count() == before
    Posting.objects.bulk_create([posting(entry, 1, "5"), posting(entry, 2, "-5", **FEES)])
