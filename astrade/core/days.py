"""Days as people live them: from one midnight of their place to the next, 23 to 25 hours where clocks change."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class LocalDay:
    """A stretch of time, its end not included; both instants are UTC."""

    starts_at: datetime
    ends_at: datetime

    def holds(self, instant: datetime) -> bool:
        """Whether `instant` falls into it."""
        return self.starts_at <= instant < self.ends_at


def local_day(instant: datetime, *, zone: str) -> LocalDay:
    """The day of an IANA zone that `instant` falls into; it begins at the first moment that bears its date."""
    today = instant.astimezone(ZoneInfo(zone)).date()
    return LocalDay(_midnight(today, zone=zone), _midnight(today + timedelta(days=1), zone=zone))


def _midnight(day: date, *, zone: str) -> datetime:
    """Where clocks skip midnight this is the moment they do; where it comes twice, the first."""
    return datetime.combine(day, time.min, tzinfo=ZoneInfo(zone)).astimezone(UTC)
