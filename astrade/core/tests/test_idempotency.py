import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F

from astrade.core.idempotency import KEPT, delete_expired
from astrade.core.models import AuditEvent, IdempotencyRecord
from astrade.core.tests.http import call, error_of

pytestmark = [pytest.mark.urls("astrade.core.tests.views"), pytest.mark.django_db]
USER = {"X-Test-User": "42"}
TWINS = 8


def grant(body: Any, *, key: Any = None, user: Any = "42", path: Any = "/grant") -> Any:
    headers = {"X-Test-User": user} | ({} if key is None else {"Idempotency-Key": key})
    return call("POST", path, body, headers=headers)


def test_replay_answers_the_stored_status_and_body() -> None:
    key = secrets.token_hex(8)

    first, second = (grant({"amount": "5"}, key=key) for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["data"] == second.json()["data"]
    assert "Idempotent-Replayed" not in first
    assert second["Idempotent-Replayed"] == "true"
    assert first.json()["request_id"] != second.json()["request_id"]
    assert AuditEvent.objects.count() == 1


def test_same_key_with_another_body_or_path_is_a_conflict() -> None:
    key = secrets.token_hex(8)
    grant({"amount": "5"}, key=key)

    assert error_of(grant({"amount": "6"}, key=key)) == (409, 1005)
    assert error_of(grant({"amount": "5"}, key=key, path="/grant?account=2")) == (409, 1005)
    assert AuditEvent.objects.count() == 1


def test_spelling_of_the_body_does_not_matter() -> None:
    key = secrets.token_hex(8)
    grant(b'{"amount": "5", "secret": false}', key=key)
    assert grant(b'{ "amount":"5","secret":false }', key=key).status_code == 201


def test_keys_of_different_callers_are_different() -> None:
    key = secrets.token_hex(8)
    grant({"amount": "5"}, key=key, user="42")
    assert "Idempotent-Replayed" not in grant({"amount": "5"}, key=key, user="43")
    assert AuditEvent.objects.count() == 2


def test_without_a_key_each_call_counts() -> None:
    grant({"amount": "5"})
    grant({"amount": "5"})
    assert AuditEvent.objects.count() == 2
    assert not IdempotencyRecord.objects.exists()


def test_errors_leave_no_trace_and_are_not_stored() -> None:
    key = secrets.token_hex(8)
    assert error_of(grant({"amount": "5", "refuse": True}, key=key)) == (401, 1101)
    assert not AuditEvent.objects.exists()
    assert not IdempotencyRecord.objects.exists()
    assert grant({"amount": "5"}, key=key).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 129, "é", "a\tb"])
def test_bad_key_is_refused(key: Any) -> None:
    assert error_of(grant({"amount": "5"}, key=key)) == (400, 1001)


def test_key_may_be_used_again_after_24_hours() -> None:
    key = secrets.token_hex(8)
    grant({"amount": "5"}, key=key)
    IdempotencyRecord.objects.update(created_at=F("created_at") - KEPT - timedelta(seconds=1))

    again = grant({"amount": "6"}, key=key)

    assert again.status_code == 201
    assert "Idempotent-Replayed" not in again
    assert AuditEvent.objects.count() == 2


def test_secret_answer_is_stored_sealed_and_replayed_whole() -> None:
    key = secrets.token_hex(8)

    first, second = (grant({"amount": "very-secret-token", "secret": True}, key=key) for _ in range(2))

    assert second.json()["data"] == first.json()["data"]
    assert second["Cache-Control"] == "no-store"
    record = IdempotencyRecord.objects.get()
    assert record.sealed
    assert b"very-secret-token" not in bytes(record.answer)


def test_clean_up_removes_what_is_older_than_24_hours() -> None:
    for _ in range(3):
        grant({"amount": "5"}, key=secrets.token_hex(8))
    oldest = IdempotencyRecord.objects.order_by("pk")[0]
    IdempotencyRecord.objects.filter(pk=oldest.pk).update(created_at=F("created_at") - KEPT - timedelta(seconds=1))

    assert delete_expired() == 1
    assert delete_expired() == 0
    assert IdempotencyRecord.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_concurrent_twins_happen_once() -> None:
    key = secrets.token_hex(8)

    def twin(_: Any) -> Any:
        try:
            return grant({"amount": "5", "pause_s": 0.2}, key=key)
        finally:
            connection.close()

    with ThreadPoolExecutor(TWINS) as pool:
        answers = list(pool.map(twin, range(TWINS)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["data"]["id"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer for answer in answers) == 1
    assert AuditEvent.objects.count() == 1
