"""API keys: made, used within their limits, revoked."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import ApiKey, UserState
from accounts.ports import account_resolver
from accounts.services import authenticate_token
from accounts.services.api_keys import KEYS_MAX
from accounts.tests.client import Api
from accounts.tests.factories import ApiKeyFactory, UserFactory, signed_in
from astrade.core.clock import system_clock, to_ms
from astrade.core.errors import InvalidCredentials
from astrade.core.models import AuditEvent

SECRET = "ak_0badcafe_some-secret-of-256-bits"
pytestmark = pytest.mark.django_db


@pytest.fixture
def person(api: Api) -> Api:
    """A signed-in user."""
    return api.bearer(signed_in().access_token)


def test_a_key_is_shown_once_and_stored_as_a_digest(api: Api, person: Api) -> None:
    made = person.post("/api-keys", {"name": "bot", "scopes": ["trade", "read", "read"]})

    secret = made.data["secret"]
    assert (made.status, made.data["scopes"], made.data["last_used_at"]) == (201, ["read", "trade"], None)
    assert made.headers["Cache-Control"] == "no-store"
    assert secret.startswith(made.data["prefix"] + "_")
    assert len(secret) - len(made.data["prefix"]) - 1 == 43  # 256 bits
    assert secret.removeprefix(made.data["prefix"] + "_") not in str(list(ApiKey.objects.values()))
    shown = person.get("/api-keys")
    assert shown.data == [{name: value for name, value in made.data.items() if name != "secret"}]
    assert shown.content["pagination"] == {"cursor": None, "count": 1}
    assert person.get(f"/api-keys/{made.data['id']}").data == shown.data[0]
    assert AuditEvent.objects.get(action="api_key.created").after["scopes"] == ["read", "trade"]
    assert api.key(secret).get("/users/me").status == api.bearer(secret).get("/users/me").status == 200


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"scopes": []}, (400, 1001)),
        ({"scopes": ["admin"]}, (400, 1001)),
        ({"scopes": "read"}, (400, 1001)),
        ({"name": ""}, (400, 1001)),
        ({"name": "x" * 65}, (400, 1001)),
        ({"ip_allow_list": ["300.1.1.1"]}, (400, 1001)),
        ({"ip_allow_list": ["10.0.0.0/8"] * 51}, (400, 1001)),
        ({"expires_at": 1000}, (400, 1001)),
        ({"expires_at": "tomorrow"}, (400, 1001)),
        ({"account": "mine"}, (400, 1001)),
        ({"account": str(uuid.uuid4())}, (404, 1002)),
        ({"scopes": ["service"]}, (403, 1105)),
        ({"scopes": ["withdraw"]}, (403, 1103)),
    ],
)
def test_a_key_that_may_not_be_is_refused(person: Api, change: dict[str, Any], error: tuple[int, int]) -> None:
    assert person.post("/api-keys", {"name": "bot", "scopes": ["read"], **change}).error == error
    assert not ApiKey.objects.exists()


def test_a_user_has_only_so_many_keys(person: Api) -> None:
    user = ApiKeyFactory.create().user
    ApiKeyFactory.create_batch(KEYS_MAX - 1, user=user)

    assert Api().bearer(signed_in(user).access_token).post("/api-keys", {"name": "x", "scopes": ["read"]}).status == 400
    assert person.post("/api-keys", {"name": "x", "scopes": ["read"]}).status == 201


def test_a_key_is_bound_to_an_account_of_its_user(person: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    account = uuid.uuid4()
    monkeypatch.setattr(account_resolver, "_resolve", lambda user_id, asked: 77 if asked == account else None)

    made = person.post("/api-keys", {"name": "bot", "scopes": ["read"], "account": str(account)}).data

    assert made["account"] == str(account)
    assert authenticate_token(made["secret"], client_ip=None).account_id == 77


def test_scopes_decide_what_a_key_may_do(api: Api) -> None:
    ApiKeyFactory.create(secret=SECRET, scopes=["trade"])
    program = api.key(SECRET)

    assert program.get("/users/me").error == (403, 1106)
    for method, path in [
        ("PATCH", "/users/me"),
        ("DELETE", "/users/me"),
        ("GET", "/api-keys"),
        ("POST", "/api-keys"),
        ("GET", "/sessions"),
        ("POST", "/auth/logout-all"),
        ("POST", "/auth/password/change"),
        ("POST", "/users/me/credentials"),
    ]:
        assert program.call(method, path).error == (403, 1105)


def test_the_service_scope_ends_with_the_employment() -> None:
    key = ApiKeyFactory.create(secret=SECRET, scopes=["read", "service"], user=UserFactory.create(is_staff=True))

    employed = authenticate_token(SECRET, client_ip=None)
    key.user.is_staff = False
    key.user.save()
    dismissed = authenticate_token(SECRET, client_ip=None)

    assert employed.scopes == {"read", "service"}
    assert not employed.is_staff
    assert dismissed.scopes == {"read"}


def test_staff_give_out_service_keys(api: Api) -> None:
    staff = api.bearer(signed_in(UserFactory.create(is_staff=True)).access_token)

    assert staff.post("/api-keys", {"name": "game", "scopes": ["service"]}).data["scopes"] == ["service"]


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("::ffff:10.1.2.3", True),
        ("2001:db8:1::5", True),
        ("2001:db8:2::5", False),
        ("", False),
    ],
)
def test_a_key_works_from_its_networks_only(api: Api, address: str, allowed: bool) -> None:
    ApiKeyFactory.create(secret=SECRET, ip_allow_list=["10.0.0.0/8", "2001:db8:1::/48"])

    if allowed:
        assert authenticate_token(SECRET, client_ip=address).user_id
    else:
        api.address = address or "192.0.2.1"
        assert api.key(SECRET).get("/users/me").error == (403, 1105)


def test_networks_are_normalised(person: Api) -> None:
    made = person.post("/api-keys", {"name": "bot", "scopes": ["read"], "ip_allow_list": ["10.1.2.3", "10.9.9.9/8"]})

    assert made.data["ip_allow_list"] == ["10.1.2.3/32", "10.0.0.0/8"]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"expires_at": system_clock() - timedelta(seconds=1)}, (401, 1102)),
        ({"revoked_at": system_clock()}, (401, 1102)),
    ],
)
def test_an_ended_key_is_refused(api: Api, fields: dict[str, Any], error: tuple[int, int]) -> None:
    ApiKeyFactory.create(secret=SECRET, **fields)

    assert api.key(SECRET).get("/users/me").error == error


def test_a_key_of_a_closed_user_is_refused(api: Api) -> None:
    ApiKeyFactory.create(secret=SECRET, user=UserFactory.create(email=None, state=UserState.CLOSED))

    assert api.key(SECRET).get("/users/me").error == (401, 1102)


@pytest.mark.parametrize("key", ["ak_", "ak_x", "ak_\xff", "nonsense", "ak_" + "x" * 5000])
def test_a_key_we_never_gave_out_is_refused(api: Api, key: str) -> None:
    assert api.key(key).get("/users/me").error == (401, 1101)


def test_revoking_works_once_and_for_ones_own_only(api: Api, person: Api) -> None:
    made = person.post(
        "/api-keys", {"name": "bot", "scopes": ["read"], "expires_at": to_ms(system_clock()) + 60_000}
    ).data
    other = api.bearer(signed_in().access_token)

    assert other.get(f"/api-keys/{made['id']}").error == (404, 1002)
    assert other.delete(f"/api-keys/{made['id']}").error == (404, 1002)
    assert person.delete(f"/api-keys/{made['id']}").data == {"revoked": 1}
    assert person.delete(f"/api-keys/{made['id']}").error == (404, 1002)
    assert person.get("/api-keys").data == []
    assert api.key(made["secret"]).get("/users/me").error == (401, 1102)


def test_use_is_noted_at_most_once_a_minute() -> None:
    key = ApiKeyFactory.create(secret=SECRET)
    now = system_clock()
    expected = {0: 2, 30: 1, 61: 2}

    for seconds, queries in expected.items():
        with CaptureQueriesContext(connection) as captured:
            authenticate_token(SECRET, client_ip=None, now=now + timedelta(seconds=seconds))
        assert len(captured) == queries

    key.refresh_from_db()
    assert key.last_used_at == now + timedelta(seconds=61)


def test_keys_without_a_registered_resolver_cannot_be_bound(person: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_resolver, "_resolve", None)

    assert person.post("/api-keys", {"name": "b", "scopes": ["read"], "account": str(uuid.uuid4())}).error == (
        404,
        1002,
    )
    with pytest.raises(InvalidCredentials):
        authenticate_token(SECRET, client_ip=None)
