"""Withdrawals that their user signs: prepared, signed with a key that the server never had, sent once, whenever it is
approved.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError
from django.db.models import F

from accounts.models import StarkKey
from astrade.core.clock import system_clock, to_ms
from astrade.tests.live.signing_withdrawer import PREPARE, SigningWithdrawer
from astrade.tests.live.test_user_signed import body_of
from astrade.tests.live.withdrawer import Withdrawer, approver, at_once
from astrade.tests.venue import Person
from astrade.venues.errors import InvalidSignature
from astrade.venues.extended.signing import sign
from trading.loading import AccountRef
from trading.models import Hold, PreparedWithdrawal, Withdrawal, WithdrawalAddress
from trading.services.accounts import open_practice_account
from trading.services.bookings import present_board
from trading.services.payment_sending import pay, take_up
from trading.services.prepared_withdrawals import prepare_withdrawal
from trading.services.withdrawals import approve_withdrawal
from trading.tasks import move_withdrawals
from trading.venues.choice import venue_account

DAY = timedelta(days=1)
NOBODYS = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


def nothing_happened(signer: SigningWithdrawer) -> None:
    move_withdrawals()
    assert not Withdrawal.objects.exists()
    assert not Hold.objects.exists()
    assert not PreparedWithdrawal.objects.exclude(withdrawal=None, signature_r=None).exists()
    assert signer.there_now == []


def test_a_signed_withdrawal_is_sent_as_it_was_signed_and_settled(signer: SigningWithdrawer) -> None:
    assert StarkKey.objects.get(user=signer.user).private_key is None
    prepared = signer.prepare("100.5").data
    assert (prepared["amount"], prepared["address"], prepared["status"]) == (
        "100.5", hex(signer.there.wallet), "requested",
    )  # fmt: skip
    assert not Hold.objects.exists()

    asked = signer.ask("100.5", prepared=prepared["prepared"], signature=signer.sign(prepared))
    assert (asked.status, asked.data["status"], signer.held) == (202, "requested", ["held"])
    move_withdrawals()
    move_withdrawals()
    signer.later()
    signer.sync()

    row = Withdrawal.objects.get()
    assert (row.state, str(row.nonce), row.stark_public_key) == (
        "settled", prepared["nonce"], prepared["stark_public_key"],
    )  # fmt: skip
    assert PreparedWithdrawal.objects.get(withdrawal=row).hash == prepared["hash"]
    assert (len(signer.there_now), signer.held, signer.agrees()) == (1, ["settled"], True)


def test_preparing_holds_nothing_and_takes_another_nonce_each_time(signer: SigningWithdrawer) -> None:
    shown = [signer.prepare().data for _ in range(4)]

    assert len({one["nonce"] for one in shown}) == len({one["hash"] for one in shown}) == 4
    row = PreparedWithdrawal.objects.latest("pk")
    minute = timedelta(minutes=1)
    assert (row.submit_before - row.prepared_at, row.send_before - row.prepared_at) == (minute, DAY - minute)
    assert shown[-1]["send_before"] == to_ms(row.send_before)
    nothing_happened(signer)


def test_refusals_come_before_anything_is_signed(signer: SigningWithdrawer, settings: Any) -> None:
    WithdrawalAddress.objects.create(
        user=signer.user, network="testnet", address="0x77", added_at=system_clock(), usable_at=system_clock() + DAY
    )
    fresh = str(WithdrawalAddress.objects.get(address="0x77").uuid)
    for body, refusal in (
        ({"amount": "0.5"}, (400, 4000)),
        ({"amount": "100000.000001"}, (400, 4003)),
        ({"amount": "1.0000001"}, (400, 1001)),
        ({"asset": "BTC"}, (400, 1001)),
        ({"address_id": NOBODYS}, (400, 4002)),
        ({"address_id": fresh}, (400, 4002)),
    ):
        assert signer.prepare(**body).error == refusal, body
    settings.WITHDRAWAL_DAILY_MAX = "200000"
    assert signer.prepare("100001").error == (400, 4001)
    assert signer.ask(code=signer.codes[0]).error == (400, 3014)
    half = {"prepared": NOBODYS}
    assert signer.ask(code=signer.codes[0], **half).error == (400, 1001)
    assert signer.ask(code=signer.codes[0], **signer.signed() | half).error == (404, 1002)
    settings.TERMS_VERSIONS = {"terms": "next"}
    assert signer.prepare().error == (403, 3019)
    nothing_happened(signer)


def test_accounts_that_the_server_signs_for_take_no_part(withdrawer: Withdrawer) -> None:
    body = {"address_id": withdrawer.address, "amount": "5"}
    assert withdrawer.call("POST", PREPARE, body).error == (400, 3014)
    signed: dict[str, Any] = {"prepared": NOBODYS, "signature": {"r": "0x1", "s": "0x1"}}
    assert withdrawer.ask(**signed).error == (400, 3014)


def test_what_is_not_as_it_was_prepared_is_refused(signer: SigningWithdrawer) -> None:
    other = signer.listed("0x1234")
    body, code = signer.signed("100"), signer.codes[0]
    for changes in ({"amount": "101"}, {"address_id": other}):
        refused = signer.ask(**{"amount": "100", "code": code} | body | changes)
        assert refused.error == (400, 1001), changes
        assert refused.content["error"]["details"]["fields"] == {"prepared": ["Not what was prepared."]}
    PreparedWithdrawal.objects.update(submit_before=F("submit_before") - timedelta(seconds=61))
    late = signer.ask("100", code=code, **body)
    assert late.content["error"]["details"]["fields"] == {"prepared": ["It has expired: prepare it again."]}
    nothing_happened(signer)


def test_a_wrong_signature_is_refused_before_anything_is_held(signer: SigningWithdrawer) -> None:
    body = signer.signed()
    digest, right = int(PreparedWithdrawal.objects.get().hash, 16), body["signature"]
    wrong_ones: list[dict[str, str]] = [
        body_of(sign(7, digest)),
        signer.signed("101")["signature"],
        {"r": "0x0", "s": "0x" + "f" * 64},
        right | {"s": right["r"]},
    ]
    for wrong in wrong_ones:
        assert signer.ask(code=signer.codes[0], **(body | {"signature": wrong})).error == (401, 5002)
    nothing_happened(signer)
    assert signer.ask(**body).status == 202  # it may still be signed rightly


def test_the_second_factor_is_wanted_and_a_refusal_keeps_it(signer: SigningWithdrawer) -> None:
    body = signer.signed()
    assert signer.ask(code="", **body).error == (403, 1103)
    assert signer.ask(code="000000", **body).error == (401, 1104)
    nothing_happened(signer)


def test_a_signature_is_spent_once(signer: SigningWithdrawer) -> None:
    body, code = signer.signed(), signer.codes.pop()
    answers = at_once(*[lambda: signer.ask(code=code, key="once", **body)] * 20)

    assert {answer.status for answer in answers} <= {202, 429}
    again = signer.ask(**body)
    assert again.content["error"]["details"]["fields"] == {"prepared": ["It was placed before."]}
    move_withdrawals()
    assert (Withdrawal.objects.count(), len(signer.there_now), signer.held) == (1, 1, ["held"])


def test_what_is_approved_within_the_day_is_sent_with_its_signature(signer: SigningWithdrawer, settings: Any) -> None:
    row = awaiting(signer, settings)
    pass_time(timedelta(hours=23))
    approve(row)
    move_withdrawals()

    row.refresh_from_db()
    assert (row.state, len(signer.there_now)) == ("sent", 1)


def test_what_is_approved_too_late_fails_cleanly(signer: SigningWithdrawer, settings: Any) -> None:
    row = awaiting(signer, settings)
    pass_time(timedelta(hours=24))
    approve(row)
    move_withdrawals()

    row.refresh_from_db()
    assert (row.state, row.reason, row.signed_at) == ("failed", "signature_expired", None)
    assert row.message
    assert (signer.there_now, signer.held, signer.agrees()) == ([], ["released"], True)


def test_the_venue_takes_nothing_that_expires_too_soon(signer: SigningWithdrawer, settings: Any) -> None:
    """What our own rule keeps back, the venue refuses (1604)."""
    row = awaiting(signer, settings)
    signer.venue.clock.move(int(DAY.total_seconds() * 1000) + 60_000)
    approve(row)
    move_withdrawals()

    row.refresh_from_db()
    assert (row.state, row.reason, signer.held) == ("failed", "venue:1604", ["released"])


def test_a_stored_signature_is_verified_again_before_it_is_sent(signer: SigningWithdrawer) -> None:
    signer.ask(**signer.signed())
    PreparedWithdrawal.objects.update(signature_r="0x5")
    taken = take_up(Withdrawal, Withdrawal.objects.get().pk)
    assert taken is not None
    with pytest.raises(InvalidSignature):
        pay(venue_account(taken[0]).funds, taken[1])
    assert signer.there_now == []


def test_what_was_signed_with_another_key_is_not_sent(signer: SigningWithdrawer) -> None:
    signer.ask(**signer.signed())
    PreparedWithdrawal.objects.update(stark_public_key="0x5")  # as if the connection had another key by now
    move_withdrawals()

    row = Withdrawal.objects.get()
    assert (row.state, row.reason, signer.there_now, signer.held) == ("failed", "not_connected", [], ["released"])


def test_a_lost_answer_is_looked_for_and_nothing_is_sent_again(signer: SigningWithdrawer) -> None:
    signer.ask(**signer.signed())
    signer.venue.exchange.switch_faults("reset_after_accept")
    move_withdrawals()
    signer.venue.exchange.switch_faults("")
    assert (signer.state(), signer.held) == ("unknown", ["held"])

    signer.quiet()
    signer.later()
    signer.sync()

    assert (signer.state(), len(signer.there_now), signer.agrees()) == ("settled", 1, True)


def test_a_process_that_died_before_sending_costs_nothing(signer: SigningWithdrawer) -> None:
    signer.ask(**signer.signed())
    taken = take_up(Withdrawal, Withdrawal.objects.get().pk)
    assert taken is not None
    assert taken[1].signed_at == PreparedWithdrawal.objects.get().prepared_at  # and not the present moment

    signer.quiet()

    assert (signer.state(), signer.there_now, signer.held) == ("failed", [], ["released"])


def test_anothers_prepared_withdrawal_is_not_found(signer: SigningWithdrawer) -> None:
    body = signer.signed()
    stranger = Person()
    headers = {"X_Account_Id": str(signer.account.uuid)}
    asked = {"address_id": signer.address, "amount": "100"}
    assert stranger.api.call("POST", PREPARE, asked, **headers).error == (404, 1002)
    PreparedWithdrawal.objects.update(account=stranger_account(stranger))
    assert signer.ask(**body).error == (404, 1002)


def test_no_nonce_is_asked_for_twice(signer: SigningWithdrawer) -> None:
    signer.ask(**signer.signed())
    Withdrawal.objects.update(nonce=55)
    prepared = int(signer.prepare().data["nonce"])
    draws = iter([55, prepared, 77])

    def prepare(draw: Any) -> str:
        return str(
            prepare_withdrawal(
                account=AccountRef(account_id=signer.account.pk),
                address=WithdrawalAddress.objects.get(user=signer.user).uuid,
                amount=Decimal(5),
                asset=None,
                board=present_board(),
                draw=draw,
            )["nonce"]
        )

    assert prepare(lambda: next(draws)) == "77"
    with pytest.raises(IntegrityError):
        prepare(lambda: 77)


def awaiting(signer: SigningWithdrawer, settings: Any) -> Withdrawal:
    """A signed withdrawal that waits for approval."""
    settings.WITHDRAWAL_APPROVAL_ABOVE = "50"
    prepared = signer.prepare().data
    assert prepared["status"] == "awaiting_approval"
    asked = signer.ask(prepared=prepared["prepared"], signature=signer.sign(prepared))
    assert asked.error == (202, 4004)
    return Withdrawal.objects.get()


def pass_time(by: timedelta) -> None:
    """As if what is prepared had been so long ago; with it goes what was signed."""
    PreparedWithdrawal.objects.update(send_before=F("send_before") - by)


def approve(row: Withdrawal) -> None:
    staff, codes = approver()
    approve_withdrawal(row.pk, staff_id=staff.pk, code=codes.pop(), now=system_clock())


def stranger_account(stranger: Person) -> Any:
    """Some account of somebody else."""
    return open_practice_account(user_id=stranger.user.pk)
