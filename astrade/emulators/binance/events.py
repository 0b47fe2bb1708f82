"""The user stream's events (binance-api.md §10)."""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any

from astrade.emulators.binance.accounts import Account, Trade
from astrade.emulators.binance.orders import Order
from astrade.emulators.binance.symbols import amount

Json = dict[str, Any]
NO_LIST = -1
ZERO_TEXT = amount(Decimal(0))
_NO_TRADE: Json = {
    "l": ZERO_TEXT,
    "L": ZERO_TEXT,
    "Y": ZERO_TEXT,
    "n": "0",
    "N": None,
    "t": -1,
    "m": False,
    "M": False,
}


class Execution(StrEnum):
    NEW = "NEW"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


def execution_report(
    order: Order,
    execution: Execution,
    *,
    execution_id: int,
    now_ms: int,
    trade: Trade | None = None,
    cancel_id: str | None = None,
) -> Json:
    """What became of an order; `cancel_id` is the name of the request that cancelled it."""
    return {
        "e": "executionReport",
        "E": now_ms,
        "s": order.symbol,
        "c": cancel_id or order.client_order_id,
        "S": order.side.name,
        "o": order.type.value,
        "f": order.time_in_force.value,
        "q": amount(order.quantity),
        "p": amount(order.price),
        "P": amount(order.stop_price),
        "F": ZERO_TEXT,
        "g": NO_LIST,
        "C": order.client_order_id if cancel_id else "",
        "x": execution.value,
        "X": order.status.value,
        "r": "NONE",
        "i": order.id,
        "z": amount(order.filled),
        "T": now_ms,
        "I": execution_id,
        "w": order.is_working and order.status.is_open,
        "O": order.created_ms,
        "Z": amount(order.filled_value),
        "Q": amount(order.quote_quantity),
        "V": order.prevention.value,
        **(_NO_TRADE if trade is None else _trade(trade)),
        **_conditional(order),
    }


def _trade(trade: Trade) -> Json:
    """What an execution adds."""
    return {
        "l": amount(trade.quantity),
        "L": amount(trade.price),
        "Y": amount(trade.value),
        "n": amount(trade.commission),
        "N": trade.commission_asset,
        "t": trade.id,
        "m": trade.is_maker,
        "M": True,
    }


def _conditional(order: Order) -> Json:
    """What is there only where it says something."""
    found: Json = {
        "W": order.working_ms if order.is_working else None,
        "j": order.strategy_id,
        "J": order.strategy_type,
        "eR": order.expiry_reason,
    }
    return {name: value for name, value in found.items() if value is not None}


def account_position(account: Account, assets: Sequence[str], *, now_ms: int) -> Json:
    """Present balances of assets that may have changed."""
    return {
        "e": "outboundAccountPosition",
        "E": now_ms,
        "u": account.updated_ms,
        "B": [
            {"a": asset, "f": amount(balance.free), "l": amount(balance.locked)}
            for asset in assets
            for balance in (account.balance(asset),)
        ],
    }


def balance_update(asset: str, *, delta: Decimal, now_ms: int) -> Json:
    """A deposit or a withdrawal."""
    return {"e": "balanceUpdate", "E": now_ms, "a": asset, "d": amount(delta), "T": now_ms}


def stream_terminated(*, now_ms: int) -> Json:
    """No more of the account on this subscription."""
    return {"e": "eventStreamTerminated", "E": now_ms}


def server_shutdown(*, now_ms: int) -> Json:
    """The connection is about to be closed."""
    return {"e": "serverShutdown", "E": now_ms}
