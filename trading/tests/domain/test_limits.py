"""Limits that owners set themselves, and the days these are counted in."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrade.core.days import local_day
from trading.domain.limits import Halt, HaltScope, OwnLimit, risk_day
from trading.tests.factories import AT, D

DAY = timedelta(hours=24)
LATER = AT + timedelta(hours=1)
values = st.none() | st.sampled_from([D(50), D(100), D(200)])


@pytest.mark.parametrize(("before", "wanted"), [(None, "100"), ("100", "99.99"), ("100", "100")])
def test_tightening_holds_at_once(before: str | None, wanted: str) -> None:
    limit = OwnLimit(D(before) if before else None)
    assert limit.changed(D(wanted), now=AT) == OwnLimit(D(wanted))


@pytest.mark.parametrize("wanted", [D("100.01"), None])
def test_loosening_takes_a_day(wanted: Decimal | None) -> None:
    limit = OwnLimit(D(100)).changed(wanted, now=AT)

    assert limit == OwnLimit(D(100), wanted, AT + DAY)
    assert limit.at(AT + DAY - timedelta(microseconds=1)).value == 100
    assert limit.at(AT + DAY) == OwnLimit(wanted)


def test_a_pending_limit_is_cancelled_repeated_or_replaced() -> None:
    pending = OwnLimit(D(100)).changed(D(200), now=AT)

    assert pending.changed(D(100), now=LATER) == OwnLimit(D(100))
    assert pending.changed(D(50), now=LATER) == OwnLimit(D(50))
    assert pending.changed(D(200), now=LATER) == pending
    assert pending.changed(D(150), now=LATER) == OwnLimit(D(100), D(150), LATER + DAY)
    assert pending.changed(None, now=LATER) == OwnLimit(D(100), None, LATER + DAY)
    assert pending.changed(D(150), now=AT + DAY) == OwnLimit(D(150))  # it was 200 by then


@given(start=values, wishes=st.lists(st.tuples(values, st.integers(0, 30)), max_size=8))
def test_no_wish_loosens_within_a_day(start: Decimal | None, wishes: list[tuple[Decimal | None, int]]) -> None:
    limit, now = OwnLimit(start), AT
    for wanted, hours in wishes:
        now += timedelta(hours=hours)
        before, pending = limit.at(now).value, limit.at(now)
        limit = limit.changed(wanted, now=now)
        ahead = timedelta(0) if limit == pending else DAY - timedelta(microseconds=1)
        value = limit.at(now + ahead).value
        assert before is None or (value is not None and value <= before)


# The risk day


def utc(text: str) -> datetime:
    """An instant."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def day(now: str, *, changed_at: str | None = None, zone: str = "Asia/Tokyo", previous: str = "UTC") -> tuple[str, str]:
    """Begin and end."""
    moved = utc(changed_at) if changed_at else None
    found = risk_day(utc(now), zone=zone, previous=previous, changed_at=moved)
    return f"{found.starts_at:%d %H:%M}", f"{found.ends_at:%d %H:%M}"


def test_without_a_change_it_is_the_local_day() -> None:
    assert day("2026-03-05 14:59") == ("04 15:00", "05 15:00")


def test_a_changed_zone_applies_from_the_next_midnight_of_the_old_one() -> None:
    moved = "2026-03-05 16:00"

    assert day("2026-03-05 16:00", changed_at=moved) == ("05 00:00", "06 00:00")
    assert day("2026-03-05 23:59", changed_at=moved) == ("05 00:00", "06 00:00")
    assert day("2026-03-06 00:00", changed_at=moved) == ("06 00:00", "06 15:00")
    assert day("2026-03-06 15:00", changed_at=moved) == ("06 15:00", "07 15:00")


def test_a_change_at_midnight_itself_applies_at_once() -> None:
    assert day("2026-03-05 00:00", changed_at="2026-03-05 00:00") == ("05 00:00", "05 15:00")


@given(
    at=st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    minutes=st.integers(0, 60 * 72),
    zones=st.tuples(*[st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York", "Africa/Cairo"])] * 2),
)
def test_risk_days_tile_time_and_none_moves_while_it_runs(at: datetime, minutes: int, zones: tuple[str, str]) -> None:
    previous, zone = zones
    now = at + timedelta(minutes=minutes)

    found = risk_day(now, zone=zone, previous=previous, changed_at=at)

    assert found.holds(now)
    assert found.ends_at - found.starts_at <= timedelta(hours=25)
    assert risk_day(found.ends_at, zone=zone, previous=previous, changed_at=at).starts_at == found.ends_at
    before = local_day(at, zone=previous)
    assert at == before.starts_at or risk_day(at, zone=zone, previous=previous, changed_at=at) == before


# Halts


@pytest.mark.parametrize(
    ("scope", "venue", "concerned"),
    [("global", "", True), ("venue", "practice", True), ("venue", "extended", True), ("venue", "binance", False)],
)
def test_a_halt_concerns_what_it_names(scope: str, venue: str, concerned: bool) -> None:
    halt = Halt(scope=HaltScope(scope), venue=venue, reason="x", since=AT, until=None)
    assert halt.concerns("practice", "extended", now=AT) is concerned


def test_a_halt_ends_by_itself() -> None:
    halt = Halt(scope=HaltScope.GLOBAL, venue="", reason="x", since=AT, until=LATER)
    assert halt.concerns(now=LATER - timedelta(microseconds=1))
    assert not halt.concerns(now=LATER)
