"""Statements of the hot path, sent together: one network round trip for several, with server-side plans kept.

Django's cursors bind on the client and send each statement on its own; psycopg's pipeline runs a Python generator for
each step. A booking is all about these few statements, so they go straight to libpq's pipeline, on the same connection
and in the same transaction: `transaction.atomic`, the ORM and `on_commit` see what they do. Every statement answers
with one text value (JSON where there is more to say) and names its parameters `$1`, `$2`, …

    with transaction():
        (value,) = run_together(("SELECT …", []))     takes BEGIN along
"""

import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import atomic
from psycopg import pq
from psycopg.errors import error_from_result

Statement = tuple[str, Sequence[object]]
_prepared: WeakKeyDictionary[psycopg.Connection[Any], dict[str, bytes]] = WeakKeyDictionary()
_IDLE, _SYNC, _ABORTED = pq.TransactionStatus.IDLE, pq.ExecStatus.PIPELINE_SYNC, pq.ExecStatus.PIPELINE_ABORTED
_COMMIT, _ROLLBACK = ("COMMIT", ()), ("ROLLBACK", ())
_DONE = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


@contextmanager
def transaction() -> Iterator[None]:
    """`transaction.atomic()` for a block whose first statement goes through `run_together`, at a fifth of its Python.

    Inside another atomic block it is one more, with its savepoint.
    """
    wrapper = connections[DEFAULT_DB_ALIAS]
    wrapper.ensure_connection()
    if wrapper.in_atomic_block or not wrapper.get_autocommit():
        with atomic():
            yield
        return
    wrapper.commit_on_exit, wrapper.needs_rollback, wrapper.in_atomic_block = True, False, True
    wrapper.autocommit = False  # as Django asks; psycopg stays out of it, BEGIN and COMMIT are sent here
    try:
        yield
    except BaseException:
        _end(wrapper, _ROLLBACK)
        raise
    _end(wrapper, _ROLLBACK if wrapper.needs_rollback else _COMMIT)


def _end(wrapper: BaseDatabaseWrapper, last: Statement) -> None:
    """COMMIT or ROLLBACK, as the outermost `atomic` does it; a transaction whose end failed has no connection left."""
    wrapper.in_atomic_block, wrapper.needs_rollback, wrapper.autocommit = False, False, True
    if wrapper.closed_in_transaction:  # the server has rolled back
        wrapper.connection, wrapper.run_on_commit = None, []
        return
    try:
        if wrapper.connection.pgconn.transaction_status != _IDLE:
            _run(wrapper, (last,), begins=False)
    except Error:
        wrapper.run_on_commit = []
        if wrapper.connection.pgconn.transaction_status != _IDLE:
            wrapper.close()
        if last is _COMMIT:
            raise
    if last is _COMMIT:
        wrapper.run_and_clear_commit_hooks()
    else:
        wrapper.run_on_commit = []


def run_together(*statements: Statement) -> list[bytes | None]:
    """The value each statement answers with, None where it found no row; one round trip for all of them.

    The first statements of a transaction take its BEGIN along. Raises Django's database errors.
    """
    wrapper = connections[DEFAULT_DB_ALIAS]
    wrapper.ensure_connection()
    raw: psycopg.Connection[Any] = wrapper.connection
    begins = (wrapper.in_atomic_block or not raw.autocommit) and raw.pgconn.transaction_status == _IDLE
    return _run(wrapper, statements, begins=begins)


def _run(wrapper: BaseDatabaseWrapper, statements: Sequence[Statement], *, begins: bool) -> list[bytes | None]:
    raw: psycopg.Connection[Any] = wrapper.connection
    with wrapper.wrap_database_errors, raw.lock:
        queries = [(_name_of(raw, text), [_encoded(value) for value in values]) for text, values in statements]
        pgconn = raw.pgconn
        pgconn.enter_pipeline_mode()
        try:
            if begins:
                pgconn.send_query_params(b"BEGIN", None)
            for name, values in queries:
                pgconn.send_query_prepared(name, values)
            pgconn.pipeline_sync()
            results = _results(pgconn)
        finally:
            if pgconn.status == pq.ConnStatus.OK:
                pgconn.exit_pipeline_mode()
        return [result.get_value(0, 0) if result.ntuples else None for result in results[begins:]]


def _name_of(raw: psycopg.Connection[Any], text: str) -> bytes:
    names = _prepared.setdefault(raw, {})
    name = names.get(text)
    if name is None:
        name = f"astrade_{len(names)}".encode()
        result = raw.pgconn.prepare(name, text.encode())
        if result.status != pq.ExecStatus.COMMAND_OK:
            raise error_from_result(result)
        names[text] = name
    return name


def _encoded(value: object) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    return str(value).encode()


def _results(pgconn: pq.abc.PGconn) -> list[pq.abc.PGresult]:
    """The results up to the pipeline's end, the threads of others running meanwhile; raises the first error
    among them.
    """
    poll = select.poll()
    poll.register(pgconn.socket, select.POLLIN | select.POLLOUT)
    while pgconn.flush():
        for _, event in poll.poll():
            if event & select.POLLIN:
                pgconn.consume_input()
    poll.register(pgconn.socket, select.POLLIN)
    results: list[pq.abc.PGresult] = []
    while True:
        while pgconn.is_busy():
            poll.poll()
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            continue  # the end of one statement's results
        if result.status == _SYNC:
            break
        results.append(result)
    for result in results:
        if result.status not in _DONE and result.status != _ABORTED:
            raise error_from_result(result)
    return results
