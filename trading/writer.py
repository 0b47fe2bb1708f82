"""The one writer of bookings: all rows of a `Batch` in one statement of data-modifying CTEs (DESIGN §4.1).

The rows travel as one JSON document, and PostgreSQL reads them by the tables' own column types. The text depends
only on which tables a booking touches, so a handful of plans serves all of them. Call it under the account's lock.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson

from astrade.core.attributes import attributes
from trading.domain.batch import Batch
from trading.domain.slicing import TwapState
from trading.domain.state import ORDER_COLUMNS, OrderState, PositionState
from trading.pipeline import Statement

_INSERTED: Mapping[str, tuple[str, str]] = {
    "transition": ("trading_ordertransition", "id, order_id, from_status, to_status, reason, change, at"),
    "fill": (
        "trading_fill",
        "id, uuid, account_id, order_id, market_id, number, venue_trade_id, side, price, quantity, fee, fee_asset, "
        "is_taker, realized_pnl, seed, book_sequence, basis, at",
    ),
    "closed_position": (
        "trading_closedposition",
        "id, uuid, account_id, market_id, number, side, quantity, entry_notional, exit_notional, realized_pnl, fees, "
        "funding, opened_at, closed_at",
    ),
    "liquidation": (
        "trading_liquidation",
        "id, account_id, order_id, market_id, orders_cancelled, quantity, notional, fee, insurance, equity, "
        "maintenance, equity_after, maintenance_after, at",
    ),
    "funding": (
        "trading_fundingpayment",
        "id, uuid, account_id, position_id, market_id, position_uuid, hour, quantity, mark, rate, amount, at",
    ),
    "entry": ("trading_journalentry", "id, uuid, account_id, number, kind, reference, at, previous_hash, hash"),
    "hold": ("trading_hold", "id, uuid, account_id, asset, amount, purpose, reference, state, held_at"),
    "posting": ("trading_posting", "id, entry_id, line, ledger_account, asset, amount, running_balance"),
    "venue_order": (
        "trading_venueorder",
        "order_id, account_id, external_id, stark_public_key, nonce, price, fee_rate, expires_at, deadline_at, "
        "replaces, shown_at, lookups",
    ),
    "refusal": (
        "trading_orderrefusal",
        "account_id, market_id, client_order_id, code, message, request, figures",
    ),
    "event": ("trading_event", "id, account_id, sequence, kind, schema, data, at"),
}
_MUTABLE_ORDER = (
    "rules_id",
    "quantity",
    "price",
    "trigger_price",
    "admitted_sequence",
    "admitted_at",
    "status",
    "reason",
    "filled_quantity",
    "filled_notional",
    "fee",
    "fill_count",
    "version",
    "updated_at",
    "protected_quantity",
    "queue_ahead",
    "queue_sequence",
    "venue_order_id",
)
_FIXED_POSITION = ("id", "market_id")


def _insert(key: str) -> str:
    table, columns = _INSERTED[key]
    source = f"jsonb_populate_recordset(NULL::{table}, doc.d->'{key}')"
    return f"{key} AS (INSERT INTO {table} ({columns}) SELECT {columns} FROM doc, {source})"


def _assignments(columns: Iterable[str], source: str) -> str:
    return ", ".join(f"{column} = {source}.{column}" for column in columns)


_ORDER_COLUMNS = ", ".join(("account_id", *ORDER_COLUMNS))
_MUTABLE_TWAP = ("starts_at", "next_slice", "executed_slices", "paused_at", "due_at")
_TWAP_COLUMNS = ", ".join(("order_id", *TwapState.__slots__, "due_at"))
_POSITION_COLUMNS = ", ".join(("account_id", *PositionState.__slots__))
_MUTABLE_POSITION = tuple(name for name in PositionState.__slots__ if name not in _FIXED_POSITION)
_UPSERTED: Mapping[str, str] = {
    "order": f"""orders AS (INSERT INTO trading_order ({_ORDER_COLUMNS}) SELECT {_ORDER_COLUMNS}
        FROM doc, jsonb_populate_recordset(NULL::trading_order, doc.d->'order')
        ON CONFLICT (id) DO UPDATE SET {_assignments(_MUTABLE_ORDER, "excluded")})""",
    "twap": f"""twap AS (INSERT INTO trading_twapplan ({_TWAP_COLUMNS}) SELECT {_TWAP_COLUMNS}
        FROM doc, jsonb_populate_recordset(NULL::trading_twapplan, doc.d->'twap')
        ON CONFLICT (order_id) DO UPDATE SET {_assignments(_MUTABLE_TWAP, "excluded")})""",
    "position": f"""positions AS (INSERT INTO trading_position ({_POSITION_COLUMNS}) SELECT {_POSITION_COLUMNS}
        FROM doc, jsonb_populate_recordset(NULL::trading_position, doc.d->'position')
        ON CONFLICT (id) DO UPDATE SET {_assignments(_MUTABLE_POSITION, "excluded")})""",
    "leverage": """leverage AS (INSERT INTO trading_marketsetting (account_id, market_id, leverage)
        SELECT account_id, market_id, leverage
        FROM doc, jsonb_populate_recordset(NULL::trading_marketsetting, doc.d->'leverage')
        ON CONFLICT (account_id, market_id) DO UPDATE SET leverage = excluded.leverage)""",
    "late_funding": """late_funding AS (UPDATE trading_closedposition c SET funding = c.funding + n.funding
        FROM doc, jsonb_populate_recordset(NULL::trading_closedposition, doc.d->'late_funding') n
        WHERE c.id = n.id)""",
    "hold_end": """hold_end AS (UPDATE trading_hold h SET state = n.state, ended_at = n.ended_at, entry_id = n.entry_id
        FROM doc, jsonb_populate_recordset(NULL::trading_hold, doc.d->'hold_end') n WHERE h.id = n.id)""",
    "cash": """cash AS (UPDATE trading_cashbalance c SET balance = (doc.d->'cash'->>'balance')::numeric
        FROM doc WHERE c.id = (doc.d->'cash'->>'id')::bigint)""",
}
_COUNTERS = ("sequence", "order_count", "fill_count", "entry_count", "head_hash", "net_deposits", "traded_notional")
_ACCOUNT_COLUMNS = ("id", *_COUNTERS)
_ACCOUNT = f"""UPDATE trading_tradingaccount a SET {_assignments(_COUNTERS, "n")}
    FROM doc, jsonb_populate_record(NULL::trading_tradingaccount, doc.d->'account') n
    WHERE a.id = n.id RETURNING a.id"""


def statement_of(batch: Batch) -> Statement:
    """The one statement that writes the batch; run, it raises IntegrityError if a constraint or trigger objects."""
    document = document_of(batch)
    text = _text_of(tuple(key for key in document if key != "account"))
    return text, [orjson.dumps(document, default=_text)]


def document_of(batch: Batch) -> dict[str, Any]:
    """The rows of a batch by key, keys in the writer's order; only what the batch touches."""
    account = batch.account
    rows: dict[str, Any] = {"account": attributes(account, _ACCOUNT_COLUMNS)}
    owner = {"account_id": account.id}
    if batch.orders:
        rows["order"] = [attributes(order, ORDER_COLUMNS) | owner for order in batch.orders.values()]
        plans = [_plan_row(order, order.twap) for order in batch.orders.values() if order.twap is not None]
        rows |= {"twap": plans} if plans else {}
    if batch.positions:
        rows["position"] = [
            attributes(position, PositionState.__slots__) | owner for position in batch.positions.values()
        ]
    if batch.leverage:
        rows["leverage"] = [
            owner | {"market_id": market, "leverage": value} for market, value in batch.leverage.items()
        ]
    if batch.late_funding:
        rows["late_funding"] = batch.late_funding
    if batch.ended_holds:
        rows["hold_end"] = batch.ended_holds
    if batch.cash_changed:
        rows["cash"] = {"id": account.cash.id, "balance": account.cash.balance}
    return rows | {key: batch.inserts[key] for key in _INSERTED if key in batch.inserts}


@lru_cache
def _text_of(keys: tuple[str, ...]) -> str:
    """The statement that writes a document with these keys beside `account`."""
    parts = [_UPSERTED[key] if key in _UPSERTED else _insert(key) for key in keys]
    return "WITH doc AS MATERIALIZED (SELECT $1::jsonb AS d),\n" + ",\n".join(parts) + "\n" + _ACCOUNT


def _plan_row(order: OrderState, plan: TwapState) -> dict[str, Any]:
    """Whatever ends or pauses an order leaves it nothing to do: when it is due follows from what it is."""
    return attributes(plan, TwapState.__slots__) | {"order_id": order.id, "due_at": order.due_at}


def _text(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"no column holds a {type(value).__name__}")
