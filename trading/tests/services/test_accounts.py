"""Opening, changing and closing accounts; their money comes from the ledger."""

from decimal import Decimal
from typing import Any

import pytest

from accounts import signals
from accounts.models import User
from accounts.services import sessions
from accounts.services.users import sign_up
from accounts.tests.client import some_email
from accounts.tests.factories import PASSWORD, UserFactory
from astrade.core import errors
from astrade.core.clock import system_clock
from marketdata.selectors import market_by_symbol
from trading.domain.lifecycle import Side
from trading.loading import AccountRef, read_account
from trading.models import CashBalance, Event, JournalEntry, MarketSetting, TradingAccount
from trading.services.accounts import close_account, open_practice_account, set_leverage, update_account
from trading.services.orders import cancel_orders
from trading.tests.conftest import Feed
from trading.tests.factories import D, open_account, place, ref

pytestmark = pytest.mark.django_db


def test_new_account_is_funded_by_the_faucet_in_the_ledger() -> None:
    account = open_account(balance="2500.5")

    entry = JournalEntry.objects.get(account=account)
    assert (entry.kind, entry.number, entry.reference) == ("deposit", 1, f"faucet:{account.uuid}")
    lines = entry.postings.order_by("line").values_list("ledger_account", "amount", "running_balance")
    assert list(lines) == [("cash", D("2500.5"), D("2500.5")), ("external", D("-2500.5"), None)]
    assert CashBalance.objects.get(account=account).balance == D("2500.5")
    event = Event.objects.get(account=account)
    assert (event.sequence, event.kind, event.data["balance"]) == (1, "balance_update", "2500.5")


def test_empty_account_has_no_entry_but_an_event() -> None:
    account = open_account(balance="0")

    assert not JournalEntry.objects.exists()
    assert Event.objects.get(account=account).data["equity"] == "0"


@pytest.mark.parametrize("balance", ["-1", "100000.01"])
def test_balance_within_limits(balance: str) -> None:
    with pytest.raises(errors.FundsLimitExceeded):
        open_account(balance=balance)
    assert not TradingAccount.objects.exists()


def test_first_account_is_primary_and_five_are_the_most() -> None:
    user = UserFactory.create()
    accounts = [open_account(user=user) for _ in range(5)]

    assert [account.is_primary for account in accounts] == [True, False, False, False, False]
    with pytest.raises(errors.FundsLimitExceeded) as refusal:
        open_account(user=user)
    assert refusal.value.details == {"accounts": 5, "max": 5}
    close_account(account=ref(accounts[4]))
    assert open_account(user=user).pk


def test_sign_up_opens_the_account_in_its_own_transaction() -> None:
    email = some_email()

    sign_up(email=email, password=PASSWORD, client=sessions.Client(), now=system_clock())

    account = TradingAccount.objects.get(user__email=email)
    assert (account.is_primary, account.venue, account.state) == (True, "practice", "active")
    assert CashBalance.objects.get(account=account).balance == 10_000


def test_sign_up_that_fails_leaves_neither_user_nor_account() -> None:
    email = some_email()

    def fail(**_: Any) -> None:
        raise RuntimeError

    signals.user_registered.connect(fail)
    try:
        with pytest.raises(RuntimeError):
            sign_up(email=email, password=PASSWORD, client=sessions.Client(), now=system_clock())
    finally:
        signals.user_registered.disconnect(fail)

    assert not User.objects.filter(email=email).exists()
    assert not TradingAccount.objects.exists()


def test_update_changes_what_is_named_and_counts_versions() -> None:
    account = open_account()

    changed = update_account(
        account=ref(account), now=system_clock(), changes={"name": "Swing", "max_leverage": 20}, version=1
    )

    assert (changed.name, changed.max_leverage, changed.version) == ("Swing", 20, 2)
    with pytest.raises(errors.VersionConflict) as refusal:
        update_account(account=ref(account), now=system_clock(), changes={"name": "Late"}, version=1)
    assert refusal.value.details == {"version": 2}
    account.refresh_from_db()
    assert account.name == "Swing"


def test_at_most_one_account_is_primary() -> None:
    first = open_account()
    second = open_account(user=first.user)

    update_account(account=ref(second), now=system_clock(), changes={"primary": True})

    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.is_primary, second.is_primary) == (False, True)
    assert read_account(AccountRef(user_id=first.user_id)).id == second.pk


def test_closing_hands_the_primary_place_on() -> None:
    first = open_account()
    second = open_account(user=first.user)

    closed = close_account(account=ref(first))

    second.refresh_from_db()
    assert (closed.state, closed.is_primary, second.is_primary) == ("closed", False, True)
    assert closed.closed_at is not None
    assert close_account(account=ref(first)).version == closed.version
    with pytest.raises(errors.AccountFrozen):
        update_account(account=ref(first), now=system_clock(), changes={"name": "x"})


def test_account_opened_after_the_last_one_was_closed_is_primary() -> None:
    only = open_account()
    close_account(account=ref(only))

    successor = open_account(user=only.user)

    assert successor.is_primary
    assert read_account(AccountRef(user_id=only.user_id)).id == successor.pk


def test_closing_waits_for_positions_and_orders(feed: Feed) -> None:
    account = open_account()
    place(account, "1")
    with pytest.raises(errors.OpenPositions):
        close_account(account=ref(account))
    place(account, "1", side=Side.SELL)
    place(account, price="95")
    with pytest.raises(errors.OpenPositions):
        close_account(account=ref(account))

    cancel_orders(account=ref(account))

    assert close_account(account=ref(account)).state == "closed"


def test_user_closes_only_once_nothing_is_open(feed: Feed) -> None:
    account = open_account()
    place(account, price="95")
    with pytest.raises(errors.OpenPositions):
        signals.user_closing.send(sender=User, user_id=account.user_id)

    cancel_orders(account=ref(account))
    signals.user_closing.send(sender=User, user_id=account.user_id)

    account.refresh_from_db()
    assert account.state == "closed"


# Leverage


def test_leverage_is_kept_per_market(feed: Feed) -> None:
    account, market = open_account(), market_by_symbol("BTC-USD")

    assert set_leverage(account=ref(account), market=market, leverage=5) == (5, 10)
    assert set_leverage(account=ref(account), market=market, leverage=7) == (7, 10)

    assert MarketSetting.objects.get(account=account).leverage == 7
    for leverage in (0, 11):
        with pytest.raises(errors.LeverageAboveLimit):
            set_leverage(account=ref(account), market=market, leverage=leverage)


def test_leverage_may_not_fall_below_what_is_open(feed: Feed) -> None:
    account, market = open_account(balance="1000"), market_by_symbol("BTC-USD")
    place(account, "30", price="95", leverage=5)  # 2,850 / 5 = 570

    with pytest.raises(errors.InsufficientMargin) as refusal:
        set_leverage(account=ref(account), market=market, leverage=2)

    assert Decimal(refusal.value.details["required"]) == 1425 - 570
    assert refusal.value.details["available"] == "430"
    assert set_leverage(account=ref(account), market=market, leverage=3) == (3, 10)


def test_closed_account_has_no_leverage_to_set(feed: Feed) -> None:
    account = open_account()
    close_account(account=ref(account))

    with pytest.raises(errors.AccountFrozen):
        set_leverage(account=ref(account), market=market_by_symbol("BTC-USD"), leverage=2)


def test_account_of_nobody_is_not_found() -> None:
    stranger, owner = open_account(), open_account()
    foreign = AccountRef(user_id=stranger.user_id, account_uuid=owner.uuid)

    for attempt in (
        lambda: update_account(account=foreign, now=system_clock(), changes={"name": "mine"}),
        lambda: close_account(account=foreign),
        lambda: read_account(foreign),
        lambda: read_account(AccountRef(user_id=0)),
    ):
        with pytest.raises(errors.NotFound):
            attempt()


def test_default_balance_comes_from_settings(settings: Any) -> None:
    settings.PRACTICE_INITIAL_BALANCE = "123.45"

    account = open_practice_account(user_id=UserFactory.create().pk)

    assert CashBalance.objects.get(account=account).balance == D("123.45")
