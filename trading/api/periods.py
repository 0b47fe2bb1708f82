"""Periods that a client asks for: `from` until before `to`, the present moment unless said."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from astrade.core.clock import EPOCH
from astrade.core.errors import ValidationFailed

Period = tuple[datetime, datetime]


def period_of(asked: Mapping[str, Any], *, now: datetime, length: timedelta, at_most: timedelta) -> Period:
    """Begin and end, `length` apart unless both are said; what lies ahead is left out. Raises ValidationFailed."""
    end = min(asked.get("to", now), now)
    begin: datetime = asked.get("from", max(EPOCH, end - length))
    if begin >= end:
        raise ValidationFailed(details={"fields": {"from": ["Must be before `to`, and in the past."]}})
    if end - begin > at_most:
        raise ValidationFailed(details={"fields": {"from": [f"At most {at_most.days} days before `to`."]}})
    return begin, end
