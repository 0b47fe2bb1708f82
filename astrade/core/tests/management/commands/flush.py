from typing import Any

from django.core.management.commands import flush
from django.db import connections


class Command(flush.Command):
    """Django's `flush`, for tests: as the owner, and with the one setting that lets append-only tables be emptied."""

    def handle(self, **options: Any) -> None:
        with connections[options["database"]].cursor() as cursor:
            cursor.execute("SET ROLE NONE; SET astrade.flush = 'on'")
            try:
                super().handle(**options)
            finally:
                cursor.execute("RESET ROLE; RESET astrade.flush")
