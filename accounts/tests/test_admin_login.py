"""The second factor of staff: at the back office's door, set up there or at the terminal, taken away by support."""

import base64
import re
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts.models import TotpDevice, User
from accounts.sealing import unseal
from accounts.services import two_factor
from accounts.tests.client import some_address, some_email
from accounts.tests.factories import PASSWORD, UserFactory
from accounts.tests.test_two_factor import code_of, protected
from astrade.core.clock import system_clock
from astrade.core.errors import NotPermitted
from astrade.core.models import AuditEvent

pytestmark = pytest.mark.django_db
SET_UP = "/admin/two-factor/"


def unsealed(device: TotpDevice) -> bytes:
    """The authenticator's secret."""
    return unseal(device.secret, purpose=two_factor.PURPOSE, row=device.uuid)


def enter(user: User, **form: str) -> Any:
    """The sign-in page, filled in."""
    form = {"username": str(user.email), "password": PASSWORD} | form
    return Client(REMOTE_ADDR=some_address()).post("/admin/login/", form)


@pytest.fixture
def staff() -> User:
    return UserFactory.create(email=some_email(), is_staff=True, is_superuser=True)


def test_the_back_office_asks_who_has_an_authenticator(staff: User) -> None:
    _, secret, (recovery, *_) = protected(staff)

    assert b"A second factor is required" in enter(staff).content
    assert b"not valid" in enter(staff, code="000000").content
    code = code_of(secret, steps=1)
    assert enter(staff, code=code).status_code == 302
    assert enter(staff, code=code).status_code == 200
    assert enter(staff, code=recovery).status_code == 302


def test_the_back_office_can_demand_one(staff: User, settings: Any) -> None:
    settings.STAFF_TOTP_REQUIRED = True
    _, secret, _ = protected(staff)
    assert b"A second factor is required" in enter(staff).content
    assert enter(staff, code=code_of(secret, steps=1)).status_code == 302


@pytest.fixture
def browser(staff: User, settings: Any) -> Client:
    """Signed in by password alone where a second factor is demanded."""
    settings.STAFF_TOTP_REQUIRED = True
    made = Client(REMOTE_ADDR=some_address())
    signed_in = made.post("/admin/login/", {"username": str(staff.email), "password": PASSWORD})
    assert signed_in.status_code == 302
    return made


def test_staff_set_it_up_in_the_back_office_before_they_get_in(staff: User, browser: Client) -> None:
    for page in ("/admin/", reverse("admin:accounts_user_changelist")):
        turned_away = browser.get(page, follow=True)
        assert turned_away.redirect_chain[-1][0] == SET_UP
    assert not TotpDevice.objects.exists(), "looking begins nothing"

    begun = browser.post(SET_UP)
    assert b"<svg" in begun.content and "no-store" in begun["Cache-Control"]
    secret = base64.b32encode(unsealed(TotpDevice.objects.get(user=staff))).decode()
    assert secret.encode() in begun.content

    wrong = browser.post(SET_UP, {"code": "000000"})
    assert b"not valid" in wrong.content and secret.encode() not in wrong.content
    assert browser.get("/admin/").status_code == 302

    confirmed = browser.post(SET_UP, {"code": code_of(secret)})
    codes = [code.decode() for code in re.findall(rb"<li>([A-Z2-7-]+)</li>", confirmed.content)]
    assert len(codes) == 10
    assert browser.get("/admin/").status_code == 200
    assert browser.get(SET_UP)["Location"] == browser.post(SET_UP)["Location"] == "/admin/"
    assert enter(staff, code=codes[0]).status_code == 302


def test_without_a_second_factor_staff_may_still_leave(browser: Client) -> None:
    assert browser.post("/admin/logout/").status_code == 200
    assert browser.get(SET_UP)["Location"] == "/admin/login/"


def test_a_code_before_anything_was_begun_is_refused(browser: Client) -> None:
    assert b"No two-factor set-up was begun" in browser.post(SET_UP, {"code": "000000"}).content


def test_who_is_no_staff_sets_nothing_up_there(settings: Any) -> None:
    browser = Client(REMOTE_ADDR=some_address())
    browser.force_login(UserFactory.create(), backend="accounts.backends.EmailBackend")
    assert browser.post(SET_UP)["Location"] == Client().post(SET_UP)["Location"] == "/admin/login/"
    assert not TotpDevice.objects.exists()


def test_where_none_is_demanded_staff_may_have_one(staff: User) -> None:
    browser = Client(REMOTE_ADDR=some_address())
    browser.force_login(staff, backend="accounts.backends.EmailBackend")
    assert browser.get("/admin/").status_code == 200
    assert b"<svg" in browser.post(SET_UP).content


def test_who_is_no_staff_spends_nothing() -> None:
    user, secret, _ = protected()
    code = code_of(secret, steps=1)
    assert enter(user, code=code).status_code == 200
    two_factor.require_fresh(user.pk, code=code, now=system_clock())


def test_support_removes_what_was_lost(staff: User) -> None:
    user, secret, _ = protected()
    browser = Client(REMOTE_ADDR=some_address())
    browser.force_login(staff, backend="accounts.backends.EmailBackend")
    page = reverse("admin:accounts_totpdevice_changelist")

    shown = browser.get(page, {"q": str(user.email)})
    assert str(user.email).encode() in shown.content
    device = TotpDevice.objects.get(user=user)
    detail = browser.get(reverse("admin:accounts_totpdevice_change", args=[device.pk])).content
    assert secret.encode() not in detail
    assert bytes(device.secret).hex().encode() not in detail
    browser.post(page, {"action": "remove", "_selected_action": [device.pk]})

    assert not TotpDevice.objects.filter(user=user).exists()
    event = AuditEvent.objects.get(action="two_factor.removed")
    assert (event.actor_id, event.on_behalf_of_id) == (staff.pk, user.pk)
    with pytest.raises(NotPermitted):
        two_factor.begin_setup(protected()[0].pk, now=system_clock())


def test_an_operator_sets_it_up_at_the_terminal(staff: User, monkeypatch: pytest.MonkeyPatch) -> None:
    output = StringIO()

    class Terminal:
        """Reads the secret that was printed, as an authenticator would, and answers with a code."""

        def readline(self) -> str:
            secret = output.getvalue().rpartition("enter the secret ")[2].split()[0]
            return f"{code_of(secret)}\n"

        def fileno(self) -> int:
            raise OSError

    monkeypatch.setattr("sys.stdin", Terminal())
    call_command("set_up_totp", str(staff.email).upper(), stdout=output)

    assert "Two-factor sign-in is on" in output.getvalue()
    assert TotpDevice.objects.get(user=staff).confirmed_at is not None
    with pytest.raises(CommandError, match="disable it first"):
        call_command("set_up_totp", str(staff.email), stdout=output)
    with pytest.raises(CommandError, match="No member of staff"):
        call_command("set_up_totp", str(UserFactory.create().email), stdout=output)
