"""What users set to protect themselves: the cool-off and the days of their limits."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts import services
from accounts.models import User
from accounts.selectors import ZoneHistory, zones_of
from accounts.tests.client import Api
from accounts.tests.factories import UserFactory, signed_in
from astrade.core import errors
from astrade.core.clock import system_clock, to_ms
from astrade.core.models import AuditEvent

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 5, 16, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def caller(api: Api) -> Api:
    """Somebody signed in."""
    return api.bearer(signed_in().access_token)


def in_ms(**later: float) -> int:
    """Milliseconds of a moment from now."""
    return to_ms(system_clock() + timedelta(**later))


def test_cool_off_is_made_longer_and_never_shorter(caller: Api) -> None:
    first, second = in_ms(hours=1), in_ms(hours=2)
    assert caller.get("/users/me").data["cool_off_until"] is None

    assert caller.patch("/users/me", {"cool_off_until": first}).data["cool_off_until"] == first
    assert caller.patch("/users/me", {"cool_off_until": second}).data["cool_off_until"] == second
    for sooner in (first, second - 1, None):
        refused = caller.patch("/users/me", {"cool_off_until": sooner, "display_name": "Impatient"})
        assert refused.error == (403, 3018)
        assert refused.content["error"]["details"] == {"cool_off_until": second}
    assert caller.patch("/users/me", {"cool_off_until": second}).status == 200

    shown = caller.get("/users/me").data
    assert shown["cool_off_until"] == second
    assert shown["display_name"] != "Impatient"
    assert [event.after["cool_off_until"] for event in AuditEvent.objects.filter(action="user.cool_off_set")][:2] == [
        first, second,
    ]  # fmt: skip


@pytest.mark.parametrize("until", [{"hours": -1}, {"days": 367}])
def test_cool_off_lies_within_the_next_year(caller: Api, until: dict[str, float]) -> None:
    assert caller.patch("/users/me", {"cool_off_until": in_ms(**until)}).error == (400, 1001)


@pytest.mark.parametrize("until", ["soon", 1.5, -1, 10**18, True])
def test_cool_off_that_is_no_time(caller: Api, until: Any) -> None:
    assert caller.patch("/users/me", {"cool_off_until": until}).error == (400, 1001)


def test_a_cool_off_that_is_over_may_go(caller: Api) -> None:
    User.objects.update(cool_off_until=system_clock() - HOUR)
    assert caller.patch("/users/me", {"cool_off_until": None}).data["cool_off_until"] is None


def test_zone_changes_once_in_a_day(caller: Api) -> None:
    caller.patch("/users/me", {"time_zone": "Asia/Tokyo"})
    assert caller.patch("/users/me", {"time_zone": "Asia/Tokyo"}).status == 200

    refused = caller.patch("/users/me", {"time_zone": "Europe/Madrid"})

    assert refused.error == (400, 1001)
    assert "once in 24 hours" in refused.content["error"]["details"]["fields"]["time_zone"][0]
    assert caller.get("/users/me").data["time_zone"] == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("hours", "allowed"),
    [(23.99, False), (24, True)],
)
def test_zone_may_change_again_after_a_day(hours: float, allowed: bool) -> None:
    user = UserFactory.create()
    services.update_profile(user.pk, now=AT, time_zone="Asia/Tokyo")
    again = AT + timedelta(hours=hours)
    if allowed:
        services.update_profile(user.pk, now=again, time_zone="UTC")
        assert zones_of(user.pk) == ZoneHistory("UTC", "Asia/Tokyo", again)
    else:
        with pytest.raises(errors.ValidationFailed):
            services.update_profile(user.pk, now=again, time_zone="UTC")
        assert zones_of(user.pk) == ZoneHistory("Asia/Tokyo", "UTC", AT)


def test_zone_may_not_change_before_the_last_change_took_effect() -> None:
    """The day that clocks go back has 25 hours: 24 after a change early in it, the old day still runs."""
    user = UserFactory.create(time_zone="America/New_York")
    early = datetime(2026, 11, 1, 4, 10, tzinfo=UTC)  # ten minutes after midnight
    services.update_profile(user.pk, now=early, time_zone="UTC")

    with pytest.raises(errors.ValidationFailed):
        services.update_profile(user.pk, now=early + 24 * HOUR, time_zone="Asia/Tokyo")
    services.update_profile(user.pk, now=datetime(2026, 11, 2, 5, tzinfo=UTC), time_zone="Asia/Tokyo")


def test_zones_of_nobody() -> None:
    with pytest.raises(errors.NotFound):
        zones_of(0)
