from typing import Any

from django.conf import settings
from django.core.management.commands import migrate
from django.db import connections, transaction

from astrade.core.roles import as_owner, ensure_role, grant_rights


class Command(migrate.Command):
    """Django's `migrate`, run as the owner of the tables; afterwards the role of the processes gets its rights."""

    def handle(self, *args: Any, **options: Any) -> None:
        alias = options["database"]
        connection = connections[alias]
        with as_owner(connection):
            if settings.DATABASE_ROLE and not options["plan"]:
                with connection.cursor() as cursor:
                    ensure_role(cursor)
            super().handle(*args, **options)
            if settings.DATABASE_ROLE and not (options["plan"] or options["check_unapplied"]):
                with transaction.atomic(using=alias), connection.cursor() as cursor:
                    grant_rights(cursor)
