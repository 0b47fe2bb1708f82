"""The back office: staff sign in by e-mail, look, and stop people."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User, UserState
from accounts.tests.client import some_address, some_email
from accounts.tests.factories import PASSWORD, ApiKeyFactory, UserFactory, signed_in
from astrade.core.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff() -> User:
    """Somebody with all rights."""
    return UserFactory.create(email=some_email(), is_staff=True, is_superuser=True)


@pytest.fixture
def browser(staff: User) -> Client:
    """Their browser, signed in."""
    client = Client(REMOTE_ADDR=some_address())
    client.force_login(staff, backend="accounts.backends.EmailBackend")
    return client


def sign_in(email: str, password: str) -> int:
    answer = Client(REMOTE_ADDR=some_address()).post("/admin/login/", {"username": email, "password": password})
    return answer.status_code


def test_staff_sign_in_by_address_in_any_case(staff: User) -> None:
    user = UserFactory.create(email=some_email())
    frozen = UserFactory.create(email=some_email(), is_staff=True, state=UserState.FROZEN)

    assert sign_in(str(staff.email).upper(), PASSWORD) == 302
    for email, password in [
        (staff.email, "Wrong-horse-7"),
        (user.email, PASSWORD),
        (frozen.email, PASSWORD),
        (some_email(), PASSWORD),
    ]:
        assert sign_in(str(email), password) == 200


def test_the_sign_in_page_itself_leads_to_the_back_office(staff: User) -> None:
    form = {"username": staff.email, "password": PASSWORD}

    assert Client(REMOTE_ADDR=some_address()).post("/admin/login/", form).headers["Location"] == "/admin/"


def test_guessing_a_staff_password_ends_after_ten(staff: User) -> None:
    assert [sign_in(str(staff.email), "Wrong-horse-7") for _ in range(10)] == [200] * 10

    assert sign_in(str(staff.email), PASSWORD) == 200


def test_lists_show_and_find_but_hold_no_secret(browser: Client) -> None:
    pair = signed_in(UserFactory.create(email="ana@example.com"))
    key = ApiKeyFactory.create(user=pair.user, prefix="ak_0badcafe")
    UserFactory.create(email="bob@example.com")

    for name, row in [("user", pair.user), ("refreshfamily", pair.user.families.get()), ("apikey", key)]:
        for term in ["", "ANA@ex", str(pair.user.uuid), "nobody"]:
            page = browser.get(reverse(f"admin:accounts_{name}_changelist"), {"q": term})
            assert page.status_code == 200
            assert ("ana@example.com" in page.content.decode()) == (term != "nobody")
        detail = browser.get(reverse(f"admin:accounts_{name}_change", args=[row.pk])).content.decode()
        assert "ana@example.com" in detail
        assert pair.user.password not in detail
        assert key.digest.hex() not in detail
        assert str(key.digest) not in detail
    found = browser.get(reverse("admin:accounts_apikey_changelist"), {"q": "ak_0badcafe"})
    assert "ana@example.com" in found.content.decode()


def test_freezing_goes_through_the_service_and_is_noted(browser: Client, staff: User) -> None:
    user = UserFactory.create()
    page = reverse("admin:accounts_user_changelist")

    browser.post(page, {"action": "freeze", "_selected_action": [user.pk, staff.pk]})
    user.refresh_from_db()
    staff.refresh_from_db()
    assert (user.state, staff.state) == ("frozen", "active")

    browser.post(page, {"action": "unfreeze", "_selected_action": [user.pk]})
    user.refresh_from_db()
    assert user.state == "active"
    assert list(AuditEvent.objects.order_by("pk").values_list("action", "actor_id", "on_behalf_of_id")) == [
        ("user.frozen", staff.pk, user.pk),
        ("user.unfrozen", staff.pk, user.pk),
    ]
