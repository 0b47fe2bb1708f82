"""What a dead-man switch tells: when it fires, and which positions would stand alone then. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from astrade.core.clock import to_ms
from astrade.core.money import ZERO, plain
from trading.domain.lifecycle import OrderStatus
from trading.domain.shapes import Terms
from trading.domain.state import AccountState, OrderState, PositionState


def switch_body(*, timeout_s: int, fires_at: datetime | None) -> dict[str, Any]:
    """The switch as it stands; without `fires_at` it is off."""
    return {"timeout_s": timeout_s, "fires_at": None if fires_at is None else to_ms(fires_at)}


def unprotected_positions(account: AccountState, markets: Mapping[int, Terms]) -> list[dict[str, Any]]:
    """Open positions that the loaded orders protect, and by how many: what cancelling all of them would leave bare."""
    found = []
    for position in account.positions.values():
        orders = sum(protects(order, position) for order in account.orders)
        if orders:
            side = "long" if position.quantity > 0 else "short"
            names = {"position_id": str(position.uuid), "symbol": markets[position.market_id].symbol, "side": side}
            found.append(names | {"quantity": plain(abs(position.quantity)), "protective_orders": orders})
    return found


def protects(order: OrderState, position: PositionState) -> bool:
    """Whether a live order stands ready to close the position: it only reduces, or waits for a trigger."""
    waits = order.reduce_only or order.status is OrderStatus.UNTRIGGERED
    return order.market_id == position.market_id and order.side.sign * position.quantity < ZERO and waits
