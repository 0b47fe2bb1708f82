"""What users set to protect themselves from themselves: it can be tightened at once and loosened late, or never."""

from datetime import datetime, timedelta

from accounts.models import User
from astrade.core.clock import to_ms
from astrade.core.days import local_day
from astrade.core.errors import CoolOffInForce, ValidationFailed

ZONE_CHANGE_EVERY = timedelta(hours=24)
COOL_OFF_MAX = timedelta(days=366)


def check_zone_change(user: User, *, now: datetime) -> None:
    """A user's days may move once in 24 hours, and not before the last change took effect (DESIGN §4.4, risk day)."""
    if user.time_zone_changed_at is None:
        return
    in_force_from = local_day(user.time_zone_changed_at, zone=user.previous_time_zone).ends_at
    allowed_from = max(user.time_zone_changed_at + ZONE_CHANGE_EVERY, in_force_from)
    if now < allowed_from:
        told = f"The time zone may be changed once in 24 hours, next at {allowed_from:%Y-%m-%d %H:%M} UTC."
        raise ValidationFailed(details={"fields": {"time_zone": [told]}, "allowed_from": to_ms(allowed_from)})


def check_cool_off(user: User, *, until: datetime | None, now: datetime) -> None:
    """A cool-off ends in the future, within a year, and never earlier than it was set to."""
    current = user.cool_off_until
    if current is not None and current > now and (until is None or until < current):
        raise CoolOffInForce("A cool-off can be made longer, not shorter", details={"cool_off_until": to_ms(current)})
    if until is not None and until != current and not now < until <= now + COOL_OFF_MAX:
        raise ValidationFailed(details={"fields": {"cool_off_until": ["A time within the next year is required."]}})
