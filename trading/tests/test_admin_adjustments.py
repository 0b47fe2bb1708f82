"""Adjustments in the back office: a form to propose, a list to decide."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.tests.factories import UserFactory
from astrade.core.models import AuditEvent
from trading.models import AdjustmentProposal, CashBalance, JournalEntry, TradingAccount
from trading.tests.conftest import Feed
from trading.tests.factories import D, open_account, place

LIST, ADD = reverse("admin:trading_adjustmentproposal_changelist"), reverse("admin:trading_adjustmentproposal_add")


def signed_in() -> Client:
    """Somebody with every right."""
    client, user = Client(), UserFactory.create(is_staff=True, is_superuser=True)
    client.force_login(user)
    return client


@pytest.fixture
def account(feed: Feed) -> TradingAccount:
    """With a fee of 0.101 as entry 2."""
    account = open_account()
    place(account, "1")
    return account


def propose(staff: Client, **fields: Any) -> Any:
    """What the form answers, redirects followed."""
    return staff.post(ADD, {"reason": "an outage", **fields}, follow=True)


def decide(staff: Client, action: str) -> str:
    """The list after an action on all proposals."""
    chosen = list(AdjustmentProposal.objects.values_list("pk", flat=True))
    return staff.post(LIST, {"action": action, "_selected_action": chosen}, follow=True).content.decode()


def balance(account: TradingAccount) -> Any:
    """Cash."""
    return CashBalance.objects.get(account=account).balance


def test_one_proposes_and_another_one_approves(account: TradingAccount) -> None:
    first, second = signed_in(), signed_in()
    assert b"Account id" in first.get(ADD).content

    listed = propose(first, account_id=account.uuid, amount="25")
    assert (listed.status_code, AdjustmentProposal.objects.get().amount) == (200, 25)

    assert "somebody else" in decide(first, "approve")
    assert balance(account) == D("9999.899")
    assert "1 approved" in decide(second, "approve")
    assert balance(account) == D("10024.899")
    assert "state approved" in decide(second, "approve")
    assert balance(account) == D("10024.899")
    ips = AuditEvent.objects.filter(action__startswith="adjustment.").values_list("action", "ip").order_by("id")
    assert list(ips) == [("adjustment.proposed", "127.0.0.1"), ("adjustment.approved", "127.0.0.1")]


def test_an_entry_is_reversed_by_its_id(account: TradingAccount) -> None:
    first, second = signed_in(), signed_in()
    fee = JournalEntry.objects.get(account=account, number=2)

    propose(first, entry_id=fee.uuid)
    again = propose(first, entry_id=fee.uuid)
    decide(second, "approve")

    assert "already proposed" in again.content.decode()
    assert AdjustmentProposal.objects.get().state == "approved"
    assert balance(account) == 10_000


def test_rejecting_books_nothing(account: TradingAccount) -> None:
    propose(signed_in(), account_id=account.uuid, amount="-25")

    assert "1 rejected" in decide(signed_in(), "reject")

    assert (AdjustmentProposal.objects.get().state, balance(account)) == ("rejected", D("9999.899"))


def test_an_overdraft_is_refused_with_its_figures(account: TradingAccount) -> None:
    said = propose(signed_in(), account_id=account.uuid, amount="-20000").content.decode()

    assert "available 9999.899" in said
    assert not AdjustmentProposal.objects.exists()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"amount": "25"},
        {"account": True},
        {"account": True, "amount": "0"},
        {"account": True, "amount": "much"},
        {"account": True, "amount": "1", "entry_id": uuid4()},
        {"account_id": uuid4(), "amount": "25"},
        {"account_id": "x", "amount": "25"},
        {"entry_id": uuid4()},
        {"account": True, "amount": "25", "reason": ""},
    ],
)
def test_half_a_proposal_is_asked_for_again(account: TradingAccount, fields: dict[str, Any]) -> None:
    if fields.pop("account", False):
        fields = {"account_id": account.uuid} | fields

    answer = propose(signed_in(), **fields)

    assert (answer.status_code, AdjustmentProposal.objects.count()) == (200, 0)
    assert b"errorlist" in answer.content or b"text-red" in answer.content


def test_looking_is_not_proposing_and_not_deciding(account: TradingAccount) -> None:
    looker: User = UserFactory.create(is_staff=True)
    propose(signed_in(), account_id=account.uuid, amount="25")
    client = Client()
    client.force_login(looker)
    assert client.get(LIST).status_code == 403

    looker.user_permissions.add(Permission.objects.get(codename="view_adjustmentproposal"))
    assert client.get(LIST).status_code == 200
    assert client.get(ADD).status_code == client.post(ADD, {}).status_code == 403
    decide(client, "approve")
    assert AdjustmentProposal.objects.get().state == "pending"
