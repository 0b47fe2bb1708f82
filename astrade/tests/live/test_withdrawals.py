"""Money out of an account at Extended: what it takes to ask for it, once, and to take it back."""

from collections import Counter
from typing import Any

from django.db.models import F

from astrade.core.clock import system_clock
from astrade.core.models import AuditEvent
from astrade.tests.live.withdrawer import Withdrawer, at_once
from astrade.tests.venue import EXTENDED, Person
from trading.models import Case, Event, TradingAccount, Withdrawal, WithdrawalAddress
from trading.services.payment_sending import take_up
from trading.services.reconciling import mark_refused
from trading.tasks import move_withdrawals


def kinds(withdrawer: Withdrawer) -> list[str]:
    """States that the account's events told of."""
    told = Event.objects.filter(account=withdrawer.account, kind="withdrawal_update").order_by("sequence")
    return [event.data["status"] for event in told]


def test_a_withdrawal_is_held_sent_once_and_settled_when_the_venue_says_so(withdrawer: Withdrawer) -> None:
    before = withdrawer.cash

    answer = withdrawer.ask("100.5", key="mine")
    assert (answer.status, answer.data["status"], answer.data["amount"]) == (202, "requested", "100.5")
    balance = withdrawer.call("GET", "/account/balance").data
    assert (balance["balance"], balance["held"], withdrawer.there_now) == (f"{before:f}".split(".")[0], "100.5", [])

    move_withdrawals()
    move_withdrawals()
    (there,) = withdrawer.there_now
    shown = withdrawer.api.get(f"/withdrawals/{answer.data['id']}").data
    assert (shown["status"], shown["venue_withdrawal_id"]) == ("sent", str(there.id))
    withdrawer.sync()
    assert (withdrawer.cash, withdrawer.held) == (before, ["held"])

    withdrawer.later()
    withdrawer.sync()
    withdrawer.sync()

    row = Withdrawal.objects.get()
    assert (row.state, row.entry and row.entry.kind, withdrawer.held) == ("settled", "withdrawal", ["settled"])
    assert (before - withdrawer.cash, withdrawer.agrees()) == (row.amount, True)
    assert kinds(withdrawer) == ["requested", "sent", "settled"]
    assert not Case.objects.exists()
    trail = AuditEvent.objects.filter(action__startswith="withdrawal.").order_by("id")
    assert [event.action for event in trail] == ["withdrawal.requested", "withdrawal.sent", "withdrawal.settled"]


def test_what_is_refused_holds_nothing(withdrawer: Withdrawer, settings: Any) -> None:
    withdrawer.take(quantity="0.1")
    withdrawer.sync()
    code = withdrawer.codes[0]
    for asked, refusal in (
        ({"code": ""}, (403, 1103)),
        ({"code": "000000"}, (401, 1104)),
        ({"amount": "0.5"}, (400, 4000)),
        ({"amount": "99999.5", "asset": "USD"}, (400, 4001)),
        ({"amount": "1.0000001"}, (400, 1001)),
        ({"asset": "BTC"}, (400, 1001)),
        ({"address_id": "11111111-2222-4333-8444-555555555555"}, (400, 4002)),
        ({"amount": "100000.000001"}, (400, 4003)),
    ):
        assert withdrawer.ask(**{"code": code} | asked).error == refusal, asked
    mark_refused(withdrawer.account.pk)
    assert withdrawer.ask(code=code).error == (401, 5001)
    settings.TERMS_VERSIONS = {"terms": "next"}
    assert withdrawer.ask(code=code).error == (403, 3019)
    assert not Withdrawal.objects.exists()
    assert withdrawer.held == []


def test_what_the_user_signs_themself_is_not_taken_here(withdrawer: Withdrawer) -> None:
    key = hex(withdrawer.there.public_key)
    withdrawer.connect(code=withdrawer.codes.pop(), signing="user_signed", stark_private_key=None, stark_public_key=key)
    assert withdrawer.ask().error == (400, 3014)


def test_who_has_no_second_factor_withdraws_nothing(withdrawer: Withdrawer) -> None:
    code = withdrawer.codes.pop()
    withdrawer.api.call("POST", "/auth/2fa/disable", {}, X_2FA_Code=code)

    assert withdrawer.ask(code="123456").error == (403, 1103)
    assert withdrawer.add("0x1234", X_2FA_Code="123456").error == (403, 1103)


def test_virtual_money_stays(withdrawer: Withdrawer) -> None:
    practice = TradingAccount.objects.create(
        user=withdrawer.user, name="Practice", created_at=system_clock(), is_primary=True
    )
    assert withdrawer.ask(account=str(practice.uuid), code=withdrawer.codes[0]).error == (400, 1001)


def test_a_code_works_once_and_a_refusal_keeps_it(withdrawer: Withdrawer) -> None:
    code = withdrawer.codes.pop()

    assert withdrawer.ask("0.5", code=code).error == (400, 4000)
    assert withdrawer.ask(code=code).status == 202
    assert withdrawer.ask(code=code).error == (401, 1104)
    assert Withdrawal.objects.count() == 1


def test_an_address_is_usable_a_day_later_and_removed_at_once(withdrawer: Withdrawer) -> None:
    added = withdrawer.add("0x0ABC")
    assert (added.status, added.data["address"]) == (201, "0xabc")
    assert added.data["usable_at"] - added.data["added_at"] == 24 * 3_600_000

    assert withdrawer.ask(address_id=added.data["id"]).error == (400, 4002)
    WithdrawalAddress.objects.filter(uuid=added.data["id"]).update(usable_at=F("added_at"))
    assert withdrawer.ask(address_id=added.data["id"]).status == 202
    assert withdrawer.api.delete(f"/withdrawal-addresses/{added.data['id']}").status == 200
    assert withdrawer.ask(address_id=added.data["id"]).error == (400, 4002)
    move_withdrawals()

    row = Withdrawal.objects.get()
    assert (row.state, row.reason, withdrawer.held, withdrawer.there_now) == (
        "failed",
        "address_removed",
        ["released"],
        [],
    )
    listed = [one["address"] for one in withdrawer.api.get("/withdrawal-addresses").data]
    assert listed == [hex(withdrawer.there.wallet)]


def test_what_is_no_address_is_refused(withdrawer: Withdrawer) -> None:
    for address in ("0x0", "0x1", hex(2**251 - 256), "abc", "0xzz", "0x1_0", "0x" + "0" * 64 + "2"):
        assert withdrawer.add(address, X_2FA_Code="unspent").error == (400, 1001), address


def test_an_address_stands_once_for_a_user(withdrawer: Withdrawer) -> None:
    assert withdrawer.add(hex(withdrawer.there.wallet)).error == (409, 1006)


def test_what_orders_bind_is_not_withdrawn(withdrawer: Withdrawer) -> None:
    withdrawer.take(quantity="0.1")
    withdrawer.sync()
    withdrawable = withdrawer.call("GET", "/account/balance").data["withdrawable"]

    beyond = withdrawer.ask(str(int(float(withdrawable)) + 1))

    assert beyond.error == (400, 4001)
    assert int(float(withdrawable)) < withdrawer.cash - 1


def test_a_days_amounts_are_counted_together(withdrawer: Withdrawer, settings: Any) -> None:
    settings.WITHDRAWAL_DAILY_MAX = "250"
    withdrawer.ask("150")
    cancelled = withdrawer.ask("100")

    assert withdrawer.ask("1").error == (400, 4003)
    assert withdrawer.api.delete(f"/withdrawals/{cancelled.data['id']}").data["status"] == "cancelled"
    assert withdrawer.ask("100").status == 202


def test_twenty_times_the_same_key_is_one_withdrawal(withdrawer: Withdrawer) -> None:
    code = withdrawer.codes.pop()
    answers = at_once(*[lambda: withdrawer.ask(code=code, key="once")] * 20)
    move_withdrawals()

    counted = Counter(answer.status for answer in answers)
    assert set(counted) <= {202, 429}
    assert counted[202] >= 1
    assert len({answer.data["id"] for answer in answers if answer.status == 202}) == 1
    assert (Withdrawal.objects.count(), len(withdrawer.there_now), len(withdrawer.held)) == (1, 1, 1)
    again = withdrawer.ask(code=code, key="once")
    assert (again.status, again.headers["Idempotent-Replayed"], again.data["status"]) == (202, "true", "requested")
    assert withdrawer.ask("7", code=code, key="once").error == (409, 1005)


def test_together_they_exceed_nothing(withdrawer: Withdrawer, settings: Any) -> None:
    settings.WITHDRAWAL_DAILY_MAX = settings.WITHDRAWAL_APPROVAL_ABOVE = "300"
    codes = [withdrawer.codes.pop() for _ in range(6)]

    answers = at_once(*[lambda code=code: withdrawer.ask("100", code=code) for code in codes])

    assert Counter(answer.status for answer in answers) == {202: 3, 400: 3}
    assert Withdrawal.objects.count() == 3


def test_it_is_taken_back_before_it_is_sent_and_not_after(withdrawer: Withdrawer) -> None:
    row = withdrawer.asked()
    stranger = Person().api
    assert stranger.delete(f"/withdrawals/{row.uuid}").error == (404, 1002)

    assert withdrawer.api.delete(f"/withdrawals/{row.uuid}").data["status"] == "cancelled"
    move_withdrawals()
    assert (withdrawer.held, withdrawer.there_now) == (["released"], [])
    assert withdrawer.api.delete(f"/withdrawals/{row.uuid}").error == (409, 1006)

    other = withdrawer.asked("5")
    assert take_up(Withdrawal, other.pk) is not None
    assert withdrawer.api.delete(f"/withdrawals/{other.uuid}").error == (409, 1006)
    other.refresh_from_db()
    assert other.state == "requested"


def test_a_connection_with_a_withdrawal_is_kept(withdrawer: Withdrawer) -> None:
    row = withdrawer.sent()
    assert withdrawer.api.call("DELETE", EXTENDED, X_2FA_Code=withdrawer.codes.pop()).error == (409, 4005)
    assert withdrawer.api.delete(f"/accounts/{withdrawer.account.uuid}").error == (409, 4005)

    withdrawer.later()
    withdrawer.sync()
    assert Withdrawal.objects.get(pk=row.pk).state == "settled"
    assert withdrawer.api.call("DELETE", EXTENDED, X_2FA_Code=withdrawer.codes.pop()).status == 200


def test_the_list_pages_and_shows_nobody_elses(withdrawer: Withdrawer) -> None:
    ids = [str(withdrawer.asked("1").uuid), str(withdrawer.asked("2").uuid)]

    page = withdrawer.api.get("/withdrawals?limit=1")
    rest = withdrawer.api.get(f"/withdrawals?cursor={page.content['pagination']['cursor']}")

    assert [one["id"] for one in page.data + rest.data] == ids[::-1]
