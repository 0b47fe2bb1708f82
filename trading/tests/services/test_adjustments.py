"""Adjustments take two members of staff, are booked once, and tell the user."""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User, UserState
from accounts.tests.factories import UserFactory
from astrade.core import errors
from astrade.core.models import AuditEvent
from trading.models import AdjustmentProposal, CashBalance, Event, JournalEntry, Posting, TradingAccount
from trading.services.adjustments import (
    approve_adjustment,
    propose_adjustment,
    propose_reversal,
    reject_adjustment,
)
from trading.tests.conftest import Feed
from trading.tests.factories import D, open_account, place
from trading.tests.test_concurrency import assert_whole, at_once
from trading.verification import CHECKS, run_check


@pytest.fixture
def staff(db: None) -> list[User]:
    """Two of them."""
    return [UserFactory.create(is_staff=True) for _ in range(2)]


@pytest.fixture
def account(feed: Feed) -> TradingAccount:
    """With a fee of 0.101 as entry 2."""
    account = open_account()
    place(account, "1")
    return account


def propose(account: TradingAccount, by: User, amount: str = "25", **changes: Any) -> AdjustmentProposal:
    """A proposal with a reason."""
    values: dict[str, Any] = {"amount": D(amount), "reason": "an outage"} | changes
    return propose_adjustment(account_id=account.pk, staff_id=by.pk, **values)


def cash(account: TradingAccount) -> Decimal:
    """What is on it."""
    balance: Decimal = CashBalance.objects.get(account=account).balance
    return balance


def standing(account: TradingAccount) -> tuple[Decimal, int, int]:
    """Cash, entries and events."""
    account.refresh_from_db()
    return cash(account), account.entry_count, account.sequence


def test_nothing_is_booked_before_somebody_else_approves(account: TradingAccount, staff: list[User]) -> None:
    before = standing(account)
    proposal = propose(account, staff[0])
    assert standing(account) == before

    with pytest.raises(errors.NotPermitted):
        approve_adjustment(proposal.pk, staff_id=staff[0].pk)
    assert standing(account) == before

    approved = approve_adjustment(proposal.pk, staff_id=staff[1].pk)

    assert standing(account) == (before[0] + 25, before[1] + 1, before[2] + 1)
    entry = JournalEntry.objects.get(account=account, number=before[1] + 1)
    assert (entry.kind, entry.reference) == ("adjustment", f"adjustment:{proposal.uuid}")
    lines = Posting.objects.filter(entry=entry).order_by("line").values_list("ledger_account", "amount")
    assert list(lines) == [("cash", 25), ("adjustments", -25)]
    event = Event.objects.get(account=account, sequence=before[2] + 1)
    assert (event.kind, event.data["balance"]) == ("balance_update", "10024.899")
    assert (approved.state, approved.entry_id, approved.decided_by_id) == ("approved", entry.pk, staff[1].pk)
    assert [finding for name in CHECKS for finding in run_check(name)] == []


def test_a_reversal_takes_back_what_the_entry_did_to_cash(account: TradingAccount, staff: list[User]) -> None:
    fee = JournalEntry.objects.get(account=account, number=2)
    proposal = propose_reversal(entry_id=fee.pk, staff_id=staff[0].pk, reason="charged in error")
    assert (proposal.amount, proposal.account_id) == (D("0.101"), account.pk)

    approve_adjustment(proposal.pk, staff_id=staff[1].pk)

    assert cash(account) == 10_000
    assert JournalEntry.objects.get(account=account, number=3).reference == f"reversal:{fee.uuid}"
    with pytest.raises(errors.VersionConflict):
        propose_reversal(entry_id=fee.pk, staff_id=staff[0].pk, reason="once more")
    assert AdjustmentProposal.objects.count() == 1


def test_one_reversal_of_an_entry_is_under_way_or_booked(account: TradingAccount, staff: list[User]) -> None:
    fee = JournalEntry.objects.get(account=account, number=2)
    first = propose_reversal(entry_id=fee.pk, staff_id=staff[0].pk, reason="charged in error")
    with pytest.raises(errors.VersionConflict):
        propose_reversal(entry_id=fee.pk, staff_id=staff[1].pk, reason="charged in error")

    reject_adjustment(first.pk, staff_id=staff[1].pk)
    second = propose_reversal(entry_id=fee.pk, staff_id=staff[1].pk, reason="in error after all")

    approve_adjustment(second.pk, staff_id=staff[0].pk)
    assert cash(account) == 10_000


def test_the_ledger_itself_holds_one_reversal_of_an_entry(account: TradingAccount) -> None:
    values = {"account": account, "kind": "adjustment", "reference": "reversal:x", "at": timezone.now()}
    hashes = {"previous_hash": "0" * 64, "hash": "1" * 64}
    JournalEntry.objects.create(number=100, **values, **hashes)
    with pytest.raises(IntegrityError, match="entry_adjustment_once"), transaction.atomic():
        JournalEntry.objects.create(number=101, **values, **hashes)
    JournalEntry.objects.create(number=102, **(values | {"kind": "bonus"}), **hashes)


def test_a_rejected_proposal_is_never_booked(account: TradingAccount, staff: list[User]) -> None:
    before = standing(account)
    proposal = propose(account, staff[0])
    with pytest.raises(errors.NotPermitted):
        reject_adjustment(proposal.pk, staff_id=staff[0].pk)

    reject_adjustment(proposal.pk, staff_id=staff[1].pk)

    for decide in (approve_adjustment, reject_adjustment):
        with pytest.raises(errors.VersionConflict):
            decide(proposal.pk, staff_id=staff[1].pk)
    assert standing(account) == before
    assert AdjustmentProposal.objects.get().state == "rejected"


def test_cash_becomes_negative_only_where_the_proposal_says_so(account: TradingAccount, staff: list[User]) -> None:
    with pytest.raises(errors.InsufficientBalance) as refused:
        propose(account, staff[0], "-9999.899000000000000001")
    assert refused.value.details == {"required": "9999.899000000000000001", "available": "9999.899"}
    assert not AdjustmentProposal.objects.exists()

    exact = propose(account, staff[0], "-9999.899")
    approve_adjustment(exact.pk, staff_id=staff[1].pk)
    assert cash(account) == 0

    said = propose(account, staff[0], "-10", may_overdraw=True)
    approve_adjustment(said.pk, staff_id=staff[1].pk)
    assert cash(account) == -10

    back = propose(account, staff[0], "4")  # still negative, but less so
    approve_adjustment(back.pk, staff_id=staff[1].pk)
    assert cash(account) == -6


def test_only_active_staff_propose_and_decide(account: TradingAccount, staff: list[User]) -> None:
    frozen = UserFactory.create(is_staff=True, state=UserState.FROZEN)
    proposal = propose(account, staff[0])
    for nobody in (frozen, account.user):
        with pytest.raises(errors.NotPermitted):
            propose(account, nobody)
        for decide in (approve_adjustment, reject_adjustment):
            with pytest.raises(errors.NotPermitted):
                decide(proposal.pk, staff_id=nobody.pk)
    assert AdjustmentProposal.objects.get().state == "pending"


@pytest.mark.parametrize("changes", [{"amount": D(0)}, {"amount": D("NaN")}, {"reason": "  "}])
def test_a_proposal_says_what_and_why(account: TradingAccount, staff: list[User], changes: dict[str, Any]) -> None:
    with pytest.raises(errors.ValidationFailed):
        propose(account, staff[0], **({"amount": D(25)} | changes))
    assert AdjustmentProposal.objects.count() == 0


def test_what_does_not_exist_is_not_found(account: TradingAccount, staff: list[User]) -> None:
    with pytest.raises(errors.NotFound):
        propose_adjustment(account_id=0, staff_id=staff[0].pk, amount=D(1), reason="x")
    with pytest.raises(errors.NotFound):
        propose_reversal(entry_id=0, staff_id=staff[0].pk, reason="x")
    with pytest.raises(errors.NotFound):
        approve_adjustment(0, staff_id=staff[0].pk)


def test_every_step_is_in_the_audit_trail_without_the_free_text(account: TradingAccount, staff: list[User]) -> None:
    proposal = propose(account, staff[0], reason="told us at jane@example.com", ip="192.0.2.1")
    approve_adjustment(proposal.pk, staff_id=staff[1].pk, ip="192.0.2.2")
    reject_adjustment(propose(account, staff[1]).pk, staff_id=staff[0].pk)

    trail = AuditEvent.objects.filter(action__startswith="adjustment.").order_by("id")
    assert [(event.action, event.actor_id, event.ip) for event in trail] == [
        ("adjustment.proposed", staff[0].pk, "192.0.2.1"),
        ("adjustment.approved", staff[1].pk, "192.0.2.2"),
        ("adjustment.proposed", staff[1].pk, None),
        ("adjustment.rejected", staff[0].pk, None),
    ]
    assert {event.on_behalf_of_id for event in trail} == {account.user_id}
    assert (trail[1].before, trail[1].after["state"], trail[1].after["amount"]) == (
        {"state": "pending"},
        "approved",
        "25",
    )
    assert not any("jane" in str(event.after) for event in trail)


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"state": "approved"}, "adjustment_decided_as_its_state_says"),
        ({"state": "rejected"}, "adjustment_decided_as_its_state_says"),
        ({"decided_by_id": "other"}, "adjustment_decided_as_its_state_says"),
        (
            {"state": "rejected", "decided_by_id": "same", "decided_at": timezone.now()},
            "adjustment_decided_by_somebody",
        ),
        ({"amount": D(0)}, "adjustment_moves_something"),
        ({"reason": ""}, "adjustment_moves_something"),
    ],
)
def test_the_database_holds_what_a_proposal_may_be(
    account: TradingAccount, staff: list[User], changes: dict[str, Any], constraint: str
) -> None:
    proposal = propose(account, staff[0])
    people = {"same": staff[0].pk, "other": staff[1].pk}
    values = {name: people.get(value, value) if isinstance(value, str) else value for name, value in changes.items()}
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        AdjustmentProposal.objects.filter(pk=proposal.pk).update(**values)


@pytest.mark.django_db(transaction=True)
def test_ten_approvals_at_once_book_once(account: TradingAccount, staff: list[User]) -> None:
    proposal = propose(account, staff[0])
    deciding = [lambda: approve_adjustment(proposal.pk, staff_id=staff[1].pk)] * 5
    rejecting = [lambda: reject_adjustment(proposal.pk, staff_id=staff[1].pk)] * 5

    outcomes = at_once(*deciding, *rejecting)

    assert Counter(outcome for outcome in outcomes if isinstance(outcome, int)) == {1006: 9}
    booked = JournalEntry.objects.filter(account=account, kind="adjustment").count()
    assert booked == (AdjustmentProposal.objects.get().state == "approved")
    assert cash(account) == D("9999.899") + 25 * booked
    assert_whole(account)


@pytest.mark.django_db(transaction=True)
def test_running_balances_hold_while_orders_and_adjustments_race(account: TradingAccount, staff: list[User]) -> None:
    proposals = [propose(account, staff[0], str(n)).pk for n in range(1, 11)]
    approvals = [lambda pk=pk: approve_adjustment(pk, staff_id=staff[1].pk) for pk in proposals]

    outcomes = at_once(*approvals, *[lambda: place(account, "0.01")] * 10)

    assert not [outcome for outcome in outcomes if isinstance(outcome, int)]
    postings = Posting.objects.filter(entry__account=account, ledger_account="cash").order_by("entry__number")
    running, total = [], D(0)
    for posting in postings:
        total += posting.amount
        running.append(total)
    assert [posting.running_balance for posting in postings] == running
    assert (len(running), running[-1]) == (22, cash(account))
    assert_whole(account)
