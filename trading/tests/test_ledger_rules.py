"""What the database itself refuses, as the role of the processes and as the owner of its tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone
from psycopg import errors as pg

from trading.models import CashBalance, Fill, JournalEntry, MarketSetting, Order, Position, Posting, TradingAccount
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


@pytest.mark.parametrize(
    ("lines", "constraint"),
    [
        ([("0", {})], "posting_moves_something"),
        ([("5", {"running_balance": None}), ("-5", FEES)], "posting_running_balance_on_cash_only"),
        ([("5", {}), ("-5", FEES | {"running_balance": D(1)})], "posting_running_balance_on_cash_only"),
        ([("5", {}), ("-5", {})], "posting_one_cash_line"),
    ],
)
def test_lines_that_make_no_sense_are_refused(
    account: TradingAccount, lines: list[tuple[str, dict[str, Any]]], constraint: str
) -> None:
    entry = entry_of(account)
    rows = [posting(entry, line, amount, **fields) for line, (amount, fields) in enumerate(lines, start=1)]

    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Posting.objects.bulk_create(rows)


def test_entry_numbers_are_given_once(account: TradingAccount) -> None:
    with pytest.raises(IntegrityError, match="entry_number_once"), transaction.atomic():
        entry_of(account, number=1)


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"filled_quantity": D("1.001")}, "order_not_overfilled"),
        ({"quantity": D(0), "filled_quantity": D(0)}, "order_quantity_positive"),
    ],
)
def test_an_order_is_never_overfilled(account: TradingAccount, changes: dict[str, Any], constraint: str) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Order.objects.filter(account=account).update(**changes)


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({}, "fill_booked_once"),
        ({"venue_trade_id": "other"}, "fill_number_once"),
        ({"quantity": D(0)}, "fill_positive"),
    ],
)
def test_a_venue_trade_is_booked_once(account: TradingAccount, changes: dict[str, Any], constraint: str) -> None:
    values: dict[str, Any] = Fill.objects.values().get() | {"uuid": uuid4()} | changes
    del values["id"]
    if constraint == "fill_booked_once":
        values["number"] += 1
    if constraint == "fill_positive":
        values |= {"number": values["number"] + 1, "venue_trade_id": "other"}

    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Fill.objects.create(**values)


def test_an_account_has_one_position_a_market_and_one_balance_an_asset(account: TradingAccount) -> None:
    position, cash = Position.objects.values().get(), CashBalance.objects.values().get()
    del position["id"], cash["id"]

    for table, values, constraint in (
        (Position, position | {"uuid": uuid4()}, "position_one_a_market"),
        (CashBalance, cash, "cash_balance_once"),
    ):
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            table.objects.create(**values)


def test_flat_positions_hold_no_entry_notional(account: TradingAccount) -> None:
    for changes, constraint in (
        ({"quantity": D(0)}, "position_flat_holds_no_entry_notional"),
        ({"entry_notional": D(-1)}, "position_entry_notional_not_negative"),
    ):
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            Position.objects.update(**changes)


def test_limits_of_accounts_are_held_too(account: TradingAccount) -> None:
    other = open_account(user=account.user)
    with pytest.raises(IntegrityError, match="account_one_primary_a_user"), transaction.atomic():
        TradingAccount.objects.filter(pk=other.pk).update(is_primary=True)
    with pytest.raises(IntegrityError, match="account_leverage_in_range"), transaction.atomic():
        TradingAccount.objects.filter(pk=other.pk).update(max_leverage=101)
    market_id = Position.objects.get().market_id
    with pytest.raises(IntegrityError, match="market_setting_leverage_in_range"), transaction.atomic():
        MarketSetting.objects.create(account=other, market_id=market_id, leverage=0)
