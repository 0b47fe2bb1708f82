"""Starting anew is no way around what protects a user: limits, what the day lost, cool-off, halts."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from astrade.core.clock import system_clock, to_ms
from trading.domain.limits import HaltScope, OwnLimit, first_limit
from trading.models import RiskDay, TradingAccount, TradingHalt
from trading.services.halts import HaltTarget, set_halt
from trading.services.risk_days import open_risk_day
from trading.tests.api.client import ORDER, Trader
from trading.tests.conftest import Feed
from trading.tests.factories import AT, D
from trading.tests.test_verification import superuser


@pytest.fixture
def trader(feed: Feed) -> Trader:
    """With a market around 100: a round trip of 10 loses about 54."""
    return Trader()


def lose(trader: Trader, account: str | None = None) -> None:
    """Buy at the asks, sell at the bids."""
    for side in ("buy", "sell"):
        named = {"X_Account_Id": account} if account else {}
        assert trader.api.post("/orders", {**ORDER, "side": side, "quantity": "10"}, **named).status == 201


def order(trader: Trader, account: str) -> Any:
    """A small one that adds risk."""
    return trader.api.post("/orders", {**ORDER, "quantity": "0.1"}, X_Account_Id=account)


def reset(trader: Trader, account: str | None = None) -> str:
    """The successor's id."""
    path = f"/accounts/{account}" if account else trader.path
    made = trader.api.post(f"{path}/reset")
    assert made.status == 201
    successor: str = made.data["account"]["id"]
    return successor


def lost(trader: Trader) -> Any:
    """What the account's cash says."""
    return 10_000 - D(trader.api.get("/account/balance").data["balance"])


def the_next_day(account: str) -> None:
    """What was today for this account is yesterday."""
    shift = timedelta(days=1)
    with superuser() as cursor:
        cursor.execute(
            "UPDATE trading_riskday SET starts_at = starts_at - %s, ends_at = ends_at - %s WHERE account_id = "
            "(SELECT id FROM trading_tradingaccount WHERE uuid = %s)",
            [shift, shift, account],
        )


def test_a_reset_does_not_bring_back_a_lost_day(trader: Trader) -> None:
    trader.api.patch(trader.path, {"max_daily_loss": "50"})
    lose(trader)
    day_lost = lost(trader)
    assert trader.place().error == (400, 3011)

    successor = reset(trader)

    assert trader.api.get("/account/balance").data["balance"] == "10000"
    refused = order(trader, successor)
    assert refused.error == (400, 3011)
    details = refused.content["error"]["details"]
    assert (D(details["loss"]), details["max_daily_loss"]) == (day_lost, "50")
    assert details["day_ends_at"] > to_ms(system_clock())
    assert order(trader, reset(trader, successor)).error == (400, 3011)  # nor does a second one


@pytest.mark.django_db(transaction=True)
def test_the_next_day_is_a_new_one(trader: Trader) -> None:
    trader.api.patch(trader.path, {"max_daily_loss": "50"})
    lose(trader)
    successor = reset(trader)
    assert order(trader, successor).error == (400, 3011)

    the_next_day(successor)

    assert order(trader, successor).status == 201


def test_what_was_lost_before_counts_towards_the_limit(trader: Trader) -> None:
    trader.api.patch(trader.path, {"max_daily_loss": "100"})
    lose(trader)
    successor = reset(trader)

    assert order(trader, successor).status == 201
    lose(trader, successor)

    assert order(trader, successor).error == (400, 3011)
    assert order(trader, reset(trader, successor)).error == (400, 3011)


def test_a_limit_that_is_set_afterwards_counts_the_whole_day(trader: Trader) -> None:
    lose(trader)
    successor = reset(trader)
    assert order(trader, successor).status == 201

    trader.api.patch(f"/accounts/{successor}", {"max_daily_loss": "50"})

    assert order(trader, successor).error == (400, 3011)


def test_the_days_volume_goes_on(trader: Trader) -> None:
    trader.api.patch(trader.path, {"max_daily_notional": "3000"})
    lose(trader)  # trades about 2,000

    refused = trader.api.post("/orders", {**ORDER, "quantity": "11"}, X_Account_Id=reset(trader))

    assert refused.error == (400, 3015)
    traded = TradingAccount.objects.get(pk=trader.account.pk).traded_notional
    assert D(refused.content["error"]["details"]["traded"]) == traded > 1900


def test_a_profit_is_not_passed_on(trader: Trader, feed: Feed) -> None:
    trader.api.patch(trader.path, {"max_daily_loss": "50"})
    trader.place(quantity="10", leverage=5)
    feed(bids=(("119", "1000"),), asks=(("121", "1000"),), sequence=2)
    trader.place(quantity="10", side="sell")
    successor = reset(trader)
    assert order(trader, successor).status == 201

    assert RiskDay.objects.get(account__uuid=successor).equity == 0


def test_a_reset_of_an_untouched_account_passes_nothing_on(trader: Trader) -> None:
    successor = reset(trader)
    assert not RiskDay.objects.exists()
    assert order(trader, successor).status == 201


def test_a_loosening_waits_as_long_on_the_successor(trader: Trader) -> None:
    trader.api.patch(trader.path, {"max_daily_loss": "100"})
    pending = trader.api.patch(trader.path, {"max_daily_loss": None}).data["pending_limits"]
    assert pending

    shown = trader.api.get(f"/accounts/{reset(trader)}").data

    assert (shown["max_daily_loss"], shown["pending_limits"]) == ("100", pending)


def test_a_cool_off_holds_on_the_successor(trader: Trader) -> None:
    trader.api.patch("/users/me", {"cool_off_until": to_ms(system_clock() + timedelta(hours=1))})
    assert order(trader, reset(trader)).error == (403, 3018)


def test_a_halt_of_the_account_holds_on_the_successor(trader: Trader) -> None:
    now = system_clock()
    ends = now + timedelta(hours=1)
    for reason, until in (("under review", ends), ("over", now + timedelta(microseconds=1))):
        set_halt(
            HaltTarget(HaltScope.ACCOUNT, account=trader.account), reason=reason, actor_id=None, now=now, until=until
        )

    successor = reset(trader)

    refused = order(trader, successor)
    assert refused.error == (503, 3017)
    assert refused.content["error"]["details"]["reason"] == "under review"
    assert [halt.until for halt in TradingHalt.objects.filter(account__uuid=successor)] == [ends]


# Opening another account


def opened(trader: Trader, **body: Any) -> Any:
    """A further account."""
    return trader.api.post("/accounts", body).data


def test_closing_and_opening_is_no_reset_of_the_day(trader: Trader) -> None:
    trader.api.patch(trader.path, {"max_daily_loss": "50"})
    lose(trader)
    assert trader.api.delete(trader.path).status == 200

    another = opened(trader)

    assert (another["max_daily_loss"], another["pending_limits"][0]["value"]) == ("50", None)
    assert order(trader, another["id"]).error == (400, 3011)


def test_an_account_beside_another_one_loosens_nothing_at_once(trader: Trader) -> None:
    trader.api.patch(trader.path, {"max_daily_loss": "50", "max_daily_notional": "900"})
    before = to_ms(system_clock())

    looser = opened(trader, max_daily_loss="60")
    tighter = opened(trader, max_daily_loss="40", max_daily_notional="800")

    assert (looser["max_daily_loss"], looser["max_daily_notional"]) == ("50", "900")
    pending = {entry["limit"]: entry for entry in looser["pending_limits"]}
    assert {name: entry["value"] for name, entry in pending.items()} == {
        "max_daily_loss": "60", "max_daily_notional": None,
    }  # fmt: skip
    assert pending["max_daily_loss"]["effective_at"] >= before + 24 * 60 * 60 * 1000
    assert (tighter["max_daily_loss"], tighter["max_daily_notional"]) == ("40", "800")
    assert tighter["pending_limits"] == []


def test_limits_of_an_account_that_closed_long_ago_are_forgotten(trader: Trader) -> None:
    trader.api.patch(trader.path, {"max_daily_loss": "50"})
    lose(trader)
    trader.api.delete(trader.path)
    TradingAccount.objects.filter(pk=trader.account.pk).update(closed_at=F("closed_at") - timedelta(hours=25))

    another = opened(trader)

    assert (another["max_daily_loss"], another["pending_limits"]) == (None, [])
    assert order(trader, another["id"]).status == 201
    assert not RiskDay.objects.filter(account__uuid=another["id"]).exists()


def test_the_largest_loss_of_those_closed_today_counts(trader: Trader) -> None:
    other = opened(trader)["id"]
    lose(trader)
    for _ in range(2):
        lose(trader, other)
    both = lost(trader), 10_000 - D(trader.api.get(f"/accounts/{other}").data["balance"])
    for account in (str(trader.account.uuid), other):
        assert trader.api.delete(f"/accounts/{account}").status == 200

    another = opened(trader)["id"]

    began = RiskDay.objects.get(account__uuid=another)
    assert (began.equity, began.net_deposits) == (max(both), 0)
    open_risk_day(began.account_id, user_id=trader.user.pk, now=system_clock())
    assert RiskDay.objects.filter(account__uuid=another).get() == began


def test_the_tightest_limit_as_it_stands_now() -> None:
    hour = timedelta(hours=1)
    others = [OwnLimit(None), OwnLimit(D(50)), OwnLimit(D(70)), OwnLimit(D(10), D(90), AT - hour)]

    assert first_limit(D(40), others=others, now=AT) == OwnLimit(D(40))
    assert first_limit(D(60), others=others, now=AT) == OwnLimit(D(50), D(60), AT + 24 * hour)
    assert first_limit(None, others=others, now=AT) == OwnLimit(D(50), None, AT + 24 * hour)
    assert first_limit(D(60), others=[OwnLimit(None)], now=AT) == OwnLimit(D(60))
    assert first_limit(None, others=[], now=AT) == OwnLimit(None)
