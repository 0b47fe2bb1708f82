"""Transfers between live accounts on their way: sent once, booked once on either side, whatever came of the answer."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from astrade.core.clock import system_clock
from astrade.tests.live.transferrer import Transferrer, only_transfer
from astrade.tests.live.withdrawer import at_once
from astrade.tests.venue import EXTENDED
from trading.models import Case, Posting, VenueMovement, VenueTransfer
from trading.services.movements import book_movements, off_balance
from trading.services.payment_sending import pay, send_payment, take_up
from trading.services.reconciling import sync_account
from trading.tasks import move_transfers
from trading.venues.choice import venue_account

LATE = timedelta(minutes=6)
FAULTS = (
    "accept_then_timeout", "reset_before_accept", "reset_after_accept", "error_504_after_accept",
    "duplicate_execution_refused", "rate_limited", "key_revoked",
)  # fmt: skip


def test_an_answer_lost_after_it_was_taken_is_found_in_the_venues_history(owner: Transferrer) -> None:
    row = owner.asked_transfer()
    owner.venue.exchange.switch_faults("reset_after_accept")
    send_payment(VenueTransfer, row.pk)
    owner.venue.exchange.switch_faults("")
    assert (only_transfer().state, owner.held) == ("unknown", ["held"])

    owner.search(looks=2)

    assert (only_transfer().state, owner.held, owner.agree()) == ("settled", ["settled"], True)
    assert (len(owner.moved[0]), len(owner.transfer_entries())) == (1, 2)
    assert not Case.objects.exists()


def test_an_answer_lost_before_it_was_taken_fails_after_the_quiet_period_and_gives_back(owner: Transferrer) -> None:
    owner.asked_transfer()
    owner.venue.exchange.switch_faults("reset_before_accept")
    move_transfers()
    owner.venue.exchange.switch_faults("")
    owner.search(looks=1)
    for _ in range(5):
        move_transfers()
    assert (only_transfer().state, owner.held) == ("unknown", ["held"])  # looked for over no minute

    owner.search(looks=2)

    row = only_transfer()
    assert (row.state, row.reason, owner.held) == ("failed", "not_found_at_venue", ["released"])
    assert owner.moved == ([], [])
    assert owner.agree()


def test_whatever_the_way_there_does_nothing_moves_twice_or_is_lost(owner: Transferrer, settings: Any) -> None:
    settings.VENUE_WRITE_TIMEOUT_S = settings.VENUE_READ_TIMEOUT_S = 0.4
    for number, fault in enumerate(FAULTS, start=1):
        row = owner.asked_transfer(str(number))
        owner.venue.exchange.switch_faults(fault)
        send_payment(VenueTransfer, row.pk)
        owner.venue.exchange.switch_faults("")
        owner.search()
        settled = VenueTransfer.objects.filter(state="settled").order_by("pk").values_list("amount", flat=True)
        assert owner.moved[0] == [-amount for amount in settled], fault

    owner.both_sync()
    assert set(VenueTransfer.objects.values_list("state", flat=True)) == {"settled", "failed"}
    assert owner.moved[1] == [-amount for amount in owner.moved[0]]
    assert owner.agree()
    assert not Case.objects.exists()


def test_a_process_that_died_before_sending_costs_nothing(owner: Transferrer) -> None:
    assert take_up(VenueTransfer, owner.asked_transfer().pk) is not None
    for _ in range(3):
        move_transfers()
    assert owner.moved == ([], [])

    owner.search(looks=7)

    assert (only_transfer().state, owner.moved, owner.held) == ("failed", ([], []), ["released"])


def test_a_process_that_died_after_sending_moved_once(owner: Transferrer) -> None:
    taken = take_up(VenueTransfer, owner.asked_transfer().pk)
    assert taken is not None
    pay(venue_account(taken[0]).funds, taken[1])

    owner.search(looks=2)

    assert (only_transfer().state, len(owner.moved[0]), owner.agree()) == ("settled", 1, True)


def test_one_that_arrives_after_it_was_called_failed_is_booked_and_a_case(owner: Transferrer) -> None:
    taken = take_up(VenueTransfer, owner.asked_transfer().pk)
    assert taken is not None
    owner.search(looks=7)
    assert only_transfer().state == "failed"
    pay(venue_account(taken[0]).funds, taken[1])

    owner.both_sync()

    assert (only_transfer().state, owner.agree(), len(owner.transfer_entries())) == ("settled", True, 2)
    assert sum(Posting.objects.filter(ledger_account="clearing").values_list("amount", flat=True)) == 0
    assert list(Case.objects.values_list("kind", flat=True)) == ["settled_after_failure"]


def test_the_receiver_may_hear_of_it_first(owner: Transferrer) -> None:
    taken = take_up(VenueTransfer, owner.asked_transfer().pk)
    assert taken is not None
    pay(venue_account(taken[0]).funds, taken[1])
    other = owner.other.pk
    assert off_balance(owner.account.pk) == {0, 100}
    assert off_balance(other) == {0, -100}

    assert book_movements(other, venue_account(other)) == 1
    assert off_balance(other) == {0}
    assert VenueMovement.objects.get(transfer=only_transfer()).account_id == other
    owner.both_sync()

    assert (only_transfer().state, owner.agree(), len(owner.transfer_entries())) == ("settled", True, 2)
    assert not Case.objects.exists()


def test_what_has_arrived_is_not_called_failed(owner: Transferrer) -> None:
    """The sender's own history may be slow to show it."""
    taken = take_up(VenueTransfer, owner.asked_transfer().pk)
    assert taken is not None
    pay(venue_account(taken[0]).funds, taken[1])
    (left,) = owner.transfers_of(owner.there)
    owner.there.operations.remove(left)
    sync_account(owner.other.pk)

    owner.search(looks=7)
    assert (only_transfer().state, owner.held) == ("unknown", ["held"])

    owner.there.operations.append(left)
    owner.both_sync()
    assert (only_transfer().state, owner.agree(), len(owner.transfer_entries())) == ("settled", True, 2)


def test_what_arrives_is_told_from_what_comes_from_elsewhere(owner: Transferrer) -> None:
    """The same amount a moment before, from an account that is not connected here, while our id is not known yet."""
    taken = take_up(VenueTransfer, owner.asked_transfer("7").pk)
    assert taken is not None
    pay(venue_account(taken[0]).funds, taken[1])
    there, (ours,) = owner.venue.second, owner.transfers_of(owner.venue.second)
    foreign = replace(
        ours, id=owner.venue.exchange.new_id(), at_ms=ours.at_ms - 1_000, counterparty_id=owner.venue.stranger.id
    )
    there.operations.append(foreign)
    there.balance += foreign.amount

    sync_account(owner.other.pk)
    owner.both_sync()

    assert VenueMovement.objects.get(transfer=only_transfer()).movement_id == str(ours.id)
    outside = Posting.objects.filter(entry__account=owner.other, entry__kind="transfer", ledger_account="external")
    assert [line.amount for line in outside] == [-7]
    assert owner.agree()
    assert not Case.objects.exists()


def test_another_amount_than_was_sent_is_booked_and_a_case(owner: Transferrer) -> None:
    row = owner.asked_transfer("10")
    send_payment(VenueTransfer, row.pk)
    (arriving,) = owner.transfers_of(owner.venue.second)
    arriving.amount -= 1
    owner.venue.second.balance -= 1

    owner.both_sync()

    assert owner.agree()
    assert list(Case.objects.values_list("account_id", "kind")) == [(owner.other.pk, "transfer_differs")]


def test_one_that_does_not_arrive_is_a_case(owner: Transferrer) -> None:
    row = owner.asked_transfer("10")
    send_payment(VenueTransfer, row.pk)
    owner.venue.second.operations.clear()
    move_transfers()
    assert only_transfer().state == "settled"
    path = f"{EXTENDED}?vault={owner.venue.second.vault}"
    assert owner.api.call("DELETE", path, X_2FA_Code=owner.codes.pop()).error == (409, 4005)

    VenueTransfer.objects.update(deadline_at=system_clock() - LATE)
    move_transfers()

    assert list(Case.objects.values_list("kind", flat=True)) == ["unknown_transfer"]


def test_ten_senders_send_once_and_eight_readers_book_once(owner: Transferrer) -> None:
    row, here, other = owner.asked_transfer(), owner.account.pk, owner.other.pk
    at_once(*[lambda: send_payment(VenueTransfer, row.pk)] * 10)
    assert (only_transfer().state, len(owner.moved[0])) == ("sent", 1)

    at_once(*[lambda one=one: book_movements(one, venue_account(one)) for one in (here, other) * 4])

    assert (only_transfer().state, len(owner.transfer_entries()), owner.agree()) == ("settled", 2, True)
