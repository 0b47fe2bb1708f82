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
from django.db.transaction import TransactionManagementError, atomic
from psycopg import pq
from psycopg.errors import error_from_result

Statement = tuple[str, Sequence[object]]
_prepared: WeakKeyDictionary[psycopg.Connection[Any], dict[str, bytes]] = WeakKeyDictionary()
_IDLE, _SYNC, _ABORTED = pq.TransactionStatus.IDLE, pq.ExecStatus.PIPELINE_SYNC, pq.ExecStatus.PIPELINE_ABORTED
_FAILED = pq.TransactionStatus.INERROR
_COMMIT, _ROLLBACK = ("COMMIT", ()), ("ROLLBACK", ())
_DONE = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


@contextmanager
def transaction() -> Iterator[list[Statement]]:
    """`transaction.atomic()` for a block whose first statement goes through `run_together`, at a fifth of its Python.

    Yields the list of its last statements: they travel with COMMIT, which the server doesn't run where one of them
    fails. Inside another atomic block it is one more, with its savepoint.
    """
    wrapper, last = connections[DEFAULT_DB_ALIAS], list[Statement]()
    wrapper.ensure_connection()
    if wrapper.in_atomic_block or not wrapper.get_autocommit():
        with atomic():
            yield last
            if last:
                run_together(*last)
        return
    wrapper.commit_on_exit, wrapper.needs_rollback, wrapper.in_atomic_block = True, False, True
    wrapper.autocommit = False  # as Django asks; psycopg stays out of it, BEGIN and COMMIT are sent here
    try:
        yield last
        committed = not wrapper.needs_rollback
        if committed and wrapper.connection.pgconn.transaction_status == _FAILED:  # COMMIT would say nothing of it
            raise TransactionManagementError("A statement failed and its error was caught inside the transaction")
        if committed and (last or not _is_idle(wrapper)):
            run_together(*last, _COMMIT)
    except BaseException:
        _end(wrapper)
        raise
    _end(wrapper, committed=committed)


def _is_idle(wrapper: BaseDatabaseWrapper) -> bool:
    """Whether the server has no transaction open on this connection."""
    return bool(wrapper.connection.pgconn.transaction_status == _IDLE)


def _end(wrapper: BaseDatabaseWrapper, *, committed: bool = False) -> None:
    """What the outermost `atomic` does at its end; a transaction that can't be rolled back has no connection left."""
    wrapper.in_atomic_block, wrapper.needs_rollback, wrapper.autocommit = False, False, True
    if wrapper.closed_in_transaction:  # the server has rolled back
        wrapper.connection, wrapper.run_on_commit = None, []
        return
    if committed:
        wrapper.run_and_clear_commit_hooks()
        return
    wrapper.run_on_commit = []
    if not _is_idle(wrapper):
        try:
            _run(wrapper, (_ROLLBACK,), begins=False)
        except Error:
            wrapper.close()


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
