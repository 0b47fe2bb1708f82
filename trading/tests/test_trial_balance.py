"""The trial balance: sums by ledger account, nothing left over, and what is off is named."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from trading.domain.lifecycle import Side
from trading.models import TradingAccount
from trading.tests.backdating import backdate
from trading.tests.conftest import Feed
from trading.tests.factories import D, open_account, place
from trading.tests.test_verification import superuser
from trading.trial_balance import Holding, trial_balance

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def account(transactional_db: None, feed: Feed) -> TradingAccount:
    """10,000, bought 1 for 101 and sold it for 99 an hour later, with fees of 0.101 and 0.099; another one has 5."""
    account = open_account()
    place(account, "1")
    place(account, "1", side=Side.SELL)
    backdate(account, NOON, NOON + HOUR, NOON + 2 * HOUR, NOON + 2 * HOUR)
    backdate(open_account(balance="5"), NOON + HOUR)
    return account


def summed(at: datetime | None = None) -> dict[str, tuple[str, int]]:
    """Amount and number of postings by ledger account."""
    return {row.ledger_account: (str(row.amount.normalize()), row.postings) for row in trial_balance(at=at).holdings}


def printed(*arguments: str) -> tuple[int, str]:
    """Exit code and output of the command."""
    output = StringIO()
    try:
        call_command("trial_balance", *arguments, stdout=output)
    except SystemExit as ended:
        return int(ended.code or 0), output.getvalue()
    return 0, output.getvalue()


def test_every_ledger_account_is_summed_and_all_of_them_are_zero(account: TradingAccount) -> None:
    balance = trial_balance()

    assert balance.holdings == [
        Holding("USD", "cash", D("10002.8"), 5),
        Holding("USD", "external", D(-10_005), 2),
        Holding("USD", "fees", D("0.2"), 2),
        Holding("USD", "trading", D(2), 1),
    ]
    assert (balance.totals, balance.differences, balance.is_sound) == ({"USD": 0}, [], True)


def test_an_earlier_moment_is_what_was_booked_before_it(account: TradingAccount) -> None:
    assert trial_balance(at=NOON).holdings == []
    assert summed(NOON + HOUR) == {"cash": ("1E+4", 1), "external": ("-1E+4", 1)}
    assert summed(NOON + HOUR + timedelta(microseconds=1)) == {
        "cash": ("10004.899", 3),
        "external": ("-10005", 2),
        "fees": ("0.101", 1),
    }
    assert trial_balance(at=NOON + 3 * HOUR).holdings == trial_balance().holdings


def test_command_prints_the_sums(account: TradingAccount) -> None:
    code, text = printed()
    rows = [line.split() for line in text.splitlines()]
    assert code == 0
    assert rows[:5] == [
        ["USD", "cash", "10002.8", "5"],
        ["USD", "external", "-10005", "2"],
        ["USD", "fees", "0.2", "2"],
        ["USD", "trading", "2", "1"],
        ["USD", "total", "0"],
    ]
    assert "10 postings" in text
    for at in ("2026-03-01T13:00:00", "2026-03-01T14:00:00+01:00"):
        code, text = printed("--at", at)
        assert (code, text.splitlines()[0].split()) == (0, ["USD", "cash", "10000", "1"])
    with pytest.raises(CommandError, match="no ISO date"):
        call_command("trial_balance", "--at", "soon")


CASH = "UPDATE trading_cashbalance SET balance = balance + 0.000000000000000001 WHERE account_id = %s"
OF_ENTRY = "(SELECT id FROM trading_journalentry WHERE account_id = %s AND number = 2)"
FEES = f"UPDATE trading_posting SET amount = amount + 1 WHERE ledger_account = 'fees' AND entry_id = {OF_ENTRY}"
ASSET = f"UPDATE trading_posting SET asset = 'EUR' WHERE ledger_account = 'fees' AND entry_id = {OF_ENTRY}"
BOTH = f"UPDATE trading_posting SET amount = amount * 2 WHERE entry_id = {OF_ENTRY}"
RUNNING = f"UPDATE trading_posting SET running_balance = 0 WHERE ledger_account = 'cash' AND entry_id = {OF_ENTRY}"


@pytest.mark.parametrize(
    ("statement", "at", "told"),
    [
        (CASH, [], "USD balance 9997.800000000000000001 is not the sum of postings 9997.8"),
        (FEES, [], "total                                               1  is not zero"),
        (FEES, ["--at", "2026-03-02"], "1  is not zero"),
        (ASSET, [], "EUR      total                                           0.101  is not zero"),
        (BOTH, [], "USD balance 9997.8"),
        (BOTH, ["--at", "2026-03-02"], "after entry 4 is not the sum of postings"),
        (RUNNING, ["--at", "2026-03-01T13:30"], "USD balance 0.000000000000000000 after entry 2"),
    ],
    ids=["cached balance", "one side", "one side then", "asset", "both sides", "both sides then", "running then"],
)
def test_whatever_is_off_is_named_and_fails(account: TradingAccount, statement: str, at: list[str], told: str) -> None:
    with superuser() as cursor:
        cursor.execute(statement, [account.pk])

    code, text = printed(*at)

    assert code == 1
    assert told in text
    assert "is not zero" in text or str(account.uuid) in text
    assert "everything sums" not in text


def test_what_was_tampered_with_later_leaves_an_earlier_moment_sound(account: TradingAccount) -> None:
    with superuser() as cursor:
        cursor.execute(RUNNING, [account.pk])

    assert trial_balance(at=NOON + HOUR).is_sound
    assert not trial_balance(at=NOON + HOUR + timedelta(seconds=1)).is_sound
