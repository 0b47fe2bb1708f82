"""What a debit would take is held from its proposal on: it can't leave or bind new risk, and ends once."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import User
from accounts.tests.factories import UserFactory
from astrade.core import errors
from trading.domain.liquidation import Step
from trading.domain.margin import summarise
from trading.loading import read_account
from trading.models import AdjustmentProposal, Event, Hold, Order, TradingAccount, Transfer
from trading.services.adjustments import (
    PROPOSALS_STAND,
    approve_adjustment,
    expire_adjustments,
    propose_adjustment,
    propose_reversal,
    reject_adjustment,
    withdraw_adjustment,
)
from trading.services.bookings import present_board
from trading.services.due import due_work
from trading.services.funds import transfer
from trading.services.liquidation import liquidate
from trading.tests.api.client import Trader
from trading.tests.conftest import Feed
from trading.tests.factories import D, open_account, place, ref
from trading.tests.services.test_adjustments import cash
from trading.tests.test_concurrency import assert_whole, at_once
from trading.tests.test_verification import superuser
from trading.trial_balance import trial_balance
from trading.verification import CHECKS, run_check


@pytest.fixture
def staff(db: None) -> list[User]:
    """Two of them."""
    return [UserFactory.create(is_staff=True) for _ in range(2)]


@pytest.fixture
def trader(feed: Feed) -> Trader:
    """With 10,000 and a market around 100."""
    return Trader()


def debit(account: TradingAccount, by: User, amount: str = "9000", **changes: Any) -> AdjustmentProposal:
    """A proposal to take that much."""
    said: dict[str, Any] = {"reason": "an outage", **changes}
    return propose_adjustment(account_id=account.pk, staff_id=by.pk, amount=-D(amount), **said)


def figures(trader: Trader) -> dict[str, Any]:
    """What the user sees of their money."""
    balance: dict[str, Any] = trader.api.get("/account/balance").data
    return balance


def overdue(proposal: AdjustmentProposal) -> None:
    """Nobody decided for a week."""
    AdjustmentProposal.objects.filter(pk=proposal.pk).update(expires_at=timezone.now())


def test_a_hold_binds_and_moves_nothing(trader: Trader, staff: list[User]) -> None:
    before, entries = figures(trader), TradingAccount.objects.get(pk=trader.account.pk).entry_count

    proposal = debit(trader.account, staff[0])

    hold = Hold.objects.get()
    assert (hold.amount, hold.asset, hold.state, hold.reference) == (9000, "USD", "held", f"adjustment:{proposal.uuid}")
    now = figures(trader)
    assert {name for name in now if now[name] != before[name]} == {"margin_available", "held", "withdrawable", "assets"}
    assert (now["margin_available"], now["held"], now["withdrawable"]) == ("1000", "9000", "1000")
    assert now["assets"] == [{"asset": "USD", "free": "1000", "locked": "9000", "total": "10000"}]
    assert trader.api.get("/account").data == now
    assert TradingAccount.objects.get(pk=trader.account.pk).entry_count == entries
    told = Event.objects.filter(account=trader.account).order_by("sequence").last()
    assert told is not None
    assert (told.kind, told.data) == ("balance_update", now)
    assert_whole(trader.account)


def test_held_money_can_neither_leave_nor_bind_new_risk(trader: Trader, staff: list[User]) -> None:
    other = open_account(user=trader.user, balance="0")
    debit(trader.account, staff[0])
    move = {"from_account": str(trader.account.uuid), "to_account": str(other.uuid)}

    refused = trader.api.post("/transfers", {**move, "amount": "1000.01"})
    assert refused.error == (400, 4001)
    assert refused.content["error"]["details"] == {"amount": "1000.01", "withdrawable": "1000"}
    for order in (trader.place(quantity="10"), trader.rest(quantity="11")):
        assert order.error == (400, 3003)
        assert D(order.content["error"]["details"]["available"]) == 1000
    assert trader.rest(quantity="10").status == 201  # binds 950
    assert trader.api.post("/transfers", {**move, "amount": "50"}).status == 201
    assert trader.api.post("/transfers", {**move, "amount": "0.01"}).error == (400, 4001)
    assert trader.place(quantity="0.001").error == (400, 3003)


def test_leverage_cannot_be_lowered_into_what_is_held(trader: Trader, staff: list[User]) -> None:
    trader.place(quantity="20", leverage=5)  # binds 400
    debit(trader.account, staff[0])

    assert trader.api.patch("/account/leverage", {"symbol": "BTC-USD", "leverage": 2}).error == (400, 3003)
    assert trader.api.patch("/account/leverage", {"symbol": "BTC-USD", "leverage": 4}).status == 200


def test_a_reduction_is_never_held_back(trader: Trader, staff: list[User]) -> None:
    trader.place(quantity="20")
    debit(trader.account, staff[0], "9900")

    assert D(figures(trader)["margin_available"]) < 0
    assert trader.place(quantity="5", side="sell").data["status"] == "filled"
    assert trader.place(quantity="0.001").error == (400, 3003)


def test_held_money_is_collateral_still(trader: Trader, staff: list[User], feed: Feed) -> None:
    """Neither does a hold liquidate, nor does it keep a liquidation from using it up."""
    trader.place(quantity="200", leverage=10)
    debit(trader.account, staff[0], "7000")
    feed(bids=(("59", "1000"),), asks=(("61", "1000"),), sequence=2)
    assert D(figures(trader)["equity"]) < 7000
    assert liquidate(trader.account.pk) == {Step.HEALTHY: 1}

    feed(bids=(("52", "1000"),), asks=(("54", "1000"),), sequence=3)
    assert liquidate(trader.account.pk)[Step.REDUCED]

    assert cash(trader.account) < 7000
    assert (Hold.objects.get().state, figures(trader)["held"]) == ("held", "7000")
    assert_whole(trader.account)


def test_approving_settles_it(trader: Trader, staff: list[User]) -> None:
    proposal = debit(trader.account, staff[0])

    approved = approve_adjustment(proposal.pk, staff_id=staff[1].pk)

    hold = Hold.objects.get()
    assert (hold.state, hold.entry_id, hold.ended_at) == ("settled", approved.entry_id, approved.decided_at)
    assert approved.entry_id is not None
    now = figures(trader)
    assert (now["balance"], now["equity"], now["held"], now["withdrawable"]) == ("1000", "1000", "0", "1000")
    assert_whole(trader.account)


@pytest.mark.parametrize("how", ["rejected", "withdrawn", "expired"])
def test_every_other_end_releases_it(trader: Trader, staff: list[User], how: str) -> None:
    proposal, before = debit(trader.account, staff[0]), figures(trader)
    sequence = Event.objects.filter(account=trader.account).count()
    if how == "rejected":
        reject_adjustment(proposal.pk, staff_id=staff[1].pk)
    elif how == "withdrawn":
        withdraw_adjustment(proposal.pk, staff_id=staff[0].pk)
    else:
        overdue(proposal)
        assert expire_adjustments(trader.account.pk) == 1

    ended = AdjustmentProposal.objects.get()
    assert (ended.state, ended.entry_id, ended.decided_by_id) == (
        how, None, staff[1].pk if how == "rejected" else None,
    )  # fmt: skip
    hold = Hold.objects.get()
    assert (hold.state, hold.entry_id, hold.ended_at) == ("released", None, ended.decided_at)
    now = figures(trader)
    assert (before["held"], now["held"], now["balance"], now["withdrawable"]) == ("9000", "0", "10000", "10000")
    (told,) = Event.objects.filter(account=trader.account, sequence__gt=sequence)
    assert (told.kind, told.data["held"]) == ("balance_update", "0")
    for decide in (approve_adjustment, reject_adjustment):
        with pytest.raises(errors.VersionConflict):
            decide(proposal.pk, staff_id=staff[1].pk)
    with pytest.raises(errors.VersionConflict):
        withdraw_adjustment(proposal.pk, staff_id=staff[0].pk)
    assert expire_adjustments(trader.account.pk) == 0
    assert_whole(trader.account)


def test_only_who_made_a_proposal_withdraws_it(trader: Trader, staff: list[User]) -> None:
    proposal = debit(trader.account, staff[0])
    with pytest.raises(errors.NotPermitted):
        withdraw_adjustment(proposal.pk, staff_id=staff[1].pk)
    assert Hold.objects.get().state == "held"


def test_an_overdue_proposal_is_decided_by_nobody_and_ended_by_the_clock(trader: Trader, staff: list[User]) -> None:
    proposal = debit(trader.account, staff[0])
    assert proposal.expires_at == proposal.proposed_at + PROPOSALS_STAND
    assert not [due for due in due_work() if due.run is expire_adjustments]
    assert expire_adjustments(trader.account.pk) == 0
    overdue(proposal)

    with pytest.raises(errors.VersionConflict):
        approve_adjustment(proposal.pk, staff_id=staff[1].pk)
    assert figures(trader)["held"] == "9000"
    (due,) = [due for due in due_work() if due.run is expire_adjustments]
    due.run(due.account_id)

    assert figures(trader)["held"] == "0"
    assert not [due for due in due_work() if due.run is expire_adjustments]


def test_a_credit_holds_nothing(trader: Trader, staff: list[User]) -> None:
    proposal = propose_adjustment(account_id=trader.account.pk, staff_id=staff[0].pk, amount=D(5), reason="an outage")
    assert not Hold.objects.exists()
    approve_adjustment(proposal.pk, staff_id=staff[1].pk)
    assert not Hold.objects.exists()


def test_the_reversal_of_a_credit_holds_it(trader: Trader, staff: list[User]) -> None:
    credit = propose_adjustment(account_id=trader.account.pk, staff_id=staff[0].pk, amount=D(50), reason="an outage")
    entry = approve_adjustment(credit.pk, staff_id=staff[1].pk).entry_id
    assert entry is not None

    first = propose_reversal(entry_id=entry, staff_id=staff[0].pk, reason="in error")
    assert figures(trader)["held"] == "50"
    with pytest.raises(errors.VersionConflict):
        propose_reversal(entry_id=entry, staff_id=staff[1].pk, reason="in error")
    withdraw_adjustment(first.pk, staff_id=staff[0].pk)
    second = propose_reversal(entry_id=entry, staff_id=staff[0].pk, reason="in error after all")
    approve_adjustment(second.pk, staff_id=staff[1].pk)

    assert [hold.state for hold in Hold.objects.order_by("id")] == ["released", "settled"]
    assert cash(trader.account) == 10_000
    assert_whole(trader.account)


def test_no_more_is_held_than_there_is_unless_the_proposal_says_so(trader: Trader, staff: list[User]) -> None:
    debit(trader.account, staff[0], "6000")
    with pytest.raises(errors.InsufficientBalance) as refused:
        debit(trader.account, staff[0], "4000.01")
    assert refused.value.details == {"required": "4000.01", "available": "4000"}
    assert (Hold.objects.count(), AdjustmentProposal.objects.count()) == (1, 1)

    said = debit(trader.account, staff[0], "5000", may_overdraw=True)
    assert (figures(trader)["margin_available"], figures(trader)["withdrawable"]) == ("-1000", "0")
    assert trader.place(quantity="0.001").error == (400, 3003)
    approve_adjustment(said.pk, staff_id=staff[1].pk)
    assert cash(trader.account) == 5000


def test_held_money_that_was_lost_is_not_taken(trader: Trader, staff: list[User], feed: Feed) -> None:
    trader.place(quantity="50", leverage=10)
    proposal = debit(trader.account, staff[0])
    feed(bids=(("50", "1000"),), asks=(("52", "1000"),), sequence=2)
    trader.place(quantity="50", side="sell")
    left = cash(trader.account)
    assert left < 9000

    with pytest.raises(errors.InsufficientBalance):
        approve_adjustment(proposal.pk, staff_id=staff[1].pk)

    assert (Hold.objects.get().state, cash(trader.account)) == ("held", left)
    reject_adjustment(proposal.pk, staff_id=staff[1].pk)
    assert_whole(trader.account)


def test_a_closed_account_is_still_settled(trader: Trader, staff: list[User]) -> None:
    other = open_account(user=trader.user, balance="70")
    proposal = debit(other, staff[0], "70")
    assert trader.api.delete(f"/accounts/{other.uuid}").status == 200

    approve_adjustment(proposal.pk, staff_id=staff[1].pk)

    assert (Hold.objects.get().state, cash(other)) == ("settled", 0)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE trading_hold SET amount = 1",
        "UPDATE trading_hold SET state = 'released', ended_at = now(), reference = 'other'",
        "DELETE FROM trading_hold",
    ],
)
def test_a_hold_only_ends(trader: Trader, staff: list[User], change: str) -> None:
    debit(trader.account, staff[0])
    with pytest.raises(IntegrityError, match="ends once"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)


def test_a_hold_ends_once(trader: Trader, staff: list[User]) -> None:
    reject_adjustment(debit(trader.account, staff[0]).pk, staff_id=staff[1].pk)
    for state in ("held", "released", "settled"):
        with pytest.raises(IntegrityError, match="ends once"), transaction.atomic():
            Hold.objects.update(state=state, ended_at=timezone.now() + timedelta(seconds=1))


# All at once


@pytest.mark.django_db(transaction=True)
def test_holds_orders_and_transfers_never_overspend(trader: Trader, staff: list[User]) -> None:
    """10,000: each of these wants about 2,000 of it."""
    other = open_account(user=trader.user, balance="0")
    board = present_board()

    def send() -> Transfer:
        return transfer(sender=ref(trader.account), to_account=other.uuid, asset=None, amount=D(2000), board=board)

    holding = [lambda: debit(trader.account, staff[0], "2000")] * 6
    outcomes = at_once(*holding, *[send] * 6, *[lambda: rest(trader)] * 6)

    refused = Counter(outcome for outcome in outcomes if isinstance(outcome, int))
    assert set(refused) <= {3003, 3004, 4001}
    state = read_account(ref(trader.account))
    summary = summarise(state, present_board())
    sent = 2000 * Transfer.objects.count()
    open_orders, holds = Order.objects.filter(status="open").count(), Hold.objects.filter(state="held").count()
    assert (summary.initial, summary.held, summary.balance) == (1900 * open_orders, 2000 * holds, 10_000 - sent)
    assert 18 - sum(refused.values()) == open_orders + holds + sent // 2000
    assert summary.balance - summary.held >= 0
    told = Event.objects.filter(account=trader.account, kind="balance_update").order_by("sequence")
    assert all(D(event.data["balance"]) - D(event.data["held"]) >= 0 for event in told)
    assert trial_balance().is_sound
    assert_whole(trader.account)


def rest(trader: Trader) -> Any:
    """An order that binds 1,900."""
    return place(trader.account, "20", price="95")


@pytest.mark.django_db(transaction=True)
def test_a_hold_ends_in_one_way_however_many_decide(trader: Trader, staff: list[User]) -> None:
    proposal = debit(trader.account, staff[0], "100")
    approving = [lambda: approve_adjustment(proposal.pk, staff_id=staff[1].pk)] * 3
    others = [lambda: reject_adjustment(proposal.pk, staff_id=staff[1].pk)] * 3
    own = [lambda: withdraw_adjustment(proposal.pk, staff_id=staff[0].pk)] * 3

    outcomes = at_once(*approving, *others, *own)

    assert Counter(outcome for outcome in outcomes if isinstance(outcome, int)) == {1006: 8}
    settled = AdjustmentProposal.objects.get().state == "approved"
    assert Hold.objects.get().state == ("settled" if settled else "released")
    assert cash(trader.account) == (D(9900) if settled else D(10_000))
    assert_whole(trader.account)


# The check of the ledger


@pytest.mark.django_db(transaction=True)
def test_a_hold_that_its_entry_did_not_take_is_found(trader: Trader, staff: list[User]) -> None:
    approve_adjustment(debit(trader.account, staff[0], "100").pk, staff_id=staff[1].pk)
    assert [name for name in CHECKS if run_check(name)] == []
    with superuser() as cursor:
        cursor.execute("UPDATE trading_hold SET amount = 99")

    (finding,) = run_check("holds")

    assert f"account {trader.account.uuid}" in finding.where
    assert Decimal(finding.where.split(" was settled by ")[1]) == 100
