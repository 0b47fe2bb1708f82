"""Withdrawals on their way: sent once, and settled, given back or looked for, whatever became of the answer."""

from typing import Any

import pytest
from django.db import transaction

from accounts.models import RecoveryCode
from accounts.services.users import freeze_user
from astrade.core.errors import AstradeError
from astrade.tests.live.withdrawer import Withdrawer, approver, at_once
from trading.models import Case, JournalEntry, Withdrawal
from trading.services.payment_sending import pay, send_payment, take_up
from trading.services.reconciling import mark_refused
from trading.tasks import move_withdrawals
from trading.venues.choice import venue_account

FAULTS = (
    "accept_then_timeout", "reset_before_accept", "reset_after_accept", "error_504_after_accept",
    "duplicate_execution_refused", "truncated_json", "rate_limited", "key_revoked", "stale_snapshot", "clock_skew",
)  # fmt: skip


def test_the_venues_refusal_gives_the_money_back_with_its_words(withdrawer: Withdrawer) -> None:
    stranger = withdrawer.listed("0x1234")

    withdrawer.ask(address_id=stranger)
    move_withdrawals()

    row = Withdrawal.objects.get()
    assert (row.state, row.reason, withdrawer.held) == ("failed", "venue:1608", ["released"])
    assert row.message
    assert withdrawer.there_now == []
    assert withdrawer.agrees()


def test_what_the_venue_rejects_later_is_given_back(withdrawer: Withdrawer) -> None:
    row = withdrawer.sent()
    (there,) = withdrawer.there_now
    there.status = "REJECTED"
    withdrawer.there.balance += row.amount

    withdrawer.sync()

    row.refresh_from_db()
    assert (row.state, row.reason, withdrawer.held) == ("failed", "rejected_by_venue", ["released"])
    assert withdrawer.agrees()
    assert not Case.objects.exists()


def test_the_venues_amount_is_booked_where_it_is_another_one(withdrawer: Withdrawer) -> None:
    row = withdrawer.sent("100")
    (there,) = withdrawer.there_now
    there.amount += 1
    withdrawer.there.balance += 1

    withdrawer.later()
    withdrawer.sync()

    row.refresh_from_db()
    assert (row.state, withdrawer.held, withdrawer.agrees()) == ("settled", ["released"], True)
    assert list(Case.objects.values_list("kind", flat=True)) == ["withdrawal_differs"]


def test_an_answer_lost_after_it_was_taken_is_found_in_the_venues_history(withdrawer: Withdrawer) -> None:
    withdrawer.asked()
    withdrawer.venue.exchange.switch_faults("reset_after_accept")
    move_withdrawals()
    withdrawer.venue.exchange.switch_faults("")
    assert (withdrawer.state(), withdrawer.held) == ("unknown", ["held"])

    withdrawer.quiet()
    assert withdrawer.state() == "sent"
    withdrawer.later()
    withdrawer.sync()

    assert (withdrawer.state(), len(withdrawer.there_now), withdrawer.agrees()) == ("settled", 1, True)
    assert JournalEntry.objects.filter(kind="withdrawal").count() == 1


def test_whatever_the_way_there_does_nothing_is_paid_twice_or_lost(withdrawer: Withdrawer, settings: Any) -> None:
    settings.VENUE_WRITE_TIMEOUT_S = settings.VENUE_READ_TIMEOUT_S = 0.4
    exchange = withdrawer.venue.exchange
    for number, fault in enumerate(FAULTS, start=1):
        RecoveryCode.objects.update(spent_at=None)
        withdrawer.ask(str(number), code=withdrawer.codes[0])
        exchange.switch_faults(fault)
        move_withdrawals()
        exchange.switch_faults("")
        withdrawer.quiet()
        withdrawer.venue.advance(95_000)
        withdrawer.prices()
        withdrawer.sync()
        paid = [int(-one.amount) for one in withdrawer.there_now]
        settled = Withdrawal.objects.filter(state="settled").order_by("pk").values_list("amount", flat=True)
        assert paid == list(settled), fault

    assert set(Withdrawal.objects.values_list("state", flat=True)) == {"settled", "failed"}
    assert set(withdrawer.held) == {"settled", "released"}
    assert withdrawer.agrees()
    assert not Case.objects.exists()


def test_an_answer_lost_before_it_was_taken_fails_after_the_quiet_period_and_gives_back(
    withdrawer: Withdrawer,
) -> None:
    withdrawer.asked()
    withdrawer.venue.exchange.switch_faults("reset_before_accept")
    move_withdrawals()
    withdrawer.venue.exchange.switch_faults("")
    withdrawer.quiet(looks=1)
    for _ in range(5):
        move_withdrawals()
    assert Withdrawal.objects.get().lookups == 6
    assert (withdrawer.state(), withdrawer.held) == ("unknown", ["held"])  # over no minute

    withdrawer.quiet(looks=2)

    row = Withdrawal.objects.get()
    assert (row.state, row.reason, withdrawer.held) == ("failed", "not_found_at_venue", ["released"])
    assert withdrawer.there_now == []
    assert withdrawer.agrees()


def test_a_process_that_died_before_sending_costs_nothing(withdrawer: Withdrawer) -> None:
    assert take_up(Withdrawal, withdrawer.asked().pk) is not None

    for _ in range(3):
        move_withdrawals()
    assert withdrawer.there_now == []
    withdrawer.quiet()

    assert (withdrawer.state(), withdrawer.there_now, withdrawer.held) == ("failed", [], ["released"])


def test_a_process_that_died_after_sending_paid_once(withdrawer: Withdrawer) -> None:
    taken = take_up(Withdrawal, withdrawer.asked().pk)
    assert taken is not None
    account_id, outgoing = taken
    pay(venue_account(account_id).funds, outgoing)

    withdrawer.quiet()
    withdrawer.later()
    withdrawer.sync()

    assert (withdrawer.state(), len(withdrawer.there_now), withdrawer.agrees()) == ("settled", 1, True)


def test_the_venue_takes_what_was_signed_once(withdrawer: Withdrawer) -> None:
    taken = take_up(Withdrawal, withdrawer.asked().pk)
    assert taken is not None
    funds = venue_account(taken[0]).funds
    pay(funds, taken[1])

    with pytest.raises(AstradeError):
        pay(funds, taken[1])

    assert len(withdrawer.there_now) == 1


def test_one_that_arrives_after_it_was_called_failed_is_booked_and_a_case(withdrawer: Withdrawer) -> None:
    taken = take_up(Withdrawal, withdrawer.asked().pk)
    assert taken is not None
    withdrawer.quiet()
    assert withdrawer.state() == "failed"
    pay(venue_account(taken[0]).funds, taken[1])

    withdrawer.sync()
    withdrawer.later()
    withdrawer.sync()

    assert (withdrawer.state(), withdrawer.agrees()) == ("settled", True)
    assert list(Case.objects.values_list("kind", flat=True)) == ["settled_after_failure"]


def test_withdrawals_of_one_account_go_one_by_one(withdrawer: Withdrawer) -> None:
    first, second = withdrawer.asked("10"), withdrawer.asked("10")
    assert take_up(Withdrawal, first.pk) is not None

    send_payment(Withdrawal, second.pk)
    assert withdrawer.there_now == []
    withdrawer.quiet()
    move_withdrawals()

    states = dict(Withdrawal.objects.values_list("pk", "state"))
    assert states == {first.pk: "failed", second.pk: "sent"}
    assert len(withdrawer.there_now) == 1


def test_a_nonce_that_was_used_is_drawn_again(withdrawer: Withdrawer) -> None:
    draws = iter([7, 7, 8])
    for _ in range(2):
        row = withdrawer.asked("10")
        send_payment(Withdrawal, row.pk, draw=lambda: next(draws))

    assert list(Withdrawal.objects.order_by("pk").values_list("nonce", flat=True)) == [7, 8]


def test_nothing_is_sent_inside_a_transaction(withdrawer: Withdrawer) -> None:
    row = withdrawer.asked()
    with pytest.raises(RuntimeError), transaction.atomic():
        send_payment(Withdrawal, row.pk)
    assert (withdrawer.state(), withdrawer.there_now) == ("requested", [])


def test_ten_senders_send_once(withdrawer: Withdrawer) -> None:
    row = withdrawer.asked()

    at_once(*[lambda: send_payment(Withdrawal, row.pk)] * 10)

    assert (withdrawer.state(), len(withdrawer.there_now)) == ("sent", 1)


@pytest.mark.parametrize("_", range(2))
def test_a_cancel_and_a_sender_at_once(withdrawer: Withdrawer, _: int) -> None:
    row = withdrawer.asked()

    at_once(lambda: withdrawer.api.delete(f"/withdrawals/{row.uuid}"), lambda: send_payment(Withdrawal, row.pk))

    sent = len(withdrawer.there_now)
    assert (withdrawer.state(), sent) in {("cancelled", 0), ("sent", 1)}


def test_what_was_asked_before_the_freeze_stays(withdrawer: Withdrawer) -> None:
    row = withdrawer.asked()
    freeze_user(withdrawer.user.pk, actor_id=approver()[0].pk, reason="drill")

    move_withdrawals()

    row.refresh_from_db()
    assert (row.state, row.reason, withdrawer.there_now) == ("failed", "account_not_active", [])


def test_one_that_stays_unknown_is_a_case(withdrawer: Withdrawer) -> None:
    take_up(Withdrawal, withdrawer.asked().pk)
    mark_refused(withdrawer.account.pk)

    withdrawer.quiet()
    withdrawer.quiet()

    assert withdrawer.state() == "unknown"
    assert list(Case.objects.values_list("kind", flat=True)) == ["unknown_withdrawal"]
