"""Throwing away what nobody can use any more."""

from datetime import datetime, timedelta

from django.contrib.sessions.backends.db import SessionStore

from accounts.models import Onboarding, RefreshFamily, RefreshToken

KEEP_ENDED = timedelta(days=30)  # so that support can still see where somebody was signed in
BATCH = 1000


def clean_sessions(*, now: datetime) -> int:
    """Delete refresh tokens past their end, and sessions and onboardings that came to nothing a month ago, in small
    transactions; how many sessions those were. May be interrupted and run again."""
    _delete_in_batches(RefreshToken, expires_at__lt=now)
    SessionStore.clear_expired()
    _delete_in_batches(Onboarding, expires_at__lt=now - KEEP_ENDED, stark_key=None, credential=None)
    return _delete_in_batches(RefreshFamily, expires_at__lt=now - KEEP_ENDED)


def _delete_in_batches(
    model: type[Onboarding] | type[RefreshFamily] | type[RefreshToken], **condition: datetime | None
) -> int:
    total = 0
    while True:
        batch = list(model._default_manager.filter(**condition).values_list("pk", flat=True)[:BATCH])
        if not batch:
            return total
        model._default_manager.filter(pk__in=batch).delete()
        total += len(batch)
