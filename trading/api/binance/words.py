"""Binance's words for what orders are, and ours (binance-api.md §7)."""

from collections.abc import Mapping
from enum import StrEnum

from trading.domain.lifecycle import OrderStatus, OrderType, Side, TimeInForce


class SideWord(StrEnum):
    BUY = "BUY"
    SELL = "SELL"


class TimeInForceWord(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class TypeWord(StrEnum):
    LIMIT = "LIMIT"
    LIMIT_MAKER = "LIMIT_MAKER"
    MARKET = "MARKET"
    STOP_LOSS = "STOP_LOSS"
    STOP_LOSS_LIMIT = "STOP_LOSS_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"


class ResponseType(StrEnum):
    ACK = "ACK"
    RESULT = "RESULT"
    FULL = "FULL"


TYPE_WORDS: Mapping[TypeWord, OrderType] = {
    TypeWord.LIMIT: OrderType.LIMIT,
    TypeWord.LIMIT_MAKER: OrderType.LIMIT,
    TypeWord.MARKET: OrderType.MARKET,
    TypeWord.STOP_LOSS: OrderType.STOP,
    TypeWord.STOP_LOSS_LIMIT: OrderType.STOP_LIMIT,
    TypeWord.TAKE_PROFIT: OrderType.TAKE_PROFIT,
    TypeWord.TAKE_PROFIT_LIMIT: OrderType.TAKE_PROFIT_LIMIT,
}
_WORD_OF = {ours: word for word, ours in TYPE_WORDS.items() if word is not TypeWord.LIMIT_MAKER}
_STATUS_OF: Mapping[OrderStatus, str] = {
    OrderStatus.PARTIALLY_FILLED: "PARTIALLY_FILLED",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELLED: "CANCELED",
    OrderStatus.EXPIRED: "EXPIRED",
    OrderStatus.REJECTED: "REJECTED",
}
FULL_BY_DEFAULT = frozenset({TypeWord.LIMIT, TypeWord.MARKET})
RESTS = TimeInForce.GTC, TimeInForce.GTT


def side_word(side: str) -> str:
    """BUY or SELL."""
    return Side(side).name


def type_word(order_type: str, *, post_only: bool) -> str:
    """A limit order that may not take is a LIMIT_MAKER."""
    if post_only and order_type == OrderType.LIMIT:
        return TypeWord.LIMIT_MAKER.value
    return _WORD_OF[OrderType(order_type)].value


def time_in_force_word(time_in_force: str, *, order_type: str) -> str:
    """IOC or FOK where a limit order is that; Binance knows no orders that end at a time, and calls the rest GTC."""
    at_once = order_type != OrderType.MARKET and time_in_force not in RESTS
    return time_in_force if at_once else TimeInForce.GTC.value


def status_word(status: str, *, order_type: str, time_in_force: str) -> str:
    """What has not ended and got nothing is NEW; an order that doesn't wait and found nothing more EXPIRED."""
    waits = order_type != OrderType.MARKET and time_in_force in RESTS
    if status == OrderStatus.CANCELLED and not waits:
        return "EXPIRED"
    return _STATUS_OF.get(OrderStatus(status), "NEW")
