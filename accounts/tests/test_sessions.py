"""Staying signed in and signing out, over HTTP."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection

from accounts import services, tasks
from accounts.models import Onboarding, RefreshFamily, RefreshToken, UserState
from accounts.tests.client import Api
from accounts.tests.factories import OnboardingFactory, RefreshFamilyFactory, UserFactory, signed_in
from astrade.core.clock import system_clock
from astrade.core.models import AuditEvent

transactional = pytest.mark.django_db(transaction=True)


@transactional
def test_refresh_rotates(api: Api) -> None:
    first = signed_in()

    second = api.post("/auth/refresh", {"refresh_token": first.refresh_token}).data

    assert second["refresh_token"] != first.refresh_token
    assert second["access_token"] != first.access_token
    assert second["user"]["id"] == str(first.user.uuid)
    assert api.bearer(second["access_token"]).get("/users/me").status == 200
    assert api.post("/auth/refresh", {"refresh_token": second["refresh_token"]}).status == 200


@transactional
def test_a_spent_token_presented_again_ends_the_family(api: Api) -> None:
    user = UserFactory.create()
    first, elsewhere = signed_in(user), signed_in(user)
    second = api.post("/auth/refresh", {"refresh_token": first.refresh_token}).data

    assert api.post("/auth/refresh", {"refresh_token": first.refresh_token}).error == (401, 1102)

    assert api.post("/auth/refresh", {"refresh_token": second["refresh_token"]}).error == (401, 1102)
    assert api.bearer(second["access_token"]).get("/users/me").error == (401, 1102)
    assert api.bearer(elsewhere.access_token).get("/users/me").status == 200
    assert AuditEvent.objects.filter(action="session.reused", on_behalf_of_id=user.pk).count() == 1


@transactional
def test_of_refreshes_sent_at_once_one_wins_and_the_family_ends(api: Api) -> None:
    pair = signed_in()

    def refresh(_: int) -> int:
        try:
            return Api().post("/auth/refresh", {"refresh_token": pair.refresh_token}).status
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(refresh, range(6)))

    assert Counter(statuses) == {200: 1, 401: 5}
    assert RefreshToken.objects.count() == 2
    assert RefreshFamily.objects.get().revoke_reason == "reused"


@transactional
@pytest.mark.parametrize("token", ["", "x", "é" * 40, "x" * 5000, "\x00", "\ud800", 5, None, ["x"]])
def test_a_token_that_is_none_is_refused_clearly(api: Api, token: object) -> None:
    body = {"refresh_token": token} if token != "\ud800" else b'{"refresh_token": "\\ud800"}'

    assert api.post("/auth/refresh", body).error in [(400, 1000), (400, 1001), (401, 1101)]


@transactional
def test_an_expired_refresh_token_is_refused(api: Api) -> None:
    pair = signed_in()
    RefreshToken.objects.update(expires_at=system_clock())

    assert api.post("/auth/refresh", {"refresh_token": pair.refresh_token}).error == (401, 1102)
    assert RefreshFamily.objects.get().revoked_at is None


@transactional
def test_a_frozen_user_keeps_an_unspent_token_for_later(api: Api) -> None:
    pair = signed_in()
    services.freeze_user(pair.user.pk, actor_id=None, reason="test")

    assert api.post("/auth/refresh", {"refresh_token": pair.refresh_token}).error == (403, 1107)

    services.unfreeze_user(pair.user.pk, actor_id=None, reason="test")
    assert api.post("/auth/refresh", {"refresh_token": pair.refresh_token}).status == 200


@transactional
def test_logout_ends_this_session_only(api: Api) -> None:
    user = UserFactory.create()
    here, there = signed_in(user), signed_in(user)

    assert api.bearer(here.access_token).post("/auth/logout").data == {"revoked": 1}

    assert api.bearer(here.access_token).get("/users/me").error == (401, 1102)
    assert api.post("/auth/refresh", {"refresh_token": here.refresh_token}).error == (401, 1102)
    assert api.bearer(there.access_token).get("/users/me").status == 200


@transactional
def test_logout_may_name_another_of_ones_own_sessions(api: Api) -> None:
    user = UserFactory.create()
    here, there, stranger = signed_in(user), signed_in(user), signed_in()
    caller = api.bearer(here.access_token)

    assert caller.post("/auth/logout", {"refresh_token": there.refresh_token}).data == {"revoked": 1}
    assert caller.post("/auth/logout", {"refresh_token": stranger.refresh_token}).error == (401, 1101)

    assert caller.get("/users/me").status == 200
    assert api.bearer(there.access_token).get("/users/me").error == (401, 1102)
    assert api.bearer(stranger.access_token).get("/users/me").status == 200


@transactional
def test_logout_all_ends_every_session(api: Api) -> None:
    user = UserFactory.create()
    pairs = [signed_in(user) for _ in range(3)]

    assert api.bearer(pairs[0].access_token).post("/auth/logout-all").data == {"revoked": 3}

    assert {api.bearer(pair.access_token).get("/users/me").status for pair in pairs} == {401}


@transactional
def test_sessions_are_listed_page_by_page_and_revoked_one_by_one(api: Api) -> None:
    user = UserFactory.create()
    pairs = [signed_in(user) for _ in range(3)]
    signed_in()
    caller = api.bearer(pairs[1].access_token)

    page = caller.get("/sessions?limit=2")
    rest = caller.get(f"/sessions?limit=2&cursor={page.content['pagination']['cursor']}")

    listed = [*page.data, *rest.data]
    assert [item["current"] for item in listed] == [False, True, False]
    assert rest.content["pagination"] == {"cursor": None, "count": 1}
    assert set(listed[0]) == {"id", "user_agent", "ip", "created_at", "last_used_at", "expires_at", "current"}
    assert caller.delete(f"/sessions/{listed[0]['id']}").data == {"revoked": 1}
    assert caller.delete(f"/sessions/{listed[0]['id']}").error == (404, 1002)
    assert api.bearer(pairs[2].access_token).get("/users/me").error == (401, 1102)
    assert [item["id"] for item in caller.get("/sessions").data] == [listed[1]["id"], listed[2]["id"]]


@transactional
def test_another_users_session_is_not_found(api: Api) -> None:
    mine, theirs = signed_in(), signed_in()
    family = RefreshFamily.objects.get(user=theirs.user)

    assert api.bearer(mine.access_token).delete(f"/sessions/{family.uuid}").error == (404, 1002)
    assert api.bearer(mine.access_token).delete("/sessions/1").error == (404, 1002)
    assert api.bearer(theirs.access_token).get("/users/me").status == 200


@transactional
def test_a_closed_user_cannot_refresh(api: Api) -> None:
    pair = signed_in(UserFactory.create())
    pair.user.state, pair.user.email = UserState.CLOSED, None
    pair.user.save()

    assert api.post("/auth/refresh", {"refresh_token": pair.refresh_token}).error == (401, 1102)


@pytest.mark.django_db
def test_cleaning_removes_what_ended_long_ago_and_nothing_else() -> None:
    now = system_clock()
    old = RefreshFamilyFactory.create(expires_at=now - timedelta(days=31))
    recent = RefreshFamilyFactory.create(expires_at=now - timedelta(days=29))
    live = signed_in()
    RefreshToken.objects.create(family=recent, digest=b"1" * 32, created_at=now, expires_at=now - timedelta(seconds=1))

    onboardings = [OnboardingFactory.create(expires_at=now - timedelta(days=days)) for days in (31, 29)]

    assert services.clean_sessions(now=now) == 1
    tasks.clean_sessions()

    assert not RefreshFamily.objects.filter(pk=old.pk).exists()
    assert RefreshFamily.objects.filter(pk=recent.pk).exists()
    assert RefreshToken.objects.get().family.user == live.user
    assert list(Onboarding.objects.all()) == onboardings[1:]
