from typing import Any

import pytest
from django.contrib import admin
from django.db import DatabaseError, transaction
from django.test import RequestFactory

from astrade.core import admin as core_admin
from astrade.core import audit, context
from astrade.core.admin import BoundedPaginator, ReadOnlyAdmin
from astrade.core.models import AuditEvent, Lease

pytestmark = pytest.mark.django_db


def test_event_says_who_what_and_from_where() -> None:
    lease = Lease(name="feed")
    token = context.bind(request_id="r-9")
    try:
        event = audit.record(
            "lease.taken",
            actor_id=1,
            on_behalf_of_id=2,
            subject=lease,
            before={"holder": "a"},
            after={"holder": "b"},
            ip="::1",
        )
    finally:
        context.unbind(token)
    event.refresh_from_db()
    assert (event.actor_id, event.on_behalf_of_id, event.action) == (1, 2, "lease.taken")
    assert (event.object_type, event.object_id) == ("core.lease", "feed")
    assert (event.before, event.after) == ({"holder": "a"}, {"holder": "b"})
    assert (event.ip, event.request_id) == ("::1", "r-9")
    assert event.at is not None


def test_secrets_never_reach_the_trail() -> None:
    event = audit.record(
        "key.made", actor_id=1, after={"api_key": "abc", "nested": {"password": "x"}, "scopes": ["read"]}
    )
    assert event.after == {"api_key": "***", "nested": {"password": "***"}, "scopes": ["read"]}


def test_trail_cannot_be_changed() -> None:
    event = audit.record("user.frozen", actor_id=1)
    for change in (lambda: AuditEvent.objects.filter(pk=event.pk).update(action="x"), event.delete):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()
    assert AuditEvent.objects.get().action == "user.frozen"


def test_history_in_the_back_office_is_read_only() -> None:
    request = RequestFactory().get("/admin/")
    page = ReadOnlyAdmin(AuditEvent, admin.site)
    assert not page.has_add_permission(request)
    assert not page.has_change_permission(request)
    assert not page.has_delete_permission(request)


def test_paginator_counts_small_tables_exactly_and_big_ones_not(monkeypatch: Any) -> None:
    for n in range(5):
        audit.record(f"a.{n}", actor_id=n)
    assert BoundedPaginator(AuditEvent.objects.order_by("pk"), 50).count == 5
    monkeypatch.setattr(core_admin, "COUNTED_UP_TO", 2)
    monkeypatch.setattr(core_admin, "estimated_rows", lambda model: 1_000_000)
    assert BoundedPaginator(AuditEvent.objects.order_by("pk"), 50).count == 1_000_000
    assert BoundedPaginator(AuditEvent.objects.filter(actor_id__gte=0).order_by("pk"), 50).count == 3
