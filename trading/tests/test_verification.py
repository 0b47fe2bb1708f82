"""The ledger check: what is sound passes, and what a superuser did to it is found and named."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astrade.core.clock import EPOCH
from astrade.core.roles import as_owner
from trading.domain.ledger import Line, canonical_text, text_hash
from trading.domain.lifecycle import EntryKind, LedgerAccount, Side
from trading.models import TradingAccount
from trading.services.orders import cancel_orders
from trading.tasks import check_ledger
from trading.tests.conftest import Feed
from trading.tests.factories import open_account, place, ref
from trading.verification import _CANONICAL, _LINES, CHECKS, LEDGER_FINDINGS, posting_count, suspects, verify_ledger

AMOUNT = st.integers(-(10**30), 10**30).map(lambda n: Decimal(n).scaleb(-18)).filter(bool)


# The canonical text, as Python makes it and as PostgreSQL does


@given(
    kind=st.sampled_from(EntryKind),
    number=st.integers(1, 2**40),
    reference=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=100),
    at=st.integers(0, 4 * 10**15).map(lambda us: EPOCH + timedelta(microseconds=us)),
    lines=st.lists(
        st.tuples(st.sampled_from(LedgerAccount), st.sampled_from(["USD", "BTC"]), AMOUNT, st.none() | AMOUNT),
        min_size=1,
        max_size=4,
    ),
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sql_and_python_make_the_same_canonical_text(
    db: None, kind: EntryKind, number: int, reference: str, at: datetime, lines: list[tuple[Any, ...]]
) -> None:
    account, entry, previous = UUID(int=1), UUID(int=2), "a" * 64
    text = canonical_text(
        account=account, entry=entry, number=number, kind=kind, reference=reference, at=at, previous_hash=previous,
        lines=[Line(*line) for line in lines],
    )  # fmt: skip
    columns = [list(column) for column in zip(*[(str(a), s, x, r) for a, s, x, r in lines], strict=True)]
    values: list[Any] = [account, entry, number, str(kind), reference, at, previous, list(range(len(lines))), *columns]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH a AS (SELECT %s::uuid AS uuid),
                 e AS (SELECT %s::uuid AS uuid, %s::bigint AS number, %s AS kind, %s AS reference,
                              %s::timestamptz AS at, %s AS previous_hash),
                 trading_posting AS (
                     SELECT 1 AS entry_id, * FROM unnest(%s::int[], %s::text[], %s::text[], %s::numeric(38, 18)[],
                         %s::numeric(38, 18)[]) AS p (line, ledger_account, asset, amount, running_balance)),
                 l AS ({_LINES})
            SELECT {_CANONICAL}, encode(sha256(convert_to({_CANONICAL}, 'UTF8')), 'hex') FROM a, e, l
            """,
            values,
        )
        assert cursor.fetchone() == (text, text_hash(text))


def test_canonical_text_by_example() -> None:
    text = canonical_text(
        account=UUID(int=1), entry=UUID(int=2), number=3, kind=EntryKind.COMMISSION, reference="fill:x",
        at=EPOCH + timedelta(seconds=1, microseconds=5), previous_hash="0" * 64,
        lines=[
            Line(LedgerAccount.CASH, "USD", Decimal("-0.1"), Decimal("1E+2")),
            Line(LedgerAccount.FEES, "USD", Decimal("0.1"), None),
        ],
    )  # fmt: skip

    assert text == (
        "00000000-0000-0000-0000-000000000001|00000000-0000-0000-0000-000000000002|3|commission|fill:x|1000005|"
        + "0" * 64
        + "|cash:USD:-0.100000000000000000:100.000000000000000000;fees:USD:0.100000000000000000:"
    )


# A ledger that somebody touched


@pytest.fixture
def account(transactional_db: None, feed: Feed) -> TradingAccount:
    """An account with a history: deposit, fills, a closed position, a cancelled order."""
    open_account(balance="1")  # somebody else, whose ledger stays whole
    account = open_account()
    place(account, "2")
    place(account, "3", side=Side.SELL)
    place(account, "1", price="95")
    cancel_orders(account=ref(account))
    return account


@contextmanager
def superuser() -> Iterator[Any]:
    """A cursor for which no trigger fires and no right is missing."""
    with as_owner(connection), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor


def findings() -> dict[str, list[str]]:
    """What each check finds wrong."""
    with transaction.atomic():
        return {name: [finding.where for finding in found] for name, found in verify_ledger() if found}


def test_a_sound_ledger_has_no_findings(account: TradingAccount) -> None:
    assert findings() == {}
    output = StringIO()
    call_command("verify_ledger", stdout=output)
    assert "the ledger is whole" in output.getvalue()
    assert output.getvalue().count(": ok") == len(CHECKS)
    assert f"{posting_count()} postings" in output.getvalue()
    check_ledger()
    assert LEDGER_FINDINGS._value.get() == 0


LAST = "(SELECT max({column}) FROM {table} WHERE account_id = %(account)s)"
ENTRY = "trading_journalentry WHERE account_id = %(account)s AND number = 2"
POSTING = (
    "trading_posting WHERE line = {line} AND entry_id = "
    "(SELECT id FROM trading_journalentry WHERE account_id = %(account)s AND number = 2)"
)


def update(what: str, **changes: str) -> str:
    """An UPDATE of `table WHERE …`."""
    table, condition = what.split(" WHERE ", 1)
    assignments = ", ".join(f"{column} = {value}" for column, value in changes.items())
    return f"UPDATE {table} SET {assignments} WHERE {condition}"


TAMPERED = {
    "entry kind": (update(ENTRY, kind="'bonus'"), {"hash", "booked"}, "entry 2 (row"),
    "entry reference": (update(ENTRY, reference="reference || 'x'"), {"hash", "booked"}, "entry 2 (row"),
    "entry time": (update(ENTRY, at="at + interval '1 microsecond'"), {"hash"}, "entry 2 (row"),
    "entry uuid": (update(ENTRY, uuid="gen_random_uuid()"), {"hash"}, "entry 2 (row"),
    "entry number": (update(ENTRY, number="99"), {"hash", "chain", "head", "running balance"}, "entry 2 before"),
    "entry hash": (update(ENTRY, hash="md5(hash) || md5(hash)"), {"hash", "chain"}, "entry 3: previous_hash"),
    "entry previous hash": (
        update(ENTRY, previous_hash="md5(hash) || md5(hash)"),
        {"hash", "chain"},
        "entry 2: previous_hash",
    ),
    "posting amount": (
        update(POSTING.format(line=1), amount="amount + 0.000000000000000001"),
        {"hash", "balanced", "running balance", "cash balance", "booked"},
        "entry 2: postings in USD sum to 0.000000000000000001",
    ),
    "posting of the platform": (
        update(POSTING.format(line=2), amount="-amount"),
        {"hash", "balanced"},
        "entry 2: postings in USD",
    ),
    "posting running balance": (
        update(POSTING.format(line=1), running_balance="running_balance + 1"),
        {"hash", "running balance"},
        "entry 2: running balance",
    ),
    "posting asset": (
        update(POSTING.format(line=2), asset="'EUR'"),
        {"hash", "balanced"},
        "entry 2: postings in EUR",
    ),
    "posting account": (update(POSTING.format(line=2), ledger_account="'funding'"), {"hash"}, "entry 2 (row"),
    "posting line": (update(POSTING.format(line=2), line="0"), {"hash"}, "entry 2 (row"),
    "postings added": (
        "INSERT INTO trading_posting (id, entry_id, line, ledger_account, asset, amount) "
        "SELECT -line, e.id, line, 'fees', 'USD', 3.5 - line "
        "FROM trading_journalentry e, generate_series(3, 4) AS line "
        "WHERE e.account_id = %(account)s AND e.number = 2",
        {"hash"},
        "entry 2 (row",
    ),
    "posting removed": (
        "DELETE FROM " + POSTING.format(line=1),
        {"hash", "balanced", "running balance", "cash balance", "booked"},
        "entry 2",
    ),
    "entry removed": (
        "DELETE FROM " + ENTRY,
        {"chain", "orphan", "running balance", "cash balance", "booked"},
        "entry 2 before it is missing",
    ),
    "last entry removed": (
        f"DELETE FROM trading_journalentry WHERE account_id = %(account)s AND number = "
        f"{LAST.format(column='number', table='trading_journalentry')}",
        {"head", "orphan", "cash balance", "booked"},
        "the journal ends at",
    ),
    "all entries removed": (
        "DELETE FROM trading_journalentry WHERE account_id = %(account)s",
        {"head", "orphan", "cash balance", "booked"},
        "the journal ends at 0 with 000000000000",
    ),
    "account counter": (
        "UPDATE trading_tradingaccount SET entry_count = entry_count - 1 WHERE id = %(account)s",
        {"head"},
        "entries",
    ),
    "account head": (
        "UPDATE trading_tradingaccount SET head_hash = md5('') || md5('') WHERE id = %(account)s",
        {"head"},
        "with head",
    ),
    "cash balance": (
        "UPDATE trading_cashbalance SET balance = balance + 0.000000000000000001 WHERE account_id = %(account)s",
        {"cash balance"},
        "is not the sum of postings",
    ),
    "cash removed": ("DELETE FROM trading_cashbalance WHERE account_id = %(account)s", {"cash balance"}, "USD"),
    "event removed": (
        "DELETE FROM trading_event WHERE account_id = %(account)s AND sequence = 2",
        {"events"},
        "events were counted",
    ),
    "last event removed": (
        f"DELETE FROM trading_event WHERE account_id = %(account)s AND sequence = "
        f"{LAST.format(column='sequence', table='trading_event')}",
        {"events"},
        "the last one is",
    ),
    "fill removed": (
        "DELETE FROM trading_fill WHERE account_id = %(account)s AND number = 1",
        {"fills", "positions", "orders"},
        "order 1: filled",
    ),
    "fill quantity": (
        "UPDATE trading_fill SET quantity = quantity * 2 WHERE account_id = %(account)s AND number = 1",
        {"positions", "orders"},
        "is not the sum of its fills",
    ),
    "fill price": (
        "UPDATE trading_fill SET price = price + 1 WHERE account_id = %(account)s AND number = 1",
        {"orders"},
        "order 1: filled",
    ),
    "fill fee": (
        "UPDATE trading_fill SET fee = fee + 1 WHERE account_id = %(account)s AND number = 1",
        {"orders", "booked"},
        "fill 1",
    ),
    "fill pnl": (
        "UPDATE trading_fill SET realized_pnl = realized_pnl + 1 WHERE account_id = %(account)s AND number = 1",
        {"booked"},
        "fill 1",
    ),
    "position": (
        "UPDATE trading_position SET quantity = quantity * 2 WHERE account_id = %(account)s",
        {"positions"},
        "is not the sum of its fills",
    ),
    "entry that pays funding": (
        update(ENTRY, kind="'funding'"),
        {"hash", "booked", "funding"},
        "funding payment (missing)",
    ),
    "funding payment": (
        "INSERT INTO trading_fundingpayment (uuid, account_id, position_id, market_id, hour, quantity, mark, rate, "
        "amount, at) SELECT gen_random_uuid(), account_id, id, market_id, now(), 1, 1, 1, 1, now() "
        "FROM trading_position WHERE account_id = %(account)s",
        {"funding"},
        "is booked as 0",
    ),
    "funding of a position": (
        "UPDATE trading_position SET funding = funding + 1 WHERE account_id = %(account)s",
        {"position funding"},
        "is not the sum of its payments",
    ),
    "funding of a closed position": (
        "UPDATE trading_closedposition SET funding = funding + 1 WHERE account_id = %(account)s",
        {"position funding"},
        "is not the sum of its payments",
    ),
    "order": (
        "UPDATE trading_order SET filled_quantity = 0.5 WHERE account_id = %(account)s AND number = 1",
        {"orders"},
        "order 1: filled 0.5",
    ),
}


@pytest.mark.parametrize(("statement", "checks", "named"), TAMPERED.values(), ids=TAMPERED.keys())
def test_what_a_superuser_changed_is_found_and_named(
    account: TradingAccount, statement: str, checks: set[str], named: str
) -> None:
    with superuser() as cursor:
        cursor.execute(statement, {"account": account.pk})
        assert cursor.rowcount >= 1

    found = findings()

    assert set(found) == checks
    told = [where for places in found.values() for where in places]
    assert any(named in where for where in told), told
    assert all(str(account.uuid) in where for name, places in found.items() if name != "orphan" for where in places)


@pytest.mark.django_db(transaction=True)
def test_the_head_of_an_account_that_booked_nothing_is_checked_too() -> None:
    account = open_account(balance="0")
    assert account.entry_count == 0
    with superuser() as cursor:
        cursor.execute("UPDATE trading_tradingaccount SET head_hash = md5('') || md5('') WHERE id = %s", [account.pk])

    assert {name: len(places) for name, places in findings().items()} == {"head": 1}


FORGED = {
    "running balance": (
        update(POSTING.format(line=1), running_balance="running_balance + 1"),
        {"running balance"},
    ),
    "amount": (
        update(POSTING.format(line=1), amount="amount - 1"),
        {"balanced", "running balance", "cash balance", "booked"},
    ),
    "amount of the platform": (update(POSTING.format(line=2), amount="amount + 1"), {"balanced"}),
    "both amounts": (
        update(POSTING.format(line="ANY('{1,2}')"), amount="amount + sign(amount)"),
        {"running balance", "cash balance", "booked"},
    ),
    "asset": (
        update(POSTING.format(line="ANY('{1,2}')"), asset="'EUR'"),
        {"running balance", "cash balance"},
    ),
    "first entry": (
        "UPDATE trading_posting SET running_balance = running_balance - 1 WHERE line = 1 AND entry_id = "
        "(SELECT id FROM trading_journalentry WHERE account_id = %(account)s AND number = 1)",
        {"running balance"},
    ),
    "all balances": (
        "UPDATE trading_cashbalance SET balance = balance - 1 WHERE account_id = %(account)s; "
        "UPDATE trading_posting SET running_balance = running_balance - 1 WHERE line = 1 AND entry_id IN "
        "(SELECT id FROM trading_journalentry WHERE account_id = %(account)s)",
        {"running balance", "cash balance"},
    ),
    "last entry": (
        "DELETE FROM trading_posting WHERE entry_id = (SELECT id FROM trading_journalentry "
        "WHERE account_id = %(account)s ORDER BY number DESC LIMIT 1)",
        {"cash balance", "booked"},
    ),
}


@pytest.mark.parametrize(("statement", "checks"), FORGED.values(), ids=FORGED.keys())
def test_what_a_superuser_forged_with_all_hashes_made_anew_is_found(
    account: TradingAccount, statement: str, checks: set[str]
) -> None:
    with superuser() as cursor:
        cursor.execute(statement, {"account": account.pk})
        hash_anew(account, cursor)

    assert set(findings()) == checks


def test_an_entry_hashed_onto_another_than_the_one_before_is_found(account: TradingAccount) -> None:
    with superuser() as cursor:
        hash_anew(account, cursor, loose=2)

    assert findings().keys() == {"chain"}


def hash_anew(account: TradingAccount, cursor: Any, *, loose: int | None = None) -> None:
    """Give every entry of an account the hash of its content, and the account the last one; that of number `loose`
    follows nothing.
    """
    previous = "0" * 64
    for entry in account.entries.order_by("number"):
        previous = "f" * 64 if entry.number == loose else previous
        lines = [
            Line(LedgerAccount(line.ledger_account), line.asset, line.amount, line.running_balance)
            for line in entry.postings.order_by("line")
        ]
        text = canonical_text(
            account=account.uuid, entry=entry.uuid, number=entry.number, kind=EntryKind(entry.kind),
            reference=entry.reference, at=entry.at, previous_hash=previous, lines=lines,
        )  # fmt: skip
        values = [previous, text_hash(text), entry.pk]
        cursor.execute("UPDATE trading_journalentry SET previous_hash = %s, hash = %s WHERE id = %s", values)
        previous = text_hash(text)
    cursor.execute("UPDATE trading_tradingaccount SET head_hash = %s WHERE id = %s", [previous, account.pk])


def test_nobody_with_a_sound_ledger_is_suspected(account: TradingAccount) -> None:
    with superuser() as cursor:
        hash_anew(account, cursor)
    assert suspects() == []


def test_command_ends_with_an_error_and_says_what(account: TradingAccount) -> None:
    with superuser() as cursor:
        cursor.execute(update(ENTRY, at="now()"), {"account": account.pk})
    output = StringIO()

    with pytest.raises(SystemExit) as ended:
        call_command("verify_ledger", stdout=output)

    assert ended.value.code == 1
    assert f"account {account.uuid} entry 2 (row" in output.getvalue()
    assert "1 findings" in output.getvalue()


def test_scheduled_check_raises_the_alarm(account: TradingAccount, caplog: pytest.LogCaptureFixture) -> None:
    with superuser() as cursor:
        cursor.execute(update(ENTRY, at="now()"), {"account": account.pk})

    check_ledger()

    assert LEDGER_FINDINGS._value.get() == 1
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == ["ledger_finding"]
