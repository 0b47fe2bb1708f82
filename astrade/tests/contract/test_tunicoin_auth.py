"""Requirement document 3, "Authentication" and "Security Implementation", with its own bodies."""

import re
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings

from accounts.models import RefreshFamily, User
from accounts.tests.client import Answer, Api
from accounts.tokens import access_lifetime
from astrade.core.clock import to_ms
from trading.models import TradingAccount

pytestmark = pytest.mark.django_db
PASSWORD = "Test1234"  # as printed


def sign_up(api: Api, email: str = "test@example.com", password: str = PASSWORD) -> Answer:
    return api.post("/auth/signup", {"email": email, "password": password})


def test_sign_up_issues_tokens_at_once(anybody: Api) -> None:
    answer = sign_up(anybody)

    assert answer.status == 201
    assert (answer.data["token_type"], answer.data["user"]["email"]) == ("Bearer", "test@example.com")
    assert anybody.bearer(answer.data["access_token"]).get("/accounts").status == 200
    assert TradingAccount.objects.get(user__email="test@example.com").is_primary


def test_login_answers_a_pair_and_notes_the_time(anybody: Api) -> None:
    sign_up(anybody)
    before = User.objects.get().last_login

    answer = anybody.post("/auth/login", {"email": "test@example.com", "password": PASSWORD})

    assert answer.status == 200
    after = User.objects.get().last_login
    assert before is not None and after is not None and after > before
    assert answer.data["user"]["last_login_at"] == to_ms(after)


def test_the_printed_demo_login_is_nobodys(anybody: Api) -> None:
    """`demo123` breaks the document's own rule for passwords; a demo user's password is made when it is seeded."""
    printed = {"email": "demo@tunicoin.local", "password": "demo123"}

    assert anybody.post("/auth/login", printed).error == (401, 1101)
    assert anybody.post("/auth/signup", printed).error == (400, 1001)


def test_refresh_rotates_the_refresh_token(anybody: Api) -> None:
    first = sign_up(anybody).data
    second = anybody.post("/auth/refresh", {"refresh_token": first["refresh_token"]}).data

    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    assert anybody.post("/auth/refresh", {"refresh_token": first["refresh_token"]}).error == (401, 1102)


@pytest.mark.django_db(transaction=True)  # the revocation is announced once it is committed
def test_logout_ends_the_session_on_the_server(anybody: Api) -> None:
    pair = sign_up(anybody).data
    somebody = Api({"Authorization": f"Bearer {pair['access_token']}"}, root="/api")

    assert somebody.post("/auth/logout").data == {"revoked": 1}
    assert somebody.get("/accounts").error == (401, 1102)
    assert anybody.post("/auth/refresh", {"refresh_token": pair["refresh_token"]}).error == (401, 1102)


@pytest.mark.parametrize("password", ["Test123", "test1234", "TEST1234", "Testtest"])
def test_password_has_eight_characters_both_cases_and_a_digit(anybody: Api, password: str) -> None:
    answer = sign_up(anybody, password=password)

    assert answer.error == (400, 1001)
    assert "password" in answer.content["error"]["details"]["fields"]


def test_an_address_signs_up_once(anybody: Api) -> None:
    sign_up(anybody)
    assert sign_up(anybody, "TEST@example.com").error == (409, 1109)


def test_access_tokens_last_thirty_minutes(anybody: Api) -> None:
    pair = sign_up(anybody).data
    claims = jwt.decode(pair["access_token"], options={"verify_signature": False})

    assert settings.ACCESS_TOKEN_EXPIRE_MINUTES == 30
    assert access_lifetime() == timedelta(minutes=30)
    assert (pair["expires_in"], claims["exp"] - claims["iat"], claims["typ"]) == (1800, 1800, "access")
    assert jwt.get_unverified_header(pair["access_token"])["alg"] == "HS256"


def test_refresh_tokens_last_seven_days(anybody: Api) -> None:
    sign_up(anybody)
    family = RefreshFamily.objects.get()

    assert family.expires_at - family.last_used_at == timedelta(days=7)


def test_a_refresh_token_is_no_access_token(anybody: Api) -> None:
    pair = sign_up(anybody).data
    assert anybody.bearer(pair["refresh_token"]).get("/accounts").error == (401, 1101)


def test_passwords_are_stored_as_a_hash(anybody: Api) -> None:
    sign_up(anybody)
    stored = User.objects.get().password

    assert PASSWORD not in stored
    assert re.match(r"argon2\$|md5\$", stored)  # the second in tests only, as it is quick


@pytest.mark.parametrize("path", ["/accounts", "/auth/logout", "/users/me"])
def test_a_bearer_token_is_required(anybody: Api, path: str) -> None:
    call: Any = anybody.post if path.endswith("logout") else anybody.get
    assert call(path).error == (401, 1100)
