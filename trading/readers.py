"""Readers over all accounts (DESIGN §4.6): the game, the matcher, the users' totals. Each reads every event once.

    with transaction.atomic():
        events = next_events("totals", limit=500)
        ...                                         # the reader's effects
        advance("totals", events)

The position is stored in the transaction of the effects, so a crash loses and repeats nothing. Pages run by `(xid,
id)` and end below the oldest transaction that still runs, so an event that commits late is met later, never skipped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.db import connection, models
from django.db.models import Func, QuerySet
from django.db.models.fields.json import KT

from trading.models import Event, ReaderPosition


class OldestRunningTransaction(Func):
    """The id below which every transaction has ended, by the reading statement's own snapshot."""

    template = "(pg_snapshot_xmin(pg_current_snapshot())::text::bigint)"
    output_field = models.BigIntegerField()


def next_events(name: str, *, limit: int) -> list[Event]:
    """At most `limit` events behind the position of reader `name`, oldest first, with their accounts loaded.

    Locks the position until the transaction ends, which must be open. Empty when there is nothing new, and when another
    process reads under this name: nobody waits.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("next_events needs the transaction in which the reader's effects are stored")
    position = _locked_position(name)
    if position is None:
        return []
    unread = _behind(Cursor(xid=position.xid, row_id=position.row_id))
    return list(unread.select_related("account")[:limit])


def advance(name: str, events: Sequence[Event]) -> None:
    """Note that reader `name` is done with `events`, which `next_events` gave in this same transaction."""
    if events:
        ReaderPosition.objects.filter(name=name).update(xid=events[-1].xid, row_id=events[-1].pk)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader that keeps its place in memory has come."""

    xid: int
    row_id: int


def present_cursor() -> Cursor:
    """A cursor in front of everything that is not yet settled: what is visible now is behind it or will be read."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        row = cursor.fetchone()
    return Cursor(xid=row[0] if row else 0, row_id=0)


def events_behind(cursor: Cursor, *, limit: int) -> list[Event]:
    """At most `limit` events after `cursor`, oldest first, for readers that rebuild their state at each start."""
    return list(_behind(cursor)[:limit])


class Subject(NamedTuple):
    """What an event is about, without the rest of its data: the id in its body, None where that has none."""

    xid: int
    row_id: int
    kind: str
    subject: str | None

    @property
    def cursor(self) -> Cursor:
        """Behind this event."""
        return Cursor(xid=self.xid, row_id=self.row_id)


def subjects_behind(cursor: Cursor, *, limit: int) -> list[Subject]:
    """As `events_behind`, for readers that look up what is meant: a fifth of the work."""
    rows = _behind(cursor).values_list("xid", "id", "kind", KT("data__id"))
    return [Subject._make(row) for row in rows[:limit]]


def _behind(cursor: Cursor) -> QuerySet[Event]:
    """Settled events after `cursor`, oldest first."""
    settled = Event.objects.filter(xid__gte=cursor.xid, xid__lt=OldestRunningTransaction())
    return settled.exclude(xid=cursor.xid, id__lte=cursor.row_id).order_by("xid", "id")


def _locked_position(name: str) -> ReaderPosition | None:
    """The reader's row, made at its first call; None while another process holds it."""
    position = ReaderPosition.objects.select_for_update(skip_locked=True).filter(name=name).first()
    if position is None and not ReaderPosition.objects.filter(name=name).exists():
        ReaderPosition.objects.bulk_create([ReaderPosition(name=name)], ignore_conflicts=True)
        position = ReaderPosition.objects.select_for_update(skip_locked=True).filter(name=name).first()
    return position
