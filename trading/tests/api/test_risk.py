"""Limits that hold back risk, over HTTP: set by the owner, shown, and in force for the next order."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from astrade.core.clock import system_clock, to_ms
from marketdata.models import Market
from marketdata.selectors import forget_markets
from marketdata.services import change_rules
from trading.api import schemas
from trading.models import OrderRefusal, RiskDay, TradingAccount
from trading.tests.api.client import ORDER, Trader
from trading.tests.conftest import Feed
from trading.tests.factories import D

DAY_MS = 24 * 60 * 60 * 1000
CRASHED: dict[str, Any] = {"bids": (("79", "1000"),), "asks": (("81", "1000"),)}


@pytest.fixture
def trader(feed: Feed) -> Trader:
    """With a market around 100."""
    return Trader()


def test_daily_loss_blocks_what_adds_risk_and_never_a_reduction(trader: Trader, feed: Feed) -> None:
    trader.api.patch(trader.path, {"max_daily_loss": "50"})
    trader.place(quantity="3", leverage=5)  # 101 + 102 + 102, fee 0.305
    assert trader.place(quantity="0.001").status == 201
    trader.place(quantity="0.001", side="sell")
    feed(sequence=2, **CRASHED)

    refused = trader.place()

    assert refused.error == (400, 3011)
    details = refused.content["error"]["details"]
    day = RiskDay.objects.get(account=trader.account)
    assert details["max_daily_loss"] == "50"
    assert details["day_ends_at"] == to_ms(day.ends_at)
    balance = trader.api.get("/account/balance").data
    assert D(details["loss"]) == 10_000 - D(balance["equity"]) > 50
    assert OrderRefusal.objects.get(account=trader.account).figures == details
    assert trader.rest(price="79").error == (400, 3011)
    assert trader.place(side="sell", quantity="4").error == (400, 3011)
    assert trader.place(side="sell").data["status"] == "filled"
    assert trader.api.post(f"{trader.path}/positions/close", {"symbol": "BTC-USD"}).data["status"] == "filled"
    assert trader.place().error == (400, 3011)
    feed(sequence=3)
    assert trader.place().error == (400, 3011)  # realised now: a better market doesn't bring it back


def test_preview_names_the_daily_loss_too(trader: Trader, feed: Feed) -> None:
    trader.place(quantity="3", leverage=5)
    trader.api.patch(trader.path, {"max_daily_loss": "50"})
    feed(sequence=2, **CRASHED)

    preview = trader.api.post("/orders/preview", ORDER)

    assert preview.data["refusal"]["code"] == 3011
    assert not OrderRefusal.objects.exists()


def test_trading_cap_counts_the_day(trader: Trader) -> None:
    trader.place()  # 101, before there was a cap
    trader.api.patch(trader.path, {"max_daily_notional": "300"})

    assert trader.place(quantity="1.991").error == (400, 3015)  # at the mark, 100
    assert trader.rest(price="99").status == 201
    refused = trader.place(quantity="1.001")
    assert refused.error == (400, 3015)
    assert refused.content["error"]["details"] == {
        "traded": "101", "open_orders": "99", "order": "100.1", "max_daily_notional": "300",
    }  # fmt: skip
    assert trader.place(side="sell").data["status"] == "filled"


def test_position_limit_of_the_market(trader: Trader, market: Market) -> None:
    change_rules(market.pk, changes={"max_position_notional": D(250)}, at=system_clock(), actor_id=None)
    forget_markets()
    trader.place()
    trader.rest(price="99")

    refused = trader.place(quantity="0.501")

    assert refused.error == (400, 3012)
    assert refused.content["error"]["details"] == {
        "position": "100", "open_orders": "100", "order": "50.1", "max_position": "250",
    }  # fmt: skip
    assert trader.place(quantity="0.5").status == 201


def test_cool_off_blocks_increases_on_every_account(trader: Trader) -> None:
    trader.place(quantity="2")
    trader.rest(client_order_id="resting")
    until = to_ms(system_clock() + timedelta(hours=1))
    other = trader.api.post("/accounts", {"name": "Other"}).data["id"]
    trader.api.patch("/users/me", {"cool_off_until": until})

    for refused in (
        trader.api.post("/orders", ORDER),
        trader.api.post("/orders", ORDER, X_Account_Id=other),
        trader.with_key("read", "trade").post("/orders", ORDER),
    ):
        assert refused.error == (403, 3018)
        assert refused.content["error"]["details"] == {"cool_off_until": until}
    assert trader.place(side="sell").data["status"] == "filled"
    assert [order["status"] for order in trader.api.delete("/orders").data] == ["cancelled"]


# The owner's limits


def limits_of(trader: Trader) -> tuple[Any, Any]:
    """The loss limit in force, and what is pending."""
    shown = trader.api.get(trader.path).data
    return shown["max_daily_loss"], shown["pending_limits"]


def test_loosening_is_pending_shown_and_cancellable(trader: Trader) -> None:
    assert limits_of(trader) == (None, [])
    changed = trader.api.patch(trader.path, {"max_daily_loss": "100"})
    assert (changed.data["max_daily_loss"], changed.data["pending_limits"]) == ("100", [])
    assert set(changed.data) == set(schemas.AccountOut().fields)

    before = to_ms(system_clock())
    pending = trader.api.patch(trader.path, {"max_daily_loss": "200", "max_daily_notional": "5000"}).data
    (next_limit,) = pending["pending_limits"]
    assert set(next_limit) == set(schemas.PendingLimitOut().fields)
    assert (pending["max_daily_loss"], pending["max_daily_notional"]) == ("100", "5000")
    assert (next_limit["limit"], next_limit["value"]) == ("max_daily_loss", "200")
    assert before + DAY_MS <= next_limit["effective_at"] <= to_ms(system_clock()) + DAY_MS

    assert trader.api.patch(trader.path, {"max_daily_loss": "100"}).data["pending_limits"] == []
    removal = trader.api.patch(trader.path, {"max_daily_loss": None, "max_daily_notional": None}).data
    assert removal["max_daily_loss"] == "100"
    assert {(entry["limit"], entry["value"]) for entry in removal["pending_limits"]} == {
        ("max_daily_loss", None), ("max_daily_notional", None),
    }  # fmt: skip
    assert trader.api.patch(trader.path, {"name": "Same"}).data["pending_limits"] == removal["pending_limits"]


def test_what_was_pending_holds_a_day_later(trader: Trader, feed: Feed) -> None:
    trader.api.patch(trader.path, {"max_daily_loss": "1"})
    trader.api.patch(trader.path, {"max_daily_loss": "5000"})
    trader.place(quantity="3", leverage=5)
    feed(sequence=2, **CRASHED)
    assert trader.place().error == (400, 3011)
    a_day_passes(trader)

    assert limits_of(trader) == ("5000", [])
    assert trader.place().status == 201


def a_day_passes(trader: Trader) -> None:
    """For what the owner asked for."""
    owned = TradingAccount.objects.filter(pk=trader.account.pk)
    owned.update(max_daily_loss_next_at=F("max_daily_loss_next_at") - timedelta(hours=24))


def test_limits_are_given_when_an_account_is_opened(trader: Trader) -> None:
    opened = trader.api.post("/accounts", {"max_daily_loss": "10.5", "max_daily_notional": "999"}).data
    assert (opened["max_daily_loss"], opened["max_daily_notional"], opened["pending_limits"]) == ("10.5", "999", [])


@pytest.mark.parametrize("name", ["max_daily_loss", "max_daily_notional"])
@pytest.mark.parametrize("value", ["0", "-1", "NaN", "1e30", True, []])
def test_limits_that_are_none(trader: Trader, name: str, value: Any) -> None:
    assert trader.api.patch(trader.path, {name: value}).error == (400, 1001)
    assert trader.api.post("/accounts", {name: value}).error == (400, 1001)
