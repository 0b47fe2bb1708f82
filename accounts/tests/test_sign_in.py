"""Signing up and in, over HTTP."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import ANY

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher, make_password
from django.db import connection

from accounts.models import RefreshFamily, User, UserState
from accounts.signals import user_registered
from accounts.tests.client import Api, some_email
from accounts.tests.factories import PASSWORD, UserFactory
from astrade.core.errors import AstradeError
from astrade.settings import base

NEW = {"email": "Ana@Example.com", "password": PASSWORD}


class CountingHasher(MD5PasswordHasher):
    """Knows how often it was asked."""

    algorithm = "counting"
    count = 0

    def encode(self, password: str, salt: str) -> str:
        CountingHasher.count += 1
        return super().encode(password, salt)


def sign_up_together(count: int, body: dict[str, str]) -> list[int]:
    def one(_: int) -> int:
        try:
            return Api().post("/auth/signup", body).status
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@pytest.mark.django_db
def test_sign_up_answers_the_user_and_a_token_pair(api: Api) -> None:
    answer = api.post("/auth/signup", {**NEW, "time_zone": "Europe/Madrid", "display_name": "Ana"})

    assert answer.status == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.data == {
        "access_token": ANY,
        "refresh_token": ANY,
        "token_type": "Bearer",
        "expires_in": 1800,
        "user": {
            "id": ANY,
            "email": "ana@example.com",
            "email_verified": False,
            "display_name": "Ana",
            "time_zone": "Europe/Madrid",
            "tier": "standard",
            "state": "active",
            "created_at": ANY,
            "last_login_at": ANY,
            "totals": {"volume": "0", "trades": 0, "realized_pnl": "0"},
        },
    }
    assert api.bearer(answer.data["access_token"]).get("/users/me").data["id"] == answer.data["user"]["id"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/register", "/auth/signup/"])
def test_sign_up_has_other_paths(api: Api, path: str) -> None:
    api.root = "/api"
    assert api.post(path, NEW).status == 201


@pytest.mark.django_db
def test_a_nameless_user_is_not_called_by_their_address(api: Api) -> None:
    name = api.post("/auth/signup", NEW).data["user"]["display_name"]

    assert name.startswith("Trader ")
    assert "ana" not in name


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"password": "Short1a"}, "password"),
        ({"password": "lowercase-7"}, "password"),
        ({"password": "UPPERCASE-7"}, "password"),
        ({"password": "No-digits-here"}, "password"),
        ({"password": "Password1"}, "password"),
        ({"password": "Aa1" * 100}, "password"),
        ({"password": "Correct\x00Horse7"}, "password"),
        ({"password": 12345678}, "password"),
        ({"password": None}, "password"),
        ({"email": "nobody"}, "email"),
        ({"email": "a@b"}, "email"),
        ({"email": "ana\x00@example.com"}, "email"),
        ({"email": "añа@example.com"}, "email"),
        ({"email": "\u017fam@example.com"}, "email"),  # lower-cases to an ASCII letter in some places only
        ({"email": "a" * 300 + "@example.com"}, "email"),
        ({"email": ["ana@example.com"]}, "email"),
        ({"email": {}}, "email"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"),
        ({"display_name": "x" * 65}, "display_name"),
        ({"display_name": "tab\x07"}, "display_name"),
    ],
)
def test_bad_sign_up_names_the_field(api: Api, change: dict[str, Any], field: str) -> None:
    answer = api.post("/auth/signup", {**NEW, **change})

    assert answer.error == (400, 1001)
    assert field in answer.content["error"]["details"]["fields"]
    assert not User.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'"x"', b"\xff"])
def test_a_body_that_is_no_object_is_malformed(api: Api, body: bytes) -> None:
    assert api.post("/auth/signup", body).error == (400, 1000)


@pytest.mark.django_db
def test_an_address_is_taken_whatever_its_case(api: Api) -> None:
    UserFactory.create(email="ana@example.com")

    assert api.post("/auth/signup", {**NEW, "email": " ANA@example.COM "}).error == (409, 1109)


@pytest.mark.django_db(transaction=True)
def test_sign_ups_of_one_address_at_once_make_one_user() -> None:
    statuses = sign_up_together(8, NEW)

    assert sorted(statuses) == [201] + [409] * 7
    assert User.objects.count() == RefreshFamily.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_sign_up_whose_listener_fails_leaves_nothing(api: Api) -> None:
    def refuse(sender: object, **kwargs: Any) -> None:
        raise AstradeError("no practice account")

    user_registered.connect(refuse)
    try:
        assert api.post("/auth/signup", NEW).error == (500, 9000)
    finally:
        user_registered.disconnect(refuse)
    assert not User.objects.exists()


@pytest.mark.django_db
def test_sign_in_takes_any_case_and_notes_the_time(api: Api) -> None:
    user = UserFactory.create(email="ana@example.com")

    answer = api.post("/auth/login", {"email": "ANA@example.com", "password": PASSWORD})

    assert answer.status == 200
    assert answer.data["user"]["id"] == str(user.uuid)
    assert answer.data["user"]["last_login_at"] > 0
    assert api.post("/login", {"email": "ana@example.com", "password": PASSWORD}).status == 200


@pytest.mark.django_db
def test_wrong_password_and_unknown_address_look_the_same(api: Api) -> None:
    user = UserFactory.create(email=some_email())

    wrong = api.post("/auth/login", {"email": user.email, "password": "Wrong-horse-7"})
    unknown = api.post("/auth/login", {"email": some_email(), "password": "Wrong-horse-7"})

    assert wrong.error == unknown.error == (401, 1101)
    assert wrong.content["error"] == unknown.content["error"]


@pytest.mark.django_db
def test_an_unknown_address_costs_as_many_hashes_as_a_known_one(api: Api, settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["accounts.tests.test_sign_in.CountingHasher"]
    user = UserFactory.create(email=some_email())

    counts = []
    for email in (user.email, some_email()):
        CountingHasher.count = 0
        api.post("/auth/login", {"email": email, "password": "Wrong-horse-7"})
        counts.append(CountingHasher.count)

    assert counts == [1, 1]


@pytest.mark.django_db
def test_ten_failures_close_an_account_to_guessing(api: Api) -> None:
    user = UserFactory.create(email=some_email())
    attempt = {"email": user.email, "password": "Wrong-horse-7"}

    failures = [Api().post("/auth/login", attempt).error for _ in range(10)]
    right = Api().post("/auth/login", {**attempt, "password": PASSWORD})

    assert failures == [(401, 1101)] * 10
    assert right.error == (429, 1200)
    assert 0 < int(right.headers["Retry-After"]) <= 900
    assert api.post("/auth/login", {**attempt, "email": some_email()}).error == (401, 1101)


@pytest.mark.django_db
def test_a_frozen_user_is_told_so_only_with_the_right_password(api: Api) -> None:
    user = UserFactory.create(email=some_email(), state=UserState.FROZEN)

    assert api.post("/auth/login", {"email": user.email, "password": PASSWORD}).error == (403, 1107)
    assert api.post("/auth/login", {"email": user.email, "password": "Wrong-7x"}).error == (401, 1101)
    assert not RefreshFamily.objects.exists()


@pytest.mark.django_db
def test_an_outdated_hash_is_renewed_at_sign_in(api: Api, settings: Any) -> None:
    settings.PASSWORD_HASHERS = [
        "accounts.hashers.Argon2idHasher",
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    ]
    user = UserFactory.create(email="ana@example.com")
    User.objects.filter(pk=user.pk).update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))

    assert api.post("/auth/login", {"email": "ana@example.com", "password": PASSWORD}).status == 200

    user.refresh_from_db()
    assert user.password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    assert user.check_password(PASSWORD)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("password", "brought"),
    [
        ("Practice1", "bcrypt$$2b$04$abcdefghijklmnopqrstuu4hdG/HMc.KnPqOg6dCM2XkVZpYvFtTK"),
        ("Pa1" + "x" * 100, "bcrypt$$2a$04$abcdefghijklmnopqrstuuW62x7uT6TtXQUjZhetUkEKXHmQkHeWO"),
    ],
)
def test_a_bcrypt_hash_that_was_brought_along_signs_in_and_becomes_argon2(
    api: Api, settings: Any, password: str, brought: str
) -> None:
    settings.PASSWORD_HASHERS = base.PASSWORD_HASHERS
    user = UserFactory.create(email="ana@example.com")
    User.objects.filter(pk=user.pk).update(password=brought)

    assert api.post("/auth/login", {"email": "ana@example.com", "password": "Practice2"}).status == 401
    assert api.post("/auth/login", {"email": "ana@example.com", "password": password}).status == 200

    user.refresh_from_db()
    assert user.password.startswith("argon2$argon2id$")
    assert api.post("/auth/login", {"email": "ana@example.com", "password": password}).status == 200


@pytest.mark.django_db
def test_an_expired_token_does_not_hinder_signing_in(api: Api) -> None:
    UserFactory.create(email="ana@example.com")

    answer = api.bearer("eyJ.stale.token").post("/auth/login", {"email": "ana@example.com", "password": PASSWORD})

    assert answer.status == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    "body", [{}, {"email": "a@b.co"}, {"email": 1, "password": 2}, {"email": "\x00", "password": "x"}]
)
def test_bad_sign_in_is_a_clear_400(api: Api, body: dict[str, Any]) -> None:
    assert api.post("/auth/login", body).error == (400, 1001)
