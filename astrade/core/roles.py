"""Who the processes are at the database: a role without the right to change history, and its owner for migrations."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from psycopg import sql

from astrade.core.triggers import APPEND_ONLY_TRIGGER
from astrade.settings.databases import session_options

TABLES = """
    SELECT c.relname, EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = %s)
    FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    ORDER BY 1
"""

CREATE_ROLE = """
    DO $$ BEGIN CREATE ROLE {} NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- another migration was faster
    END $$
"""


def become_owner(connection: BaseDatabaseWrapper) -> str:
    """Open the connection anew, at its next use, as the user of the database URL; returns the options it had."""
    options = connection.settings_dict["OPTIONS"]
    before: str = options.get("options", "")
    connection.close()
    options["options"] = session_options(role="")
    return before


@contextmanager
def as_owner(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Work as the owner, without time limits. May be nested; must not be entered inside a transaction."""
    before = become_owner(connection)
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["OPTIONS"]["options"] = before


def ensure_role(cursor: CursorWrapper) -> None:
    """Create the role of the processes if it is missing and let the connected user act as it; may run at any time."""
    role = settings.DATABASE_ROLE
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
    if cursor.fetchone() is None:
        cursor.execute(sql.SQL(CREATE_ROLE).format(sql.Identifier(role)))
    cursor.execute("SELECT rolsuper OR rolname = %s FROM pg_roles WHERE rolname = current_user", [role])
    (may_act,) = cursor.fetchone() or (False,)
    if not may_act:
        cursor.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))


def grant_rights(cursor: CursorWrapper) -> None:
    """Give the role of the processes what it needs on every table: append-only ones are read and added to, no more."""
    role = sql.Identifier(settings.DATABASE_ROLE)
    cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(role))
    cursor.execute(sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}").format(role))
    cursor.execute(TABLES, [APPEND_ONLY_TRIGGER])
    tables = [(sql.Identifier(name), append_only) for name, append_only in cursor.fetchall()]
    for table, append_only in tables:
        rights = sql.SQL("SELECT, INSERT" if append_only else "SELECT, INSERT, UPDATE, DELETE")
        cursor.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(table, role))
        cursor.execute(sql.SQL("GRANT {} ON {} TO {}").format(rights, table, role))
