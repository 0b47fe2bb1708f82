"""Staff look at everything of trading, find it by what they are told, and change nothing."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.tests.factories import UserFactory
from astrade.core.models import AuditEvent
from trading.models import (
    Case,
    EquitySnapshot,
    Order,
    TradingAccount,
    Transfer,
)
from trading.tests.conftest import Feed
from trading.tests.everything import account_with_everything
from trading.tests.factories import open_account, place

MODELS = [model for model in apps.get_app_config("trading").get_models() if model in admin.site._registry]

MADE_BY_FORM = {"TradingHalt", "AdjustmentProposal"}


@pytest.fixture
def staff(db: None, client: Client) -> Client:
    """A superuser in the back office."""
    user: User = UserFactory.create(is_staff=True, is_superuser=True)
    client.force_login(user)
    return client


@pytest.fixture
def account(feed: Feed) -> TradingAccount:
    """With something of everything."""
    return account_with_everything()


def test_everything_that_matters_is_there() -> None:
    names = {model.__name__ for model in MODELS}
    assert names >= {"TradingAccount", "Order", "Fill", "Position", "ClosedPosition", "JournalEntry", "Event"}
    assert EquitySnapshot in MODELS


@pytest.mark.parametrize("model", MODELS)
def test_lists_and_pages_open_and_offer_no_change(staff: Client, account: TradingAccount, model: type) -> None:
    name = f"admin:trading_{model.__name__.lower()}"
    row = model.objects.first()  # type: ignore[attr-defined]

    listed = staff.get(reverse(f"{name}_changelist"))
    page = reverse(f"{name}_change", args=[row.pk])

    assert (listed.status_code, staff.get(page).status_code) == (200, 200)
    assert staff.get(reverse(f"{name}_changelist"), {"q": "\u0000 %' ("}).status_code < 500
    assert staff.post(page, {}).status_code == 403
    assert staff.get(reverse(f"{name}_add")).status_code == (200 if model.__name__ in MADE_BY_FORM else 403)
    assert staff.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403


def test_transfers_are_found_by_id_and_by_either_account(staff: Client, account: TradingAccount) -> None:
    made = Transfer.objects.get()

    def found(word: object) -> bool:
        page = staff.get(reverse("admin:trading_transfer_changelist"), {"q": str(word)}).content.decode()
        return reverse("admin:trading_transfer_change", args=[made.pk]) in page

    assert all(found(word) for word in (made.uuid, account.uuid, made.to_account.uuid))
    assert not found("nobody")


def test_order_page_tells_its_whole_story(staff: Client, account: TradingAccount) -> None:
    order = Order.objects.get(number=1)

    page = staff.get(reverse("admin:trading_order_change", args=[order.pk])).content.decode()

    for told in ("told-by-the-user", "#2 commission: -0.101 USD, balance 9999.899", str(order.uuid), "filled"):
        assert told in page


@pytest.mark.parametrize("by", ["account", "user", "email", "order", "client id"])
def test_orders_are_found_by_what_staff_are_told(staff: Client, account: TradingAccount, by: str) -> None:
    stranger = open_account()
    place(stranger, "1")
    order = Order.objects.get(account=account, number=1)
    words = {
        "account": (str(account.uuid), 4),
        "user": (str(account.user.uuid), 4),
        "email": (account.user.email or "", 4),
        "order": (str(order.uuid), 1),
        "client id": ("told-by-the-user", 1),
    }
    word, found = words[by]

    listed = staff.get(reverse("admin:trading_order_changelist"), {"q": word})

    assert len(listed.context["cl"].result_list) == found


def test_a_case_is_closed_with_a_note_and_on_record(staff: Client, account: TradingAccount) -> None:
    case = Case.objects.get(account=account)
    form = {"action": "close", "_selected_action": [case.pk]}
    listing = reverse("admin:trading_case_changelist")

    staff.post(listing, form | {"reason": ""})
    case.refresh_from_db()
    assert case.closed_at is None

    staff.post(listing, form | {"reason": "a deposit, booked by hand"})
    case.refresh_from_db()
    assert (case.note, case.closed_by is not None) == ("a deposit, booked by hand", True)
    assert AuditEvent.objects.filter(action="case.closed").count() == 1
