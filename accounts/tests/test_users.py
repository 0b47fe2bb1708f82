"""The user themself: profile, password, freezing, leaving, totals."""

import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import selectors, services
from accounts.models import ApiKey, Onboarding, RefreshFamily, User, UserState
from accounts.ports import account_resolver
from accounts.services import TotalsDelta
from accounts.signals import user_closing, user_frozen
from accounts.tests.client import Api, some_email
from accounts.tests.factories import PASSWORD, ApiKeyFactory, OnboardingFactory, UserFactory, signed_in
from astrade.core.clock import system_clock
from astrade.core.errors import EmailTaken, NotFound, NotPermitted, OpenPositions
from astrade.core.models import AuditEvent

transactional = pytest.mark.django_db(transaction=True)
NEW_PASSWORD = "Better-Horse-8"


@pytest.fixture
def own_account(monkeypatch: pytest.MonkeyPatch) -> uuid.UUID:
    """A trading account that any user owns, row 77; all others are nobody's."""
    account = uuid.uuid4()
    monkeypatch.setattr(account_resolver, "_resolve", lambda user_id, asked: 77 if asked == account else None)
    return account


@pytest.mark.django_db
def test_profile_is_changed_field_by_field(api: Api, own_account: uuid.UUID) -> None:
    caller = api.bearer(signed_in().access_token)

    caller.patch("/users/me", {"display_name": "Ana", "time_zone": "America/Bogota"})
    caller.patch("/users/me", {"one_tap_account": str(own_account)})

    shown = caller.get("/users/me").data
    assert (shown["display_name"], shown["time_zone"]) == ("Ana", "America/Bogota")
    assert shown["one_tap_account"] == str(own_account)
    assert caller.patch("/users/me", {"one_tap_account": None}).data["one_tap_account"] is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"time_zone": "Nowhere"}, (400, 1001)),
        ({"time_zone": None}, (400, 1001)),
        ({"display_name": ""}, (400, 1001)),
        ({"display_name": "x" * 65}, (400, 1001)),
        ({"one_tap_account": "mine"}, (400, 1001)),
        ({"one_tap_account": str(uuid.uuid4())}, (404, 1002)),
        ([], (400, 1000)),
    ],
)
def test_a_bad_change_changes_nothing(api: Api, own_account: uuid.UUID, change: Any, error: tuple[int, int]) -> None:
    caller = api.bearer(signed_in().access_token)
    before = caller.get("/users/me").data

    assert caller.patch("/users/me", change).error == error
    assert caller.get("/users/me").data == before


@pytest.mark.django_db
def test_what_is_not_theirs_to_change_is_ignored(api: Api) -> None:
    caller = api.bearer(signed_in().access_token)

    shown = caller.patch("/users/me", {"tier": "market_maker", "state": "frozen", "is_staff": True}).data

    assert (shown["tier"], shown["state"]) == ("standard", "active")
    assert not User.objects.filter(is_staff=True).exists()


@transactional
def test_password_change_ends_the_other_sessions(api: Api) -> None:
    user = UserFactory.create(email=some_email())
    here, there = signed_in(user), signed_in(user)

    answer = api.bearer(here.access_token).post(
        "/auth/password/change", {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    )

    assert answer.data == {"revoked": 1}
    assert api.bearer(here.access_token).get("/users/me").status == 200
    assert api.post("/auth/refresh", {"refresh_token": here.refresh_token}).status == 200
    assert api.bearer(there.access_token).get("/users/me").error == (401, 1102)
    assert api.post("/auth/login", {"email": user.email, "password": NEW_PASSWORD}).status == 200
    assert api.post("/auth/login", {"email": user.email, "password": PASSWORD}).error == (401, 1101)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("current", "new", "error"),
    [
        ("Wrong-horse-7", NEW_PASSWORD, (401, 1101)),
        (PASSWORD, "weak", (400, 1001)),
        (PASSWORD, PASSWORD, (400, 1001)),
    ],
)
def test_a_refused_password_change_changes_nothing(api: Api, current: str, new: str, error: tuple[int, int]) -> None:
    user = UserFactory.create(email=some_email())
    caller = api.bearer(signed_in(user).access_token)

    body = {"current_password": current, "new_password": new}
    assert caller.post("/auth/password/change", body).error == error

    user.refresh_from_db()
    assert user.check_password(PASSWORD)


@pytest.mark.django_db
def test_credentials_are_added_once(api: Api) -> None:
    user = UserFactory.create(email=None)
    caller = api.bearer(signed_in(user).access_token)
    UserFactory.create(email="taken@example.com")

    assert caller.post("/users/me/credentials", {"email": "taken@example.com", "password": PASSWORD}).error == (
        409,
        1109,
    )
    assert caller.post("/users/me/credentials", {"email": "ana@example.com", "password": "weak"}).error == (400, 1001)
    added = caller.post("/users/me/credentials", {"email": "Ana@example.com", "password": NEW_PASSWORD})
    again = caller.post("/users/me/credentials", {"email": "ana2@example.com", "password": NEW_PASSWORD})

    assert (added.status, added.data["email"]) == (201, "ana@example.com")
    assert again.error == (409, 1109)
    assert api.post("/auth/login", {"email": "ana@example.com", "password": NEW_PASSWORD}).status == 200


@transactional
def test_closing_forgets_who_it_was(api: Api) -> None:
    email = f"ana-{some_email()}"
    user = UserFactory.create(email=email, display_name="Ana")
    pair, key = signed_in(user), ApiKeyFactory.create(user=user, name="ana's bot")
    OnboardingFactory.create(user=user)

    assert api.bearer(pair.access_token).delete("/users/me").data == {"state": "closed"}

    user.refresh_from_db()
    key.refresh_from_db()
    assert (user.state, user.email, user.display_name, user.has_usable_password()) == ("closed", None, "", False)
    assert (key.name, key.revoked_at is not None) == ("", True)
    assert RefreshFamily.objects.get().ip is None
    assert not Onboarding.objects.exists()
    assert api.bearer(pair.access_token).get("/users/me").error == (401, 1102)
    assert api.post("/auth/login", {"email": email, "password": PASSWORD}).error == (401, 1101)
    assert api.post("/auth/signup", {"email": email, "password": PASSWORD}).status == 201
    with pytest.raises(NotFound):
        services.update_profile(user.pk, now=system_clock(), display_name="Ana")
    assert "ana" not in str(list(AuditEvent.objects.values())).lower()


@transactional
def test_a_refused_closing_changes_nothing(api: Api) -> None:
    def refuse(sender: object, **kwargs: Any) -> None:
        raise OpenPositions

    user_closing.connect(refuse)
    try:
        user = UserFactory.create()
        pair = signed_in(user)
        assert api.bearer(pair.access_token).delete("/users/me").error == (409, 4005)
    finally:
        user_closing.disconnect(refuse)
    assert api.bearer(pair.access_token).get("/users/me").data["email"] == user.email


@transactional
def test_a_frozen_user_is_stopped_everywhere_and_released_again(api: Api) -> None:
    staff, user = UserFactory.create(is_staff=True), UserFactory.create()
    pair = signed_in(user)
    secret = "ak_0badcafe_frozen"
    ApiKeyFactory.create(user=user, secret=secret)
    told: list[int] = []
    user_frozen.connect(lambda sender, user_id, **_: told.append(user_id), weak=False, dispatch_uid="test")

    assert services.freeze_user(user.pk, actor_id=staff.pk, reason="suspicious")
    assert not services.freeze_user(user.pk, actor_id=staff.pk, reason="again")

    user_frozen.disconnect(dispatch_uid="test")
    assert told == [user.pk]
    assert api.bearer(pair.access_token).get("/users/me").error == (403, 1107)
    assert api.key(secret).get("/users/me").error == (403, 1107)
    event = AuditEvent.objects.get(action="user.frozen")
    assert (event.actor_id, event.on_behalf_of_id) == (staff.pk, user.pk)
    assert event.after == {"state": "frozen", "reason": "suspicious"}

    assert services.unfreeze_user(user.pk, actor_id=staff.pk, reason="cleared")
    assert not services.unfreeze_user(user.pk, actor_id=staff.pk, reason="again")
    assert api.bearer(pair.access_token).get("/users/me").status == 200
    assert api.key(secret).get("/users/me").status == 200


@pytest.mark.django_db
def test_who_cannot_be_frozen() -> None:
    staff, closed = UserFactory.create(is_staff=True), UserFactory.create(email=None, state=UserState.CLOSED)

    for user_id, error in [(staff.pk, NotPermitted), (closed.pk, NotFound), (0, NotFound)]:
        with pytest.raises(error):
            services.freeze_user(user_id, actor_id=staff.pk, reason="test")


@pytest.mark.django_db
def test_totals_are_added_for_many_users_at_once(api: Api) -> None:
    first, second, third = UserFactory.create(), UserFactory.create(), UserFactory.create()
    deltas = [
        TotalsDelta(user_id=second.pk, volume=Decimal("100.5"), trades=2, realized_pnl=Decimal("-1.25")),
        TotalsDelta(user_id=first.pk, volume=Decimal("0.000000000000000001"), trades=1, realized_pnl=Decimal(0)),
    ]

    with CaptureQueriesContext(connection) as queries:
        services.add_totals(deltas)
        services.add_totals(deltas)
        services.add_totals([])

    assert len(queries) == 2
    shown = api.bearer(signed_in(second).access_token).get("/users/me").data["totals"]
    assert shown == {"volume": "201", "trades": 4, "realized_pnl": "-2.5"}
    first.refresh_from_db()
    third.refresh_from_db()
    assert (first.total_volume, third.total_trades) == (Decimal("0.000000000000000002"), 0)


@pytest.mark.django_db
def test_staff_are_made_by_a_service() -> None:
    staff = services.create_staff(email="Boss@example.com", password=PASSWORD)

    assert (staff.email, staff.is_staff, staff.is_superuser) == ("boss@example.com", True, True)
    with pytest.raises(EmailTaken):
        services.create_staff(email="boss@example.com", password=PASSWORD)
    assert User.objects.get_by_natural_key("BOSS@example.com") == staff
    assert not ApiKey.objects.exists()


@pytest.mark.django_db
def test_users_are_found_by_public_id() -> None:
    user = UserFactory.create()

    assert selectors.user_by_uuid(user.uuid) == user
    with pytest.raises(NotFound):
        selectors.user_by_uuid(uuid.uuid4())
