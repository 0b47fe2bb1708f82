"""Scheduled work on identities."""

import logging

from celery import shared_task

from accounts import services
from astrade.core.clock import system_clock

logger = logging.getLogger(__name__)


@shared_task
def clean_sessions() -> None:
    """Nightly; safe to run twice."""
    removed = services.clean_sessions(now=system_clock())
    logger.info("sessions_cleaned", extra={"removed": removed})
