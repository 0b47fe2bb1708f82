"""Housekeeping of what every app shares."""

from celery import shared_task

from astrade.core import idempotency


@shared_task
def delete_idempotency_records() -> None:
    """Remove answers older than 24 hours."""
    idempotency.delete_expired()
