import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from astrade.core.models import AuditEvent
from astrade.core.roles import as_owner

pytestmark = pytest.mark.django_db
RIGHTS = """
    SELECT privilege_type FROM information_schema.table_privileges WHERE grantee = 'astrade_app' AND table_name = %s
"""


def session() -> tuple[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, current_setting('idle_in_transaction_session_timeout')")
        user, timeout = cursor.fetchone() or ("", "")
    return user, timeout


def test_processes_act_as_the_role_without_rights_and_never_hold_a_transaction_open_for_long() -> None:
    assert session() == ("astrade_app", "10s")


@pytest.mark.parametrize("statement", ["UPDATE {} SET id = 1", "DELETE FROM {}", "TRUNCATE {}"])
def test_history_can_be_added_to_but_neither_changed_nor_removed(statement: str) -> None:
    AuditEvent.objects.create(action="test.done")
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(AuditEvent._meta.db_table))
    assert AuditEvent.objects.filter(action="test.done").exists()


@pytest.mark.parametrize("statement", ["UPDATE {} SET id = 1", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_owner_is_refused_as_well(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE")
    with (
        pytest.raises(DatabaseError, match="its rows are history"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement.format(AuditEvent._meta.db_table))


@pytest.mark.django_db(transaction=True)
def test_the_owner_is_somebody_for_a_while_only() -> None:
    with as_owner(connection):
        assert session()[0] != "astrade_app"
        with as_owner(connection):
            assert session()[0] != "astrade_app"
        assert session()[0] != "astrade_app"
    assert session()[0] == "astrade_app"


@pytest.mark.django_db(transaction=True)
def test_migrate_may_run_again_and_leaves_the_rights_as_they_are() -> None:
    call_command("migrate", verbosity=0)
    assert session()[0] == "astrade_app"
    with connection.cursor() as cursor:
        cursor.execute(RIGHTS, [AuditEvent._meta.db_table])
        assert {right for (right,) in cursor.fetchall()} == {"SELECT", "INSERT"}
