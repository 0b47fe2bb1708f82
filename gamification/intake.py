"""Account events in: read by cursor, played in batches, each exactly once (DESIGN §4.6).

An award and the reader's position are stored in one transaction, so a crash between them is impossible. An event that
can't be played never stops the ones behind it: it is kept as a `SkippedEvent` and tried again until it succeeds.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, transaction

from astrade.core.metrics import counter
from gamification.domain.rules import Fact, MalformedFact
from gamification.models import Mission, SkippedEvent
from gamification.services import UserFact, play_facts
from trading.domain.lifecycle import OrderSource
from trading.models import Event
from trading.readers import advance, next_events

READER = "game"
BATCH = 500  # events a transaction
CAREFUL_BATCH = 50  # events a transaction that plays them one by one
SCHEMA = 1  # the schema version of event data that the rules understand
FIRST_RETRY_S = 30
LAST_RETRY_S = 6 * 60 * 60
RETRIES_A_CALL = 100
DATABASE_AWAY = (OperationalError, InterfaceError)  # says nothing about the event: the batch is simply read again

logger = logging.getLogger(__name__)
EVENTS = counter("astrade_game_events_total", "Account events the game has read, by outcome", ["outcome"])


def process_batch() -> int:
    """Play the next events; returns how many were read, 0 when there are none or another process reads.

    Raises OperationalError or InterfaceError when the database is away; the same events come again then.
    """
    try:
        with transaction.atomic():
            events = next_events(READER, limit=BATCH)
            play_facts(facts_of(events))
            advance(READER, events)
    except DATABASE_AWAY:
        raise
    except Exception:
        logger.warning("game_batch_failed", exc_info=True)
        return _process_carefully()
    EVENTS.labels("read").inc(len(events))
    return len(events)


def process_all(*, batches_max: int) -> int:
    """Batches until nothing is left, at most `batches_max`; returns the number of events."""
    total = 0
    for _ in range(batches_max):
        count = process_batch()
        total += count
        if not count:
            break
    return total


def retry_skipped(*, now: datetime) -> int:
    """Play the skipped events whose time has come; returns how many succeeded. May run in several processes at once."""
    due = SkippedEvent.objects.filter(resolved_at__isnull=True, retry_at__lte=now).order_by("retry_at")
    ids = list(due.values_list("pk", flat=True)[:RETRIES_A_CALL])
    return sum(retry(skipped_id, now=now) for skipped_id in ids)


@transaction.atomic
def retry(skipped_id: int, *, now: datetime) -> bool:
    """Play one skipped event again; False if it failed once more, is resolved, or another process tries it."""
    open_rows = SkippedEvent.objects.select_for_update(skip_locked=True).filter(resolved_at__isnull=True)
    row = open_rows.filter(pk=skipped_id).first()
    if row is None:
        return False
    error = _play_one(Event.objects.select_related("account").get(pk=row.event_id))
    if error is None:
        row.resolved_at = now
    else:
        row.attempts, row.error = row.attempts + 1, _said(error)
        row.retry_at = now + _delay(row.attempts)
    row.save(update_fields=["attempts", "error", "retry_at", "resolved_at"])
    return error is None


def facts_of(events: Sequence[Event]) -> list[UserFact]:
    """What concerns the game among `events`, whose accounts are loaded; raises MalformedFact for a newer schema."""
    return [_fact_of(event) for event in events if event.kind in Mission.EventKind.values and not _is_slice(event)]


def _is_slice(event: Event) -> bool:
    """The slices of a TWAP order are one order, their parent."""
    return isinstance(event.data, dict) and event.data.get("source") == OrderSource.TWAP


def _fact_of(event: Event) -> UserFact:
    if event.schema != SCHEMA:
        raise MalformedFact(f"event {event.pk}: schema {event.schema} is not understood")
    return UserFact(event.account.user_id, Fact(event.pk, event.kind, event.data, event.at))


def _process_carefully() -> int:
    """The next events one by one: those that fail are kept aside, the rest is played."""
    with transaction.atomic():
        events = next_events(READER, limit=CAREFUL_BATCH)
        failures = [(event, error) for event in events if (error := _play_one(event)) is not None]
        SkippedEvent.objects.bulk_create(
            [SkippedEvent(event=event, error=_said(error), retry_at=event.at + _delay(1)) for event, error in failures],
            ignore_conflicts=True,
        )
        advance(READER, events)
    EVENTS.labels("read").inc(len(events) - len(failures))
    EVENTS.labels("skipped").inc(len(failures))
    return len(events)


def _play_one(event: Event) -> Exception | None:
    """Play one event in a savepoint; the error that undid it, if any. A database that is away raises."""
    try:
        with transaction.atomic():
            play_facts(facts_of([event]))
    except DATABASE_AWAY:
        raise
    except Exception as exc:
        logger.exception("game_event_skipped", extra={"event": event.pk, "kind": event.kind})
        return exc
    return None


def _delay(attempts: int) -> timedelta:
    """Twice as long after each failure, within a working day at last."""
    doublings = min(attempts - 1, 20)
    return timedelta(seconds=min(FIRST_RETRY_S * 2**doublings, LAST_RETRY_S))


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:255]
