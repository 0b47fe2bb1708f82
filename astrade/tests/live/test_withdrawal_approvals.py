"""Large withdrawals wait for somebody of the staff who is not their owner."""

from collections import Counter
from typing import Any

import pytest

from accounts.models import User
from astrade.core.clock import system_clock
from astrade.core.errors import AstradeError, NotPermitted, VersionConflict
from astrade.core.models import AuditEvent
from astrade.tests.live.withdrawer import Withdrawer, approver, at_once
from trading.models import Withdrawal
from trading.services.withdrawals import approve_withdrawal, reject_withdrawal
from trading.tasks import move_withdrawals


def large(withdrawer: Withdrawer) -> Withdrawal:
    """One that waits for approval."""
    answer = withdrawer.ask("10001", key="large")
    assert answer.error == (202, 4004)
    shown = answer.content["error"]["details"]["withdrawal"]
    assert shown["status"] == "awaiting_approval"
    return Withdrawal.objects.get(uuid=shown["id"])


def approve(row: Withdrawal, staff: User, code: str | None) -> Any:
    return approve_withdrawal(row.pk, staff_id=staff.pk, code=code, now=system_clock())


def test_a_large_one_waits_for_somebody_else(withdrawer: Withdrawer) -> None:
    row = large(withdrawer)
    assert withdrawer.ask("10001", key="large").error == (202, 4004)
    move_withdrawals()
    assert (withdrawer.there_now, withdrawer.held) == ([], ["held"])
    staff, codes = approver()

    with pytest.raises(AstradeError) as refused:
        approve(row, staff, None)
    assert refused.value.code == 1103
    approve(row, staff, codes.pop())
    with pytest.raises(VersionConflict):
        approve(row, staff, codes.pop())
    move_withdrawals()

    row.refresh_from_db()
    assert (row.state, row.decided_by, len(withdrawer.there_now)) == ("sent", staff, 1)
    assert AuditEvent.objects.filter(action="withdrawal.approved", actor_id=staff.pk).count() == 1


def test_split_into_parts_the_day_still_counts(withdrawer: Withdrawer) -> None:
    assert withdrawer.ask("6000").status == 202
    assert withdrawer.ask("6000").error == (202, 4004)


def test_nobody_approves_their_own(withdrawer: Withdrawer) -> None:
    row = large(withdrawer)
    User.objects.filter(pk=withdrawer.user.pk).update(is_staff=True)

    with pytest.raises(NotPermitted):
        approve(row, withdrawer.user, withdrawer.codes.pop())

    assert withdrawer.state() == "awaiting_approval"


def test_who_is_no_staff_approves_nothing(withdrawer: Withdrawer) -> None:
    row, (staff, codes) = large(withdrawer), approver()
    User.objects.filter(pk=staff.pk).update(is_staff=False)
    with pytest.raises(NotPermitted):
        approve(row, staff, codes.pop())


def test_a_rejection_gives_the_money_back_with_its_reason(withdrawer: Withdrawer) -> None:
    row, (staff, codes) = large(withdrawer), approver()

    reject_withdrawal(row.pk, staff_id=staff.pk, code=codes.pop(), note="call us", now=system_clock())

    shown = withdrawer.api.get(f"/withdrawals/{row.uuid}").data
    assert (shown["status"], shown["reason"], shown["message"]) == ("failed", "rejected_by_staff", "call us")
    assert withdrawer.held == ["released"]


def test_two_approvals_at_once_are_one(withdrawer: Withdrawer) -> None:
    row = large(withdrawer)
    staff = [approver(), approver()]

    answers = at_once(*[lambda who=who, codes=codes: approve(row, who, codes[0]) for who, codes in staff])

    assert Counter(type(answer) for answer in answers) == {Withdrawal: 1, VersionConflict: 1}
    assert AuditEvent.objects.filter(action="withdrawal.approved").count() == 1


@pytest.mark.parametrize("_", range(2))
def test_an_approval_and_a_cancel_at_once(withdrawer: Withdrawer, _: int) -> None:
    row, (staff, codes) = large(withdrawer), approver()

    at_once(lambda: approve(row, staff, codes[0]), lambda: withdrawer.api.delete(f"/withdrawals/{row.uuid}"))
    move_withdrawals()

    row.refresh_from_db()
    sent = len(withdrawer.there_now)
    assert (row.state, sent, withdrawer.held) in [("cancelled", 0, ["released"]), ("sent", 1, ["held"])]
