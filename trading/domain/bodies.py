"""The public form of what trading shows (API.md "Bodies"): one function a body, for REST answers and events alike."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from astrade.core.clock import to_ms
from astrade.core.money import ZERO, plain, round_display
from trading.domain.lifecycle import LIVE, Side
from trading.domain.margin import MarginSummary, liquidation_price, unrealized_pnl
from trading.domain.positions import Closed
from trading.domain.shapes import FillLike, OrderLike, Terms
from trading.domain.slicing import TwapState
from trading.domain.state import PositionState

DISPLAY_SCALE = 8  # decimals of derived quotients: average and entry prices, percentages
Body = dict[str, Any]


def text_of(value: Decimal | None) -> str | None:
    """A decimal as plain text, nothing as nothing."""
    return None if value is None else plain(value)


def quotient(numerator: Decimal, denominator: Decimal) -> Decimal | None:
    """A derived figure for display, None where there is nothing to divide by."""
    return round_display(numerator / denominator, scale=DISPLAY_SCALE) if denominator else None


def order_body(order: OrderLike, *, account: UUID, venue: str, symbol: str) -> Body:
    """The order, without its fills and transitions."""
    return {
        "id": str(order.uuid),
        "number": order.number,
        "account_id": str(account),
        "venue": venue,
        "venue_order_id": None if order.venue_order_id is None else str(order.venue_order_id),
        "symbol": symbol,
        "side": order.side,
        "type": order.type,
        "quantity": plain(order.quantity),
        "price": text_of(order.price),
        "trigger_price": text_of(order.trigger_price),
        "trigger_by": order.trigger_by,
        "time_in_force": order.time_in_force,
        "expires_at": None if order.expires_at is None else to_ms(order.expires_at),
        "post_only": order.post_only,
        "reduce_only": order.reduce_only,
        "take_profit": text_of(order.take_profit),
        "stop_loss": text_of(order.stop_loss),
        "leverage": order.leverage,
        "client_order_id": order.client_order_id,
        "tag": order.tag,
        "status": order.status,
        "filled_quantity": plain(order.filled_quantity),
        "average_price": text_of(quotient(order.filled_notional, order.filled_quantity)),
        "fee": plain(order.fee),
        "reason": order.reason,
        "source": order.source,
        "parent_id": None if order.parent_uuid is None else str(order.parent_uuid),
        "twap": None if order.twap is None else twap_body(order, order.twap),
        "version": order.version,
        "created_at": to_ms(order.created_at),
        "updated_at": to_ms(order.updated_at),
    }


def twap_body(order: OrderLike, plan: TwapState) -> Body:
    """How far a TWAP order has come; `ends_at` moves on while it is paused."""
    waits = order.status in LIVE and plan.paused_at is None
    is_next = waits and plan.next_slice < plan.slices
    return {
        "duration_s": plan.duration_s,
        "slices": plan.slices,
        "jitter": plain(plan.jitter),
        "executed_slices": plan.executed_slices,
        "missed_slices": plan.next_slice - plan.executed_slices,
        "paused": order.status in LIVE and plan.paused_at is not None,
        "next_slice_at": to_ms(plan.next_at) if is_next else None,
        "ends_at": to_ms(plan.ends_at) if waits else None,
        "progress": text_of(quotient(order.filled_quantity, order.quantity)),
    }


def slice_body(order: OrderLike) -> Body:
    """A slice as its TWAP order shows it."""
    return {
        "id": str(order.uuid),
        "number": order.number,
        "status": order.status,
        "reason": order.reason,
        "quantity": plain(order.quantity),
        "filled_quantity": plain(order.filled_quantity),
        "average_price": text_of(quotient(order.filled_notional, order.filled_quantity)),
        "fee": plain(order.fee),
        "created_at": to_ms(order.created_at),
    }


def fill_body(fill: FillLike, *, order: UUID, symbol: str) -> Body:
    """One execution."""
    return {
        "id": str(fill.uuid),
        "number": fill.number,
        "order_id": str(order),
        "symbol": symbol,
        "side": fill.side,
        "price": plain(fill.price),
        "quantity": plain(fill.quantity),
        "notional": plain(fill.price * fill.quantity),
        "fee": plain(fill.fee),
        "fee_asset": fill.fee_asset,
        "is_taker": fill.is_taker,
        "realized_pnl": plain(fill.realized_pnl),
        "at": to_ms(fill.at),
    }


def position_body(
    position: PositionState,
    *,
    market: Terms,
    mark: Decimal,
    leverage: int,
    summary: MarginSummary,
    protection: Mapping[str, Decimal | None],
) -> Body:
    """An open position at the given mark; `protection` are its stop loss and take profit."""
    value, pnl = abs(position.quantity) * mark, unrealized_pnl(position, mark=mark)
    return {
        "id": str(position.uuid),
        "symbol": market.symbol,
        "side": "long" if position.quantity > 0 else "short",
        "quantity": plain(abs(position.quantity)),
        "entry_price": text_of(quotient(position.entry_notional, abs(position.quantity))),
        "mark_price": plain(mark),
        "leverage": leverage,
        "margin": plain(round_display(value / leverage, scale=DISPLAY_SCALE)),
        "unrealized_pnl": plain(pnl),
        "realized_pnl": plain(position.realized_pnl),
        "fees": plain(position.fees),
        "funding": plain(position.funding),
        "pnl_percentage": text_of(quotient(100 * pnl, position.entry_notional / leverage)) or "0",
        "liquidation_price": text_of(liquidation_price(position, summary=summary, mark=mark, market=market)),
        "stop_loss": text_of(protection["stop_loss"]),
        "take_profit": text_of(protection["take_profit"]),
        "is_open": True,
        "version": position.version,
        "opened_at": None if position.opened_at is None else to_ms(position.opened_at),
        "closed_at": None,
    }


def closed_position_body(closed: Closed, *, symbol: str, leverage: int, version: int, closed_at: datetime) -> Body:
    """A position that is history; quantity and entry price are those of everything it opened."""
    entry_margin = closed.entry_notional / leverage
    return {
        "id": str(closed.uuid),
        "symbol": symbol,
        "side": "long" if closed.side is Side.BUY else "short",
        "quantity": plain(closed.quantity),
        "entry_price": text_of(quotient(closed.entry_notional, closed.quantity)),
        "mark_price": text_of(quotient(closed.exit_notional, closed.quantity)),
        "leverage": leverage,
        "margin": "0",
        "unrealized_pnl": "0",
        "realized_pnl": plain(closed.realized_pnl),
        "fees": plain(closed.fees),
        "funding": plain(closed.funding),
        "pnl_percentage": text_of(quotient(100 * closed.realized_pnl, entry_margin)) or "0",
        "liquidation_price": None,
        "stop_loss": None,
        "take_profit": None,
        "is_open": False,
        "version": version,
        "opened_at": to_ms(closed.opened_at),
        "closed_at": to_ms(closed_at),
    }


def balance_body(summary: MarginSummary, *, asset: str) -> Body:
    """The account's money; `assets` lists every asset with what of it is bound."""
    locked = max(ZERO, min(summary.balance, summary.initial + summary.held))
    shown = {
        "balance": summary.balance,
        "equity": summary.equity,
        "margin_used": round_display(summary.initial, scale=DISPLAY_SCALE),
        "margin_available": round_display(summary.available, scale=DISPLAY_SCALE),
        "held": summary.held,
        "margin_ratio": summary.ratio,
        "withdrawable": round_display(summary.withdrawable, scale=DISPLAY_SCALE),
        "unrealized_pnl": summary.unrealized_pnl,
    }
    free = summary.balance - locked
    return {key: plain(value) for key, value in shown.items()} | {
        "assets": [
            {
                "asset": asset,
                "free": plain(round_display(free, scale=DISPLAY_SCALE)),
                "locked": plain(round_display(locked, scale=DISPLAY_SCALE)),
                "total": plain(summary.balance),
            }
        ]
    }


def liquidation_body(
    figures: Mapping[str, Decimal | int], *, order: OrderLike | None, symbol: str | None, ratio: Decimal
) -> Body:
    """One step of a liquidation: orders that were cancelled, or what an order closed and what that cost."""
    shown = {name: plain(value) if isinstance(value, Decimal) else value for name, value in figures.items()}
    return shown | {
        "order_id": str(order.uuid) if order else None,
        "symbol": symbol,
        "side": order.side if order else None,
        "average_price": text_of(quotient(order.filled_notional, order.filled_quantity)) if order else None,
        "margin_ratio": plain(ratio),
    }


def funding_body(payment: Mapping[str, Any], *, symbol: str, asset: str) -> Body:
    """What a position got or paid for one hour; the signed quantity it held then."""
    return {
        "id": str(payment["uuid"]),
        "position_id": str(payment["position_uuid"]),
        "symbol": symbol,
        "asset": asset,
        "hour": to_ms(payment["hour"]),
        **{name: plain(payment[name]) for name in ("quantity", "mark", "rate", "amount")},
    }


def event_frame(*, kind: str, sequence: int, schema: int, at: datetime, data: Mapping[str, Any]) -> Body:
    """An account event as it stands in `/events` (by `kind`) and on the socket (by `type`)."""
    return {"type": kind, "kind": kind, "sequence": sequence, "schema": schema, "at": to_ms(at), "data": data}
