"""Requirement document 3, "Account Management" and "Ledger & Accounting", at `/api/accounts/…`."""

from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings

from trading.api import schemas
from trading.domain.lifecycle import EntryKind
from trading.models import TradingAccount
from trading.tests.api.client import Trader

PRINTED = {"name": "Test Account", "initial_balance": 5000, "is_demo": True, "max_leverage": 10}


def opened(trader: Trader, **changes: Any) -> dict[str, Any]:
    """An account as the document opens one, but for the changes."""
    answer = trader.api.post("/accounts", {**PRINTED, **changes})
    assert answer.status == 201
    data: dict[str, Any] = answer.data
    return data


def test_create_account_as_printed(tunicoin: Trader) -> None:
    account = opened(tunicoin)

    assert {name: account[name] for name in ("name", "is_demo", "max_leverage", "initial_balance", "balance")} == {
        "name": "Test Account", "is_demo": True, "max_leverage": 10, "initial_balance": "5000", "balance": "5000",
    }  # fmt: skip
    assert set(account) == set(schemas.AccountOut().fields)
    assert (account["venue"], account["state"], account["currency"]) == ("practice", "active", "USD")


def test_account_that_says_nothing_gets_the_defaults(tunicoin: Trader) -> None:
    account = tunicoin.api.post("/accounts", {}).data

    shown = {name: account[name] for name in (
        "name", "venue", "is_demo", "initial_balance", "max_leverage", "max_daily_loss", "simulator", "primary",
    )}  # fmt: skip
    assert shown == {
        "name": "Practice", "venue": "practice", "is_demo": True, "initial_balance": "10000", "max_leverage": 10,
        "max_daily_loss": None, "simulator": "realistic", "primary": False,
    }  # fmt: skip
    assert settings.PRACTICE_INITIAL_BALANCE == "10000"


def test_list_accounts_newest_first_and_by_page(tunicoin: Trader) -> None:
    second, third = opened(tunicoin, name="Second"), opened(tunicoin, name="Third")

    assert tunicoin.api.get("/accounts").data[:2] == [third, second]
    first_page = tunicoin.api.get("/accounts?limit=2")
    assert (first_page.data, first_page.content["pagination"]["count"]) == ([third, second], 2)
    cursor = first_page.content["pagination"]["cursor"]
    opened(tunicoin, name="Fourth")  # while the client reads on
    last_page = tunicoin.api.get(f"/accounts?limit=2&cursor={cursor}")
    assert [account["id"] for account in last_page.data] == [str(tunicoin.account.uuid)]
    assert last_page.content["pagination"] == {"cursor": None, "count": 1}
    assert tunicoin.api.get("/accounts?cursor=0").data == []


def test_get_account(tunicoin: Trader) -> None:
    account = opened(tunicoin)

    assert tunicoin.api.get(f"/accounts/{account['id']}").data == account
    assert tunicoin.api.get(f"/accounts/{uuid4()}").error == (404, 1002)


def test_account_fields_follow_what_is_open(tunicoin: Trader) -> None:
    """Balance is cash; equity adds what positions gained; margin is locked and free."""
    tunicoin.place(quantity="2", leverage=5)  # at 101 and 102, and the mark is 100

    account = tunicoin.api.get(tunicoin.path).data

    assert {name: account[name] for name in ("balance", "equity", "margin_used", "margin_available")} == {
        "balance": "9999.797", "equity": "9996.797", "margin_used": "40", "margin_available": "9956.797",
    }  # fmt: skip
    assert account["initial_balance"] == "10000"


def test_delete_account_is_soft_and_waits_for_open_positions(tunicoin: Trader) -> None:
    tunicoin.place()
    assert tunicoin.api.delete(tunicoin.path).error == (409, 4005)
    tunicoin.api.post(f"{tunicoin.path}/positions/close", {"symbol": "BTC-USD"})

    assert tunicoin.api.delete(tunicoin.path).data["state"] == "closed"
    assert tunicoin.api.get(tunicoin.path).data["state"] == "closed"
    assert len(tunicoin.api.get(f"{tunicoin.path}/orders").data) == 2


@pytest.mark.parametrize("leverage", [1, 100])
def test_leverage_is_limited_to_between_one_and_a_hundred(tunicoin: Trader, leverage: int) -> None:
    assert opened(tunicoin, max_leverage=leverage)["max_leverage"] == leverage
    beyond = 0 if leverage == 1 else 101
    assert tunicoin.api.post("/accounts", {**PRINTED, "max_leverage": beyond}).error == (400, 1001)


def test_a_live_account_is_never_made_with_a_balance(tunicoin: Trader) -> None:
    for body in ({**PRINTED, "is_demo": False}, {"is_demo": False}, {"venue": "extended", "initial_balance": 5000}):
        assert tunicoin.api.post("/accounts", body).error == (400, 1001)
    assert TradingAccount.objects.count() == 1


def test_initial_balance_is_capped_and_practice_accounts_are_five(tunicoin: Trader) -> None:
    assert tunicoin.api.post("/accounts", {**PRINTED, "initial_balance": "100000.01"}).error == (400, 4003)
    for balance in ("100000", "0", "1", "1"):
        assert opened(tunicoin, initial_balance=balance)["initial_balance"] == balance
    assert tunicoin.api.post("/accounts", PRINTED).error == (400, 4003)


def test_venue_and_simulator_are_spelled_in_any_case(tunicoin: Trader) -> None:
    assert opened(tunicoin, venue="Practice", simulator="CLASSIC")["simulator"] == "classic"


def test_max_daily_loss_is_kept_and_enforced(tunicoin: Trader) -> None:
    """That it stops orders: `trading/tests/api/test_risk.py`."""
    assert opened(tunicoin, max_daily_loss=100)["max_daily_loss"] == "100"


def test_opening_writes_the_first_ledger_entry(tunicoin: Trader) -> None:
    path = f"/accounts/{opened(tunicoin)['id']}/ledger"

    (line,) = tunicoin.api.get(path).data

    assert {name: line[name] for name in ("number", "kind", "asset", "amount", "running_balance")} == {
        "number": 1, "kind": "deposit", "asset": "USD", "amount": "5000", "running_balance": "5000",
    }  # fmt: skip


def test_ledger_knows_the_documents_six_entry_types() -> None:
    printed = {"deposit", "withdrawal", "trade_pnl", "commission", "funding", "adjustment"}
    assert printed <= {kind.value for kind in EntryKind}


def test_ledger_is_the_transaction_history_by_page(tunicoin: Trader) -> None:
    tunicoin.place()
    tunicoin.place(side="sell")

    lines = tunicoin.api.get(f"{tunicoin.path}/ledger").data

    assert [(line["kind"], line["amount"]) for line in lines] == [
        ("commission", "-0.099"), ("trade_pnl", "-2"), ("commission", "-0.101"), ("deposit", "10000"),
    ]  # fmt: skip
    assert [line["number"] for line in tunicoin.api.get(f"{tunicoin.path}/ledger?limit=2").data] == [4, 3]


def test_reset_closes_the_account_and_opens_its_successor(tunicoin: Trader) -> None:
    tunicoin.place()

    answer = tunicoin.api.post(f"{tunicoin.path}/reset")

    assert answer.status == 201
    successor = answer.data["account"]
    assert (successor["initial_balance"], successor["balance"], successor["primary"]) == ("10000", "10000", True)
    assert answer.data["predecessor_id"] == str(tunicoin.account.uuid)
    assert tunicoin.api.get(tunicoin.path).data["state"] == "closed"
