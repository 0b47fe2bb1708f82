"""Every constraint of trading's tables, broken with plain SQL: what stands when a lock or a line of code is missing."""

from typing import Any

import orjson
import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction

from trading.domain.lifecycle import Side
from trading.models import EquitySnapshot, TradingAccount
from trading.tests.conftest import Feed
from trading.tests.factories import open_account, place

Changes = dict[str, Any]
NEW = "11111111-2222-3333-4444-555555555555"
# Another row like an existing one, but for these columns; ids are always new.
COPIES: dict[str, tuple[str, Changes]] = {
    "account_one_primary_a_user": ("tradingaccount", {"uuid": NEW}),
    "account_leverage_in_range": ("tradingaccount", {"uuid": NEW, "is_primary": False, "max_leverage": 101}),
    "cash_balance_once": ("cashbalance", {}),
    "market_setting_once": ("marketsetting", {}),
    "market_setting_leverage_in_range": ("marketsetting", {"market_id": -1, "leverage": 0}),
    "equity_snapshot_once": ("equitysnapshot", {}),
    "event_sequence_once": ("event", {}),
    "entry_number_once": ("journalentry", {"uuid": NEW}),
    "posting_line_once": ("posting", {"asset": "EUR"}),
    "posting_one_cash_line": ("posting", {"line": 3}),
    "posting_moves_something": ("posting", {"asset": "EUR", "line": 3, "amount": 0}),
    "posting_running_balance_on_cash_only": ("posting", {"asset": "EUR", "line": 3, "ledger_account": "fees"}),
    "order_client_order_id_once": ("order", {"uuid": NEW, "number": 99}),
    "order_number_once": ("order", {"uuid": NEW, "client_order_id": "other"}),
    "order_not_overfilled": ("order", {"uuid": NEW, "number": 99, "client_order_id": "other", "filled_quantity": 99}),
    "order_quantity_positive": (
        "order",
        {"uuid": NEW, "number": 99, "client_order_id": "other", "quantity": 0, "filled_quantity": 0},
    ),
    "fill_booked_once": ("fill", {"number": 99}),
    "fill_number_once": ("fill", {"venue_trade_id": "other"}),
    "fill_positive": ("fill", {"number": 99, "venue_trade_id": "other", "price": 0}),
    "position_one_a_market": ("position", {"uuid": NEW}),
    "position_uuid_once": ("position", {"market_id": -1}),
    "position_entry_notional_not_negative": ("position", {"uuid": NEW, "market_id": -1, "entry_notional": -1}),
    "position_flat_holds_no_entry_notional": ("position", {"uuid": NEW, "market_id": -1, "quantity": 0}),
    "closed_position_number_once": ("closedposition", {"uuid": NEW}),
}


@pytest.fixture
def rows(feed: Feed) -> TradingAccount:
    """A row in every table: a position that was closed, and one that is open."""
    account = open_account()
    place(account, "1", leverage=2, client_order_id="first")
    place(account, "1", side=Side.SELL, client_order_id="second")
    place(account, "1", client_order_id="third")
    EquitySnapshot.objects.create(account=account, at=account.created_at, balance=0, equity=0)
    return account


def copy(table: str, changes: Changes) -> None:
    """The oldest row of a table once more, under a new id, with `changes`."""
    text = f"""
        INSERT INTO trading_{table}
        SELECT (jsonb_populate_record(old, %s::jsonb)).* FROM trading_{table} old ORDER BY old.id LIMIT 1"""
    with connection.cursor() as cursor:
        cursor.execute(text, [orjson.dumps({"id": 2**40, **changes}).decode()])


@pytest.mark.parametrize("name", COPIES)
def test_the_database_refuses_it(rows: TradingAccount, name: str) -> None:
    table, changes = COPIES[name]
    with pytest.raises(IntegrityError) as raised, transaction.atomic():
        copy(table, changes)
    cause: Any = raised.value.__cause__
    assert cause.diag.constraint_name == name


def test_no_constraint_is_left_out() -> None:
    named = {
        constraint.name
        for model in apps.get_app_config("trading").get_models()
        for constraint in model._meta.constraints
    }
    assert named == set(COPIES)
