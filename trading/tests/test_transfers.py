"""Transfers and the faucet when everybody comes at once: real threads on real rows."""

from collections import Counter

import pytest
from django.db.models import Sum

from accounts.tests.factories import UserFactory
from trading.loading import AccountRef
from trading.models import Deposit, Posting, TradingAccount, Transfer
from trading.services.bookings import present_board
from trading.services.funds import grant_faucet, transfer
from trading.services.resets import replace_account
from trading.tests.conftest import Feed
from trading.tests.factories import D, open_account, place, ref
from trading.tests.test_concurrency import assert_whole, at_once

pytestmark = pytest.mark.django_db(transaction=True)


def send(sender: TradingAccount, receiver: TradingAccount, amount: str) -> Transfer:
    """Move cash."""
    return transfer(sender=ref(sender), to_account=receiver.uuid, asset=None, amount=D(amount), board=present_board())


def cash_of(*accounts: TradingAccount) -> list[object]:
    """Cash by the ledger."""
    lines = Posting.objects.filter(ledger_account="cash")
    return [lines.filter(entry__account=account).aggregate(total=Sum("amount"))["total"] for account in accounts]


def test_crossing_transfers_never_deadlock(feed: Feed) -> None:
    """Both ways, and orders between them, again and again: a wrong lock order would meet itself."""
    user = UserFactory.create()
    one, two = open_account(user=user), open_account(user=user)
    for _ in range(6):
        there = [lambda: send(one, two, "3")] * 8
        back = [lambda: send(two, one, "2")] * 8
        outcomes = at_once(*[call for pair in zip(there, back, strict=True) for call in pair])
        assert all(isinstance(outcome, Transfer) for outcome in outcomes)
    at_once(*[lambda: send(one, two, "1"), lambda: place(two, "1"), lambda: place(one, "1")] * 3)

    transfers = Transfer.objects.all()
    sent = {account: transfers.filter(from_account=account).aggregate(s=Sum("amount"))["s"] for account in (one, two)}
    assert sent == {one: 6 * 8 * 3 + 3, two: 6 * 8 * 2}
    clearing = Posting.objects.filter(ledger_account="clearing").aggregate(total=Sum("amount"))["total"]
    assert clearing == 0
    assert_whole(one)
    assert_whole(two)


def test_transfers_that_together_exceed_the_balance(feed: Feed) -> None:
    user = UserFactory.create()
    one, two = open_account(user=user, balance="100"), open_account(user=user, balance="0")

    outcomes = at_once(*[lambda: send(one, two, "30")] * 10)

    assert Counter(outcome if isinstance(outcome, int) else "sent" for outcome in outcomes) == {"sent": 3, 4001: 7}
    assert cash_of(one, two) == [10, 90]
    assert_whole(one)


def test_a_ring_of_transfers_ends(feed: Feed) -> None:
    user = UserFactory.create()
    ring = [open_account(user=user, balance="1000") for _ in range(4)]
    pairs = [(ring[n], ring[(n + step) % 4]) for n in range(4) for step in (1, 2, 3)]

    outcomes = at_once(*[lambda a=a, b=b: send(a, b, "7") for a, b in pairs])

    assert all(isinstance(outcome, Transfer) for outcome in outcomes)
    assert cash_of(*ring) == [1000] * 4


def test_the_faucet_gives_no_more_than_its_limit_however_fast(feed: Feed) -> None:
    user = UserFactory.create()
    accounts = [open_account(user=user, balance="0") for _ in range(3)]
    calls = [
        lambda account=account: grant_faucet(account=ref(account), amount=D(60_000), board=present_board())
        for account in accounts * 3
    ]

    outcomes = at_once(*calls)

    assert Counter(outcome if isinstance(outcome, int) else "given" for outcome in outcomes) == {"given": 1, 4003: 8}
    assert Deposit.objects.aggregate(total=Sum("amount"))["total"] == 60_000


def test_an_account_is_replaced_once(feed: Feed) -> None:
    user = UserFactory.create()
    account, other = open_account(user=user), open_account(user=user, balance="10")
    reset = lambda: replace_account(account=AccountRef(account_id=account.pk))  # noqa: E731 - one call, many times

    outcomes = at_once(*[reset] * 4, lambda: send(other, account, "5"), lambda: send(account, other, "5"))

    replaced = [outcome for outcome in outcomes if not isinstance(outcome, int | Transfer)]
    assert len(replaced) == 1
    assert TradingAccount.objects.filter(predecessor=account).count() == 1
    assert TradingAccount.objects.filter(user=user, is_primary=True).count() == 1
    assert sum(cash_of(account, other)) == 10_010  # type: ignore[arg-type]
