"""The game's sweep: what the reader in `streams` left, because it was down or an event could not be played."""

from celery import shared_task

from astrade.core.clock import system_clock
from gamification import intake

BATCHES_MAX = 100  # events beyond these wait for the next sweep


@shared_task
def process_events() -> None:
    """Play unread events and try skipped ones again; harmless beside the reader and beside itself."""
    intake.process_all(batches_max=BATCHES_MAX)
    intake.retry_skipped(now=system_clock())
