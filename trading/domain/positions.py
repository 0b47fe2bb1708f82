"""Netting arithmetic: what one execution does to a position (DESIGN §3)."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from astrade.core.money import ZERO, ceil_cash, floor_cash
from trading.domain.lifecycle import Side
from trading.domain.state import PositionState


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A position that came to flat, from its opening to its end."""

    uuid: UUID
    side: Side
    quantity: Decimal
    entry_notional: Decimal
    exit_notional: Decimal
    realized_pnl: Decimal
    fees: Decimal
    funding: Decimal
    opened_at: datetime


def released_notional(position: PositionState, *, closing: Decimal) -> Decimal:
    """Entry notional that closing `closing` base units sets free: rounded down once, the last close takes the rest."""
    held = abs(position.quantity)
    if closing == held:
        return position.entry_notional
    return floor_cash(position.entry_notional * closing / held)


def apply_fill(
    position: PositionState,
    *,
    side: Side,
    price: Decimal,
    quantity: Decimal,
    fee: Decimal,
    at: datetime,
    next_uuid: UUID,
) -> tuple[Decimal, Closed | None]:
    """Book an execution onto `position` (changed in place); returns realised PnL (quote units, exact) and what it
    closed.

    Against the position it closes first and opens the other way with the rest; `next_uuid` names a position opened
    anew. The fee is divided between a closed and a reopened position by quantity, the closed one's share rounded up.
    """
    against = position.quantity * side.sign < 0
    closing = min(abs(position.quantity), quantity) if against else ZERO
    realized, closed = ZERO, None
    closing_fee = fee if closing == quantity else ceil_cash(fee * closing / quantity)
    if closing:
        realized, closed = _close(position, side=side, price=price, closing=closing, fee=closing_fee)
    if closing < quantity:
        _open(
            position,
            side=side,
            notional=price * (quantity - closing),
            quantity=quantity - closing,
            at=at,
            uuid=next_uuid,
        )
        position.fees += fee - closing_fee
    position.version += 1
    return realized, closed


def _close(
    position: PositionState, *, side: Side, price: Decimal, closing: Decimal, fee: Decimal
) -> tuple[Decimal, Closed | None]:
    released, proceeds = released_notional(position, closing=closing), price * closing
    realized = (proceeds - released) * -side.sign  # closing a long sells, closing a short buys
    position.quantity += side.sign * closing
    position.entry_notional -= released
    position.closed_notional += proceeds
    position.realized_pnl += realized
    position.fees += fee
    if not position.quantity:
        position.stop_loss = position.take_profit = None
    if position.quantity or position.opened_at is None:
        return realized, None
    return realized, Closed(
        uuid=position.uuid,
        side=side.opposite,
        quantity=position.opened_quantity,
        entry_notional=position.opened_notional,
        exit_notional=position.closed_notional,
        realized_pnl=position.realized_pnl,
        fees=position.fees,
        funding=position.funding,
        opened_at=position.opened_at,
    )


def _open(
    position: PositionState, *, side: Side, notional: Decimal, quantity: Decimal, at: datetime, uuid: UUID
) -> None:
    if not position.quantity:
        position.uuid, position.opened_at = uuid, at
        position.opened_quantity = position.opened_notional = position.closed_notional = ZERO
        position.realized_pnl = position.fees = position.funding = ZERO
    position.quantity += side.sign * quantity
    position.entry_notional += notional
    position.opened_quantity += quantity
    position.opened_notional += notional
