"""What an order does to price, position and ledger: plain arithmetic."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from benchmarks.peer.models import Position

CENT_FRACTION = Decimal("0.000001")


class BookTooThin(Exception):
    """The visible book can't fill the order."""


@dataclass(frozen=True)
class Execution:
    """One fill: average price over the book levels taken, and its fee."""

    price: Decimal
    quantity: Decimal
    notional: Decimal
    fee: Decimal


def execute(book: dict[str, Any], *, side: str, quantity: Decimal, fee_rate: Decimal) -> Execution:
    """Walk the opposite side of the book; raises BookTooThin."""
    remaining, notional = quantity, Decimal(0)
    for price_text, depth_text in book["asks" if side == "buy" else "bids"]:
        taken = min(remaining, Decimal(depth_text))
        notional += taken * Decimal(price_text)
        remaining -= taken
        if not remaining:
            break
    if remaining:
        raise BookTooThin
    fee = (notional * fee_rate).quantize(CENT_FRACTION, ROUND_CEILING)
    return Execution(price=notional / quantity, quantity=quantity, notional=notional, fee=fee)


def apply_to_position(position: Position, execution: Execution, *, side: str) -> Decimal:
    """Net the fill into the position; returns the realised PnL."""
    signed = execution.quantity if side == "buy" else -execution.quantity
    notional = execution.notional if side == "buy" else -execution.notional
    if position.quantity * signed >= 0:
        position.quantity += signed
        position.entry_notional += notional
        return Decimal(0)
    held = abs(position.quantity)
    closed = min(held, execution.quantity)
    released = position.entry_notional
    if closed < held:
        released = (released * closed / held).quantize(CENT_FRACTION, ROUND_FLOOR)
    closing_notional = notional * closed / execution.quantity
    pnl = (-closing_notional - released).quantize(CENT_FRACTION, ROUND_FLOOR)
    position.quantity += signed
    position.entry_notional += notional - closing_notional - released
    position.realized_pnl += pnl
    return pnl


def has_margin(position: Position, execution: Execution, *, side: str, balance: Decimal, leverage: Decimal) -> bool:
    """Whether the balance carries the position after the fill."""
    signed = execution.quantity if side == "buy" else -execution.quantity
    exposure = abs(position.quantity + signed) * execution.price
    return exposure / leverage + execution.fee <= balance
