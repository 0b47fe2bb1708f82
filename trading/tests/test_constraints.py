"""Every constraint of trading's tables, broken with plain SQL: what stands when a lock or a line of code is missing."""

from typing import Any

import orjson
import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction

from marketdata.selectors import market_by_symbol
from trading.models import TradingAccount
from trading.services.accounts import set_leverage
from trading.tests.conftest import Feed
from trading.tests.everything import account_with_everything
from trading.tests.factories import ref

Changes = dict[str, Any]
NEW, NEWER = "11111111-2222-3333-4444-555555555555", "11111111-2222-3333-4444-666666666666"
LONG_AGO = "2000-01-01T00:00:00Z"
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
    "prepared_order_nonce_once": ("preparedorder", {"uuid": NEW}),
    "prepared_order_hash_shape": ("preparedorder", {"uuid": NEW, "nonce": 2, "hash": "12"}),
    "fill_booked_once": ("fill", {"number": 99}),
    "fill_number_once": ("fill", {"venue_trade_id": "other"}),
    "fill_positive": ("fill", {"number": 99, "venue_trade_id": "other", "price": 0}),
    "position_one_a_market": ("position", {"uuid": NEW}),
    "position_uuid_once": ("position", {"market_id": -1}),
    "position_entry_notional_not_negative": ("position", {"uuid": NEW, "market_id": -1, "entry_notional": -1}),
    "position_flat_holds_no_entry_notional": ("position", {"uuid": NEW, "market_id": -1, "quantity": 0}),
    "closed_position_number_once": ("closedposition", {"uuid": NEW}),
    "adjustment_decided_by_somebody_else": (
        "adjustmentproposal",
        {"uuid": NEW, "state": "rejected", "decided_at": LONG_AGO, "decided_by_id": 1, "proposed_by_id": 1},
    ),
    "adjustment_decided_as_its_state_says": ("adjustmentproposal", {"uuid": NEW, "state": "approved"}),
    "account_latency_in_range": (
        "tradingaccount",
        {"uuid": NEW, "is_primary": False, "predecessor_id": None, "simulated_latency_ms": 5001},
    ),
    "hold_once_a_reference": ("hold", {"uuid": NEW}),
    "hold_binds_something": ("hold", {"uuid": NEW, "reference": "other", "amount": 0}),
    "hold_ended_as_its_state_says": ("hold", {"uuid": NEW, "reference": "other", "state": "released"}),
    "adjustment_moves_something": ("adjustmentproposal", {"uuid": NEW, "amount": 0}),
    "transfer_moves_something": ("transfer", {"uuid": NEW, "amount": 0}),
    "transfer_between_two_accounts": ("transfer", {"uuid": NEW, "from_account_id": 1, "to_account_id": 1}),
    "deposit_moves_something": ("deposit", {"uuid": NEW, "amount": 0}),
    "twap_plan_in_range": ("twapplan", {"jitter": "0.6"}),
    "twap_slices_counted": ("twapplan", {"executed_slices": 1}),
    "twap_paused_is_not_due": ("twapplan", {"paused_at": LONG_AGO}),
    "order_trigger_complete": ("order", {"uuid": NEW, "trigger_price": 1}),
    "order_protective_only_reduces": ("order", {"uuid": NEW, "role": "stop_loss"}),
    "position_flat_is_not_protected": (
        "position",
        {"uuid": NEW, "market_id": -1, "quantity": 0, "entry_notional": 0, "stop_loss": 1},
    ),
    "liquidation_amounts_not_negative": ("liquidation", {"fee": -1}),
    "funding_payment_once": ("fundingpayment", {"uuid": NEW}),
    "funding_hour_once": ("fundinghour", {}),
    "halt_names_what_it_stops": ("tradinghalt", {"uuid": NEW, "scope": "global"}),
    "halt_has_reason": ("tradinghalt", {"uuid": NEW, "reason": ""}),
    "halt_ends_later": ("tradinghalt", {"uuid": NEW, "until": LONG_AGO}),
    "risk_day_once": ("riskday", {}),
    "risk_day_ends_later": ("riskday", {"ends_at": LONG_AGO}),
    "balance_root_counts": ("balanceroot", {"number": 99, "accounts": 0}),
    "venue_order_external_id_once": ("venueorder", {"order_id": -1, "nonce": 2}),
    "venue_order_nonce_once": ("venueorder", {"order_id": -1, "external_id": "other"}),
    "prepared_withdrawal_nonce_once": (
        "preparedwithdrawal",
        {"uuid": NEW, "withdrawal_id": None, "signature_r": None, "signature_s": None},
    ),
    "prepared_withdrawal_hash_shape": (
        "preparedwithdrawal",
        {"uuid": NEW, "nonce": 2, "hash": "12", "withdrawal_id": None, "signature_r": None, "signature_s": None},
    ),
    "prepared_withdrawal_is_signed": ("preparedwithdrawal", {"uuid": NEW, "nonce": 2, "withdrawal_id": None}),
    "venue_message_once": ("venuemessage", {}),
    "case_open_once": ("case", {}),
    "withdrawal_address_once": ("withdrawaladdress", {"uuid": NEW}),
    "withdrawal_address_canonical": ("withdrawaladdress", {"uuid": NEW, "address": "0x0abc"}),
    "withdrawal_address_network_known": ("withdrawaladdress", {"uuid": NEW, "network": "devnet"}),
    "withdrawal_moves_something": ("withdrawal", {"uuid": NEW, "nonce": 2, "amount": 0}),
    "withdrawal_decided_by_somebody_else": (
        "withdrawal",
        {"uuid": NEW, "nonce": 2, "state": "approved", "requested_by_id": 1, "decided_by_id": 1},
    ),
    "withdrawal_nonce_once": ("withdrawal", {"uuid": NEW, "venue_movement_id": "5"}),
    "withdrawal_one_unanswered_an_account": ("withdrawal", {"uuid": NEW, "nonce": 2}),
    "withdrawal_settled_by_an_entry": ("withdrawal", {"uuid": NEW, "nonce": 2, "state": "settled"}),
    "withdrawal_cancelled_was_not_sent": ("withdrawal", {"uuid": NEW, "nonce": 2, "state": "cancelled"}),
    "withdrawal_approved_by_somebody": ("withdrawal", {"uuid": NEW, "nonce": 2, "state": "approved"}),
    "venue_transfer_moves_something": ("venuetransfer", {"uuid": NEW, "transfer_id": -1, "nonce": 2, "amount": 0}),
    "venue_transfer_nonce_once": ("venuetransfer", {"uuid": NEW, "transfer_id": -1, "venue_movement_id": "5"}),
    "venue_transfer_one_unanswered_an_account": ("venuetransfer", {"uuid": NEW, "transfer_id": -1, "nonce": 2}),
    "venue_transfer_settled_by_an_entry": (
        "venuetransfer",
        {"uuid": NEW, "transfer_id": -1, "nonce": 2, "state": "settled"},
    ),
    "venue_movement_once": ("venuemovement", {}),
    "venue_movement_booked_when_completed": ("venuemovement", {"movement_id": "2", "entry_id": 1}),
}
# The same, where the first copy is well and the second one too many.
TWICE: dict[str, tuple[str, Changes, Changes]] = {
    "entry_adjustment_once": (
        "journalentry",
        {"uuid": NEW, "number": 98, "kind": "adjustment"},
        {"uuid": NEWER, "number": 99, "kind": "adjustment"},
    ),
    "order_venue_order_id_once": (
        "order",
        {"uuid": NEW, "number": 98, "client_order_id": "one", "venue_order_id": 5},
        {"uuid": NEWER, "number": 99, "client_order_id": "other", "venue_order_id": 5},
    ),
    "withdrawal_venue_id_once": (
        "withdrawal",
        {"uuid": NEW, "nonce": 2, "venue_movement_id": "5"},
        {"uuid": NEWER, "nonce": 3, "venue_movement_id": "5"},
    ),
    "venue_transfer_venue_id_once": (
        "venuetransfer",
        {"uuid": NEW, "transfer_id": -1, "nonce": 2, "venue_movement_id": "5"},
        {"uuid": NEWER, "transfer_id": -2, "nonce": 3, "venue_movement_id": "5"},
    ),
    "adjustment_one_reversal_an_entry": (
        "adjustmentproposal",
        {"uuid": NEW, "reverses_id": 1},
        {"uuid": NEWER, "reverses_id": 1},
    ),
}


@pytest.fixture
def rows(feed: Feed) -> TradingAccount:
    """A row in every table: a position that was closed, and one that is open."""
    account = account_with_everything()
    set_leverage(account=ref(account), market=market_by_symbol("BTC-USD"), leverage=2)
    return account


def copy(table: str, changes: Changes, *, row_id: int = 2**40) -> None:
    """The oldest row of a table once more, under a new id, with `changes`."""
    key = apps.get_model("trading", table)._meta.pk.column
    text = f"""
        INSERT INTO trading_{table}
        SELECT (jsonb_populate_record(old, %s::jsonb)).* FROM trading_{table} old ORDER BY old.{key} LIMIT 1"""
    with connection.cursor() as cursor:
        cursor.execute(text, [orjson.dumps({"id": row_id, **changes}).decode()])


@pytest.mark.parametrize("name", COPIES)
def test_the_database_refuses_it(rows: TradingAccount, name: str) -> None:
    table, changes = COPIES[name]
    with pytest.raises(IntegrityError) as raised, transaction.atomic():
        copy(table, changes)
    cause: Any = raised.value.__cause__
    assert cause.diag.constraint_name == name


@pytest.mark.parametrize("name", TWICE)
def test_the_database_refuses_it_the_second_time(rows: TradingAccount, name: str) -> None:
    table, first, second = TWICE[name]
    with pytest.raises(IntegrityError) as raised, transaction.atomic():
        copy(table, first)
        copy(table, second, row_id=2**41)
    cause: Any = raised.value.__cause__
    assert cause.diag.constraint_name == name


def test_no_constraint_is_left_out() -> None:
    named = {
        constraint.name
        for model in apps.get_app_config("trading").get_models()
        for constraint in model._meta.constraints
    }
    assert named == set(COPIES) | set(TWICE)
