"""Local days: where they begin and end, clock changes included."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrade.core.days import local_day

ZONES = ("UTC", "America/New_York", "Asia/Kathmandu", "Africa/Cairo", "Atlantic/Azores", "Pacific/Kiritimati")


def utc(text: str) -> datetime:
    """An instant."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "instant", "starts_at", "hours"),
    [
        ("UTC", "2026-03-01 00:00", "2026-03-01 00:00", 24),
        ("America/New_York", "2026-03-08 12:00", "2026-03-08 05:00", 23),
        ("America/New_York", "2026-11-01 12:00", "2026-11-01 04:00", 25),
        ("Asia/Kathmandu", "2026-03-01 18:15", "2026-03-01 18:15", 24),
        ("Asia/Kathmandu", "2026-03-01 18:14", "2026-02-28 18:15", 24),
        ("Africa/Cairo", "2026-04-24 12:00", "2026-04-23 22:00", 23),  # clocks skip from 00:00 to 01:00
        ("Atlantic/Azores", "2026-10-25 12:00", "2026-10-25 00:00", 25),  # 00:00 comes twice
    ],
)
def test_days_begin_at_the_first_moment_of_their_date(zone: str, instant: str, starts_at: str, hours: int) -> None:
    day = local_day(utc(instant), zone=zone)

    assert day.starts_at == utc(starts_at)
    assert day.ends_at - day.starts_at == timedelta(hours=hours)


@given(
    instant=st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),
    zone=st.sampled_from(ZONES),
)
def test_days_follow_each_other_without_gap_or_overlap(instant: datetime, zone: str) -> None:
    day = local_day(instant, zone=zone)

    assert day.holds(instant)
    assert not day.holds(day.ends_at)
    assert local_day(day.ends_at, zone=zone).starts_at == day.ends_at
    assert local_day(day.starts_at, zone=zone) == day
    place = ZoneInfo(zone)
    assert day.starts_at.astimezone(place).date() == instant.astimezone(place).date()
    assert (day.starts_at - timedelta(microseconds=1)).astimezone(place).date() < instant.astimezone(place).date()
