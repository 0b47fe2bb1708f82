"""Withdrawals in the back office: a list to look at, and a decision by a fresh second factor."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.tests.factories import UserFactory
from accounts.tests.test_two_factor import protected
from astrade.core.models import AuditEvent
from trading.models import Hold, TradingAccount, Withdrawal, WithdrawalAddress
from trading.tests.conftest import Feed
from trading.tests.factories import AT, open_account

LIST = reverse("admin:trading_withdrawal_changelist")


class Staff:
    """Somebody with every right and a second factor."""

    def __init__(self, **rights: Any) -> None:
        self.user: User = UserFactory.create(is_staff=True, **({"is_superuser": True} | rights))
        _, _, self.codes = protected(self.user)
        self.client = Client()
        self.client.force_login(self.user)

    def decide(self, action: str, **fields: str) -> str:
        """The list after an action on all withdrawals."""
        chosen = list(Withdrawal.objects.values_list("pk", flat=True))
        answer = self.client.post(LIST, {"action": action, "_selected_action": chosen, **fields}, follow=True)
        return answer.content.decode()


@pytest.fixture
def waiting(feed: Feed) -> Withdrawal:
    """One that waits for approval."""
    return wait_for_approval(open_account())


def wait_for_approval(account: TradingAccount) -> Withdrawal:
    address, _ = WithdrawalAddress.objects.get_or_create(
        user=account.user, network="testnet", address="0xabc", defaults={"added_at": AT, "usable_at": AT}
    )
    row = Withdrawal.objects.create(
        account=account,
        address=address,
        asset="USD",
        amount=5,
        state="awaiting_approval",
        requested_by=account.user,
        requested_at=AT,
    )
    Hold.objects.create(
        account=account, asset="USD", amount=5, purpose="withdrawal", reference=f"withdrawal:{row.uuid}", held_at=AT
    )
    return row


@pytest.mark.django_db(transaction=True)
def test_a_withdrawal_is_approved_by_a_code_of_ones_own(waiting: Withdrawal) -> None:
    staff = Staff()
    assert "second factor" in staff.decide("approve")
    assert "not valid" in staff.decide("approve", code="000000")

    assert "approved" in staff.decide("approve", code=staff.codes.pop())

    waiting.refresh_from_db()
    assert (waiting.state, waiting.decided_by) == ("approved", staff.user)
    assert "status approved" in staff.decide("approve", code=staff.codes.pop())
    assert AuditEvent.objects.get(action="withdrawal.approved").ip == "127.0.0.1"


@pytest.mark.django_db(transaction=True)
def test_a_rejection_takes_a_reason_and_one_at_a_time(waiting: Withdrawal) -> None:
    staff = Staff()
    assert "Validation failed" in staff.decide("reject", code=staff.codes[0])
    wait_for_approval(waiting.account)
    assert "Choose one" in staff.decide("reject", code=staff.codes[0], reason="call us")
    Withdrawal.objects.exclude(pk=waiting.pk).delete()

    staff.decide("reject", code=staff.codes.pop(), reason="call us")

    waiting.refresh_from_db()
    assert (waiting.state, waiting.message) == ("failed", "call us")
    assert Hold.objects.get(reference=f"withdrawal:{waiting.uuid}").state == "released"


@pytest.mark.django_db(transaction=True)
def test_who_may_only_look_decides_nothing(waiting: Withdrawal) -> None:
    staff = Staff(is_superuser=False)
    staff.user.user_permissions.add(Permission.objects.get(codename="view_withdrawal"))

    staff.decide("approve", code=staff.codes.pop())

    waiting.refresh_from_db()
    assert waiting.state == "awaiting_approval"
