"""What the database refuses whoever asks: rows that must be there once, rows that can't be true, history.

Each forgery copies or changes a row of the example's accounts in a way that one constraint alone objects to, and is
rolled back whatever comes of it.
"""

from dataclasses import dataclass

from django.db import DatabaseError, connection, transaction

from trading.tests.machine.world import World

ANEW = "'id', -1, 'uuid', gen_random_uuid()"
AWARDED = f"{ANEW}, 'precedence', -x.id - 1000000000"
OF_ACCOUNT = "x.account_id = ANY(%s)"
OF_ENTRY = "x.entry_id IN (SELECT id FROM trading_journalentry WHERE account_id = ANY(%s))"
OF_USER = "x.user_id IN (SELECT user_id FROM trading_tradingaccount WHERE id = ANY(%s))"
OF_OTHERS = f"{OF_ENTRY} AND x.ledger_account <> 'cash'"
OF_SENDER = "x.from_account_id = ANY(%s)"


@dataclass(frozen=True, slots=True)
class Forgery:
    """A statement, and what must object to it: a constraint, or whatever guards history."""

    name: str
    statement: str


def copy(name: str, table: str, changes: str, where: str = OF_ACCOUNT) -> Forgery:
    """A second row like one that is there, but for `changes` (pairs of JSON)."""
    row = f"(jsonb_populate_record(NULL::{table}, to_jsonb(x) || jsonb_build_object({changes}))).*"
    return Forgery(name, f"INSERT INTO {table} SELECT {row} FROM {table} x WHERE {where} ORDER BY x.id DESC LIMIT 1")


def change(name: str, table: str, assignment: str, where: str = OF_ACCOUNT, also: str = "true") -> Forgery:
    """A row that is there, with other values."""
    chosen = f"SELECT x.id FROM {table} x WHERE {where} AND {also} ORDER BY x.id DESC LIMIT 1"
    return Forgery(name, f"UPDATE {table} SET {assignment} WHERE id IN ({chosen})")


HISTORY = ("journalentry", "event", "fill", "fundingpayment")
FORGERIES = (
    copy("order_client_order_id_once", "trading_order", f"{ANEW}, 'number', x.number + 100000"),
    copy("order_number_once", "trading_order", f"{ANEW}, 'client_order_id', 'forged'"),
    copy("fill_booked_once", "trading_fill", f"{ANEW}, 'number', x.number + 100000"),
    copy("fill_number_once", "trading_fill", f"{ANEW}, 'venue_trade_id', 'forged'"),
    copy("position_one_a_market", "trading_position", ANEW),
    copy("position_uuid_once", "trading_position", "'id', -1, 'market_id', -1"),
    copy("closed_position_number_once", "trading_closedposition", ANEW),
    copy("entry_number_once", "trading_journalentry", f"{ANEW}, 'kind', 'bonus'"),
    copy(
        "entry_adjustment_once",
        "trading_journalentry",
        f"{ANEW}, 'number', x.number + 100000",
        f"{OF_ACCOUNT} AND x.kind = 'adjustment'",
    ),
    copy("posting_line_once", "trading_posting", "'id', -1", OF_OTHERS),
    copy(
        "posting_one_cash_line", "trading_posting", "'id', -1, 'line', 9", f"{OF_ENTRY} AND x.ledger_account = 'cash'"
    ),
    copy("event_sequence_once", "trading_event", "'id', -1"),
    copy("cash_balance_once", "trading_cashbalance", "'id', -1"),
    copy("market_setting_once", "trading_marketsetting", "'id', -1"),
    copy("funding_payment_once", "trading_fundingpayment", ANEW),
    copy("risk_day_once", "trading_riskday", "'id', -1"),
    copy("account_one_primary_a_user", "trading_tradingaccount", ANEW, "x.id = ANY(%s) AND x.is_primary"),
    copy(
        "trading_tradingaccount_predecessor_id_key",
        "trading_tradingaccount",
        f"{ANEW}, 'is_primary', false",
        "x.id = ANY(%s) AND x.predecessor_id IS NOT NULL",
    ),
    copy(
        "adjustment_one_reversal_an_entry",
        "trading_adjustmentproposal",
        f"{ANEW}, 'entry_id', NULL, 'state', 'pending', 'decided_by_id', NULL, 'decided_at', NULL",
        f"{OF_ACCOUNT} AND x.reverses_id IS NOT NULL AND x.state <> 'rejected'",
    ),
    copy("xp_one_award_a_cause", "gamification_xpentry", f"{AWARDED}, 'number', -1", OF_USER),
    copy("xp_number_once", "gamification_xpentry", f"{AWARDED}, 'source', 'forged'", OF_USER),
    copy("hold_once_a_reference", "trading_hold", ANEW),
    change("order_not_overfilled", "trading_order", "filled_quantity = quantity + 0.001"),
    change("order_quantity_positive", "trading_order", "quantity = 0, filled_quantity = 0"),
    change("order_trigger_complete", "trading_order", "trigger_price = 1, trigger_by = NULL, role = NULL"),
    change("order_protective_only_reduces", "trading_order", "reduce_only = false", also="x.role IS NOT NULL"),
    change("position_entry_notional_not_negative", "trading_position", "entry_notional = -1", also="x.quantity <> 0"),
    change("position_flat_holds_no_entry_notional", "trading_position", "quantity = 0, entry_notional = 1"),
    change("position_flat_is_not_protected", "trading_position", "quantity = 0, entry_notional = 0, stop_loss = 1"),
    change(
        "adjustment_decided_by_somebody_else",
        "trading_adjustmentproposal",
        "decided_by_id = proposed_by_id",
        also="x.state <> 'pending'",
    ),
    copy("fill_positive", "trading_fill", f"{ANEW}, 'number', -1, 'venue_trade_id', 'forged', 'quantity', 0"),
    copy("posting_moves_something", "trading_posting", "'id', -1, 'line', 9, 'amount', 0", OF_OTHERS),
    copy(
        "posting_running_balance_on_cash_only",
        "trading_posting",
        "'id', -1, 'line', 9, 'running_balance', 1",
        OF_OTHERS,
    ),
    copy("do not sum to zero", "trading_posting", "'id', -1, 'line', 9", OF_OTHERS),
    copy("transfer_moves_something", "trading_transfer", "'id', -1, 'uuid', gen_random_uuid(), 'amount', 0", OF_SENDER),
    *(change("history", f"trading_{table}", "id = id") for table in HISTORY),
    change("history", "trading_posting", "amount = amount", OF_ENTRY),
    *(Forgery("history", f"DELETE FROM trading_{table} x WHERE {OF_ACCOUNT}") for table in HISTORY),
    Forgery("history", f"DELETE FROM trading_posting x WHERE {OF_ENTRY}"),
)


def is_refused(forgery: Forgery, world: World) -> bool:
    """Whether the database objects as it should, or there is no row to forge."""
    accounts = [account.pk for account in world.accounts]
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(forgery.statement, [accounts])
            was_written = cursor.rowcount > 0
            transaction.set_rollback(True)
    except DatabaseError as refusal:
        cause = refusal.__cause__
        said = getattr(getattr(cause, "diag", None), "constraint_name", None)
        return forgery.name in (said, "history") or forgery.name in str(refusal)
    return not was_written
