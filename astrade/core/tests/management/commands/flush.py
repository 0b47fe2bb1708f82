from typing import Any

from django.core.management.commands import flush
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

MADE_BY_MIGRATE = {"django_migrations", "django_content_type", "auth_permission"}


class Command(flush.Command):
    """Django's `flush`, for tests: as the owner, and append-only tables too.

    A superuser deletes what tables hold, which takes a tenth of the time of emptying all of them and making Django's
    permissions anew; somebody else truncates them.
    """

    def handle(self, **options: Any) -> None:
        connection = connections[options["database"]]
        with connection.cursor() as cursor:
            cursor.execute("SET ROLE NONE; SET astrade.flush = 'on'")
            cursor.execute("SHOW is_superuser")
            try:
                if cursor.fetchone() == ("on",):
                    delete_all(connection)
                else:
                    super().handle(**options)
            finally:
                cursor.execute("RESET ROLE; RESET astrade.flush")


def delete_all(connection: BaseDatabaseWrapper) -> None:
    """Empty every table but those that `migrate` fills; waits for transactions that are still writing."""
    tables = sorted(set(connection.introspection.table_names()) - MADE_BY_MIGRATE)
    names = {table: sql.Identifier(table) for table in tables}
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.SQL(", ").join(names.values())))
        filled = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(table, name) for table, name in names.items()
        )
        cursor.execute(filled)
        found = [table for (table,) in cursor.fetchall()]
        cursor.execute("SET LOCAL session_replication_role = replica")  # neither triggers nor foreign keys
        for table in found:
            cursor.execute(sql.SQL("DELETE FROM {}").format(names[table]))
