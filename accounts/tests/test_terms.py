"""Terms: accepted by version, asked for again when a document changes, kept for good."""

from ipaddress import ip_address
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from accounts.models import Consent, User
from accounts.services.terms import has_accepted_terms
from accounts.tests.client import Api
from accounts.tests.factories import UserFactory, signed_in

pytestmark = pytest.mark.django_db
RISK, TERMS = {"document": "risk", "version": "1"}, {"document": "terms", "version": "2"}


@pytest.fixture(autouse=True)
def in_force(settings: Any) -> None:
    """Two in force."""
    settings.TERMS_VERSIONS = {"terms": "2", "risk": "1"}


@pytest.fixture
def user() -> User:
    made: User = UserFactory.create()
    return made


@pytest.fixture
def me(api: Api, user: User) -> Api:
    return api.bearer(signed_in(user).access_token)


def stated(me: Api) -> list[tuple[str, str, bool]]:
    listed = me.get("/users/me").data["accepted_terms"]
    return [(one["document"], one["version"], one["accepted_at"] is not None) for one in listed]


def test_all_documents_in_force_have_to_be_accepted(me: Api, user: User) -> None:
    assert stated(me) == [("terms", "2", False), ("risk", "1", False)]
    assert me.patch("/users/me", {"accepted_terms": [TERMS]}).status == 200
    assert not has_accepted_terms(user.pk)

    answer = me.patch("/users/me", {"accepted_terms": [RISK]}).data

    assert [one["accepted_at"] is not None for one in answer["accepted_terms"]] == [True, True]
    assert has_accepted_terms(user.pk)
    assert not has_accepted_terms(UserFactory.create().pk)
    ip = str(ip_address(me.address))
    assert set(Consent.objects.values_list("user_id", "document", "version", "ip")) == {
        (user.pk, "terms", "2", ip), (user.pk, "risk", "1", ip),
    }  # fmt: skip


def test_a_new_version_is_asked_for_again(me: Api, user: User, settings: Any) -> None:
    me.patch("/users/me", {"accepted_terms": [RISK, TERMS]})
    settings.TERMS_VERSIONS = {"terms": "3", "risk": "1"}

    assert stated(me) == [("terms", "3", False), ("risk", "1", True)]
    assert not has_accepted_terms(user.pk)


def test_accepting_twice_is_noted_once(me: Api) -> None:
    first, second = (me.patch("/users/me", {"accepted_terms": [TERMS, TERMS]}).data for _ in range(2))

    assert first["accepted_terms"] == second["accepted_terms"]
    assert Consent.objects.count() == 1


@pytest.mark.parametrize(
    "documents",
    [
        [{"document": "terms", "version": "1"}],
        [{"document": "privacy", "version": "2"}],
        [TERMS, {"document": "risk", "version": "2"}],
        [{"document": "terms"}],
        ["terms"],
        {"terms": "2"},
        True,
    ],
)
def test_what_is_not_in_force_is_not_accepted(me: Api, documents: Any) -> None:
    refused = me.patch("/users/me", {"accepted_terms": documents, "display_name": "Ann"})

    assert refused.error == (400, 1001)
    assert "accepted_terms" in refused.content["error"]["details"]["fields"]
    assert not Consent.objects.exists()
    assert me.get("/users/me").data["display_name"] != "Ann"


@pytest.mark.parametrize("change", ["update", "delete"])
def test_what_was_accepted_stays(me: Api, change: str) -> None:
    me.patch("/users/me", {"accepted_terms": [TERMS]})
    rows: Any = Consent.objects.all()
    with pytest.raises(Exception, match=r"denied|history"), transaction.atomic():
        rows.update(version="9") if change == "update" else rows._raw_delete("default")
    with pytest.raises(IntegrityError, match="consent_once"), transaction.atomic():
        consent = Consent.objects.get()
        Consent.objects.create(user=consent.user, document="terms", version="2", at=consent.at)
    assert Consent.objects.get().version == "2"
