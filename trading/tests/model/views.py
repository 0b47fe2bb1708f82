"""What is compared: an account as the model has it and as the database has it, in the same plain shape."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from trading.models import (
    CashBalance,
    ClosedPosition,
    DeadManSwitch,
    Event,
    Fill,
    FundingPayment,
    MarketSetting,
    Order,
    OrderRefusal,
    OrderTransition,
    Position,
    Posting,
    TradingAccount,
)
from trading.tests.factories import AT
from trading.tests.model.account import Account
from trading.tests.model.record import SIDES

View = dict[str, Any]
TOLD: Mapping[str, tuple[str, ...]] = {
    "order_update": ("number", "status", "filled_quantity", "quantity", "version", "reason"),
    "trade_update": ("number", "price", "quantity"),
    "position_update": (
        "symbol", "quantity", "is_open", "realized_pnl", "fees", "funding", "take_profit", "stop_loss",
    ),
    "balance_update": ("balance", "equity", "margin_used"),
    "funding": ("amount",),
    "dead_man_switch": ("state",),
}  # fmt: skip
WORDS = ("status", "reason", "symbol", "state")
ORDER = (
    "number", "market__symbol", "side", "type", "time_in_force", "status", "reason", "quantity", "price",
    "trigger_price", "trigger_by", "role", "parent__number", "leverage", "reduce_only", "post_only",
    "filled_quantity", "filled_notional", "fee", "fill_count", "version", "expires_at",
)  # fmt: skip
FILL = ("order__number", "market__symbol", "side", "price", "quantity", "fee", "is_taker", "realized_pnl", "at")
POSITION = ("quantity", "entry_notional", "realized_pnl", "fees", "funding", "take_profit", "stop_loss", "opened_at")
CLOSED = (
    "market__symbol", "side", "quantity", "entry_notional", "exit_notional", "realized_pnl", "fees", "funding",
    "opened_at", "closed_at",
)  # fmt: skip


def told(kind: str, data: Mapping[str, Any]) -> tuple[Any, ...]:
    """An event with what is compared of it."""
    return kind, *((name, _told(name, data[name])) for name in TOLD.get(kind, ()))


def _told(name: str, value: Any) -> Any:
    return Fraction(value) if isinstance(value, str) and name not in WORDS else value


def model_view(account: Account) -> View:
    """An account of the model."""
    return {
        "cash": account.cash,
        "traded": account.traded,
        "deposits": account.deposits,
        "leverage": {symbol: leverage for symbol, leverage in account.leverage.items() if leverage != 1},
        "fires_at": account.fires_at,
        "orders": [
            (
                o.number, o.market, SIDES[o.side], o.type, o.tif, o.status, o.reason, o.quantity, o.price,
                o.trigger_price, o.trigger_by, o.role, o.parent, o.leverage, o.reduce_only, o.post_only,
                o.filled, o.notional, o.fee, o.fills, o.version, o.expires_at,
            )
            for o in account.orders
        ],
        "transitions": [(order.number, *move) for order in account.orders for move in order.transitions],
        "queues": {order.number: order.ahead for order in account.live() if order.is_resting},
        "fills": [tuple(fill.values()) for fill in account.fills],
        "positions": {
            symbol: (p.quantity, p.entry, p.realized, p.fees, p.funding, p.take_profit, p.stop_loss, p.opened_at)
            for symbol, p in account.positions.items()
            if p.quantity
        },
        "closed": [tuple(closed.values()) for closed in account.closed],
        "journal": account.journal,
        "funded": account.funded,
        "events": [told(kind, data) for kind, data in account.events],
        "refusals": account.refusals,
    }  # fmt: skip


def real_views(accounts: Sequence[int]) -> dict[int, View]:
    """Accounts of the database, by row id; one query a table."""
    views: dict[int, View] = {}
    mine = {"account_id__in": accounts}
    cash = dict(CashBalance.objects.filter(**mine).values_list("account_id", "balance"))
    fires = dict(DeadManSwitch.objects.filter(**mine).values_list("account_id", "fires_at"))
    heads = TradingAccount.objects.filter(pk__in=accounts).values_list("pk", "traded_notional", "net_deposits")
    leverage = _by_account(MarketSetting.objects.filter(**mine).exclude(leverage=1), "market__symbol", "leverage")
    orders = _by_account(Order.objects.filter(**mine).order_by("number"), *ORDER)
    resting = Order.objects.filter(status__in=("open", "partially_filled"), **mine)
    queues = _by_account(resting, "number", "queue_ahead")
    moves = _by_account(
        OrderTransition.objects.filter(order__account_id__in=accounts).order_by("order__number", "id"),
        "order__number", "from_status", "to_status", "reason", account="order__account_id",
    )  # fmt: skip
    fills = _by_account(Fill.objects.filter(**mine).order_by("number"), *FILL)
    positions = _by_account(Position.objects.filter(**mine).exclude(quantity=0), "market__symbol", *POSITION)
    closed = _by_account(ClosedPosition.objects.filter(**mine).order_by("number"), *CLOSED)
    postings = Posting.objects.filter(entry__account_id__in=accounts, ledger_account="cash").order_by("entry__number")
    journal = _by_account(postings, "entry__kind", "amount", account="entry__account_id")
    funded = _by_account(FundingPayment.objects.filter(**mine).order_by("id"), "market__symbol", "hour", "amount")
    events = _by_account(Event.objects.filter(**mine).order_by("sequence"), "sequence", "kind", "data")
    refusals = _by_account(OrderRefusal.objects.filter(**mine).order_by("id"), "code")
    for account, traded, deposits in heads:
        sequences = [sequence for sequence, _, _ in events[account]]
        assert sequences == list(range(1, len(sequences) + 1)), "a gap in the events' sequence"
        views[account] = {
            "cash": _plain(cash[account]),
            "traded": _plain(traded),
            "deposits": _plain(deposits),
            "leverage": dict(leverage[account]),
            "fires_at": _plain(fires.get(account)),
            "orders": orders[account],
            "transitions": moves[account],
            "queues": dict(queues[account]),
            "fills": fills[account],
            "positions": {symbol: tuple(figures) for symbol, *figures in positions[account]},
            "closed": closed[account],
            "journal": journal[account],
            "funded": funded[account],
            "events": [told(kind, data) for _, kind, data in events[account]],
            "refusals": [code for (code,) in refusals[account]],
        }
    return views


def _by_account(rows: Any, *columns: str, account: str = "account_id") -> defaultdict[int, list[tuple[Any, ...]]]:
    found: defaultdict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for owner, *values in rows.values_list(account, *columns):
        found[owner].append(tuple(_plain(value) for value in values))
    return found


def _plain(value: Any) -> Any:
    """Numbers exact, moments as seconds of the script."""
    if isinstance(value, Decimal):
        return Fraction(value)
    if isinstance(value, datetime):
        return int((value - AT).total_seconds())
    return value


def differences(model: View, real: View) -> list[str]:
    """Where two views differ, in words."""
    found = []
    for name in model:
        expected, got = model[name], real[name]
        if expected == got:
            continue
        if isinstance(expected, list):
            first = next((n for n, pair in enumerate(zip(expected, got, strict=False)) if pair[0] != pair[1]), None)
            n = min(len(expected), len(got)) if first is None else first
            expected, got = expected[n : n + 1] or "nothing", got[n : n + 1] or "nothing"
            name = f"{name}[{n}]"
        found.append(f"{name}: the model says {spelled(expected)}, the services {spelled(got)}")
    return found


def spelled(value: Any) -> str:
    """Fractions as decimals, for people."""
    if isinstance(value, Fraction):
        return format(float(value), ".8f").rstrip("0").rstrip(".")
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {spelled(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "(" + ", ".join(spelled(item) for item in value) + ")"
    return str(value)
