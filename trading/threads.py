"""Database work in long-lived threads of `streams`, each with a connection of its own."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, connection

T = TypeVar("T")


def with_connection(call: Callable[..., T], *arguments: Any) -> T:
    """`call` in a thread that keeps its database connection, and drops a broken one."""
    try:
        return call(*arguments)
    except (DatabaseError, InterfaceError):
        connection.close()
        raise
