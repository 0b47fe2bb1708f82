"""The hot path's transaction: whole or not at all, and told of only once it is committed."""

from collections.abc import Iterator

import psycopg
import pytest
from django.db import IntegrityError, connection
from django.db import transaction as django_transaction
from django.db.transaction import TransactionManagementError

from trading.models import ReaderPosition
from trading.pipeline import Statement, run_together, transaction

pytestmark = pytest.mark.django_db(transaction=True)


class Stopped(Exception):
    """What a test raises inside."""


@pytest.fixture
def others() -> Iterator[psycopg.Connection]:
    """Somebody else's connection, which sees what is committed."""
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as other:
        yield other


def insert(name: str) -> Statement:
    """A row that a second one of its name can't stand beside."""
    text = "INSERT INTO trading_readerposition (name, xid, row_id) VALUES ($1, 0, 0) RETURNING name"
    return text, [name]


def names() -> set[str]:
    """The rows of these tests, read in a transaction of their own."""
    return set(ReaderPosition.objects.filter(name__startswith="t-").values_list("name", flat=True))


def test_statements_and_the_last_ones_are_committed_together(others: psycopg.Connection) -> None:
    with transaction() as last:
        assert run_together(insert("t-1"), insert("t-2")) == [b"t-1", b"t-2"]
        last.append(insert("t-3"))
        assert others.execute("SELECT count(*) FROM trading_readerposition WHERE name LIKE 't-%'").fetchone() == (0,)

    assert names() == {"t-1", "t-2", "t-3"}


def test_what_is_raised_undoes_all_of_it() -> None:
    told = list[str]()
    with pytest.raises(Stopped), transaction() as last:
        run_together(insert("t-1"))
        last.append(insert("t-2"))
        django_transaction.on_commit(lambda: told.append("committed"))
        raise Stopped

    assert (names(), told) == (set(), [])
    with transaction():
        run_together(insert("t-3"))
    assert (names(), told) == ({"t-3"}, [])


def test_a_last_statement_that_fails_undoes_all_of_it() -> None:
    told = list[str]()
    with pytest.raises(IntegrityError), transaction() as last:
        run_together(insert("t-1"))
        django_transaction.on_commit(lambda: told.append("committed"))
        last.extend([insert("t-2"), insert("t-1"), insert("t-3")])

    assert (names(), told) == (set(), [])


def test_an_error_that_was_swallowed_is_no_commit() -> None:
    """PostgreSQL answers COMMIT of a failed transaction with a rollback and no error."""
    told = list[str]()
    with pytest.raises(TransactionManagementError), transaction():
        run_together(insert("t-1"))
        django_transaction.on_commit(lambda: told.append("committed"))
        with pytest.raises(IntegrityError):
            run_together(insert("t-1"))

    assert (names(), told) == (set(), [])


def test_a_rollback_that_was_asked_for_is_no_commit() -> None:
    told = list[str]()
    with transaction() as last:
        run_together(insert("t-1"))
        last.append(insert("t-2"))
        django_transaction.on_commit(lambda: told.append("committed"))
        django_transaction.set_rollback(True)

    assert (names(), told) == (set(), [])


def test_hooks_run_when_others_see_what_was_written(others: psycopg.Connection) -> None:
    seen = list[object]()

    def look() -> None:
        found = others.execute("SELECT name FROM trading_readerposition WHERE name LIKE 't-%' ORDER BY name")
        seen.append([name for (name,) in found.fetchall()])
        seen.append(connection.in_atomic_block)

    with transaction() as last:
        run_together(insert("t-1"))
        django_transaction.on_commit(look)
        last.append(insert("t-2"))

    assert seen == [["t-1", "t-2"], False]


def test_inside_another_transaction_it_is_a_part_of_that() -> None:
    told = list[str]()
    with django_transaction.atomic():
        with transaction() as last:
            run_together(insert("t-1"))
            last.append(insert("t-2"))
            django_transaction.on_commit(lambda: told.append("committed"))
        assert told == []
        with pytest.raises(Stopped), transaction():
            run_together(insert("t-3"))
            raise Stopped
        assert names() == {"t-1", "t-2"}

    assert (names(), told) == ({"t-1", "t-2"}, ["committed"])
