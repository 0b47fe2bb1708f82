"""What Extended shows, in our words (extended-api.md §6, §7.4)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from astrade.core.clock import from_ms
from astrade.core.money import ZERO
from astrade.venues.extended import account_wire, wire
from trading.domain.lifecycle import OrderRole, OrderStatus, OrderType, Side, TimeInForce, TriggerBy
from trading.domain.protection import LEG_TYPE
from trading.domain.reports import ShownOrder, VenueFunding, VenueTrade
from trading.venues.base import ShownPosition

_S = wire.OrderStatus
STATUSES = {
    _S.NEW: OrderStatus.OPEN,
    _S.PARTIALLY_FILLED: OrderStatus.PARTIALLY_FILLED,
    _S.UNTRIGGERED: OrderStatus.UNTRIGGERED,
    _S.TRIGGERED: OrderStatus.OPEN,
    _S.FILLED: OrderStatus.FILLED,
    _S.CANCELLED: OrderStatus.CANCELLED,
    _S.REJECTED: OrderStatus.REJECTED,
    _S.EXPIRED: OrderStatus.EXPIRED,
}
SIDES = {wire.Side.BUY: Side.BUY, wire.Side.SELL: Side.SELL}
BY = {
    wire.TriggerPriceType.LAST: TriggerBy.LAST,
    wire.TriggerPriceType.MARK: TriggerBy.MARK,
    wire.TriggerPriceType.INDEX: TriggerBy.INDEX,
}
_AT_MARKET = frozenset({OrderType.MARKET, OrderType.STOP, OrderType.TAKE_PROFIT})
_CONDITIONAL = {  # side and direction of the trigger: a stop follows the price, a take profit waits for it to come back
    (Side.BUY, wire.TriggerDirection.UP): (OrderType.STOP, OrderType.STOP_LIMIT),
    (Side.SELL, wire.TriggerDirection.DOWN): (OrderType.STOP, OrderType.STOP_LIMIT),
    (Side.BUY, wire.TriggerDirection.DOWN): (OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT),
    (Side.SELL, wire.TriggerDirection.UP): (OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT),
}


def shown(rows: Iterable[account_wire.Order]) -> list[ShownOrder]:
    """Orders in our words. What has no counterpart here is left out: a status or side we don't know, an order of no
    quantity that closes nothing.
    """
    known = (_shown(row) for row in rows if row.status in STATUSES and row.side in SIDES)
    return [one for one in known if one.quantity or one.role]


def _shown(row: account_wire.Order) -> ShownOrder:
    condition = _condition_of(row)
    reason = "" if row.status_reason in (None, "NONE") else str(row.status_reason).lower()
    return ShownOrder(
        venue_order_id=row.id,
        external_id=row.external_id,
        symbol=row.market,
        side=SIDES[row.side],
        type=condition.type,
        time_in_force=TimeInForce.IOC if row.time_in_force is wire.TimeInForce.IOC else TimeInForce.GTT,
        quantity=row.qty,
        price=None if condition.type in _AT_MARKET or not row.price else row.price,
        post_only=row.post_only,
        reduce_only=row.reduce_only,
        status=STATUSES[row.status],
        reason=reason[:64],
        filled_quantity=row.filled_qty or ZERO,
        expires_at=_instant(row.expires_ms),
        at=from_ms(row.updated_time),
        trigger_price=condition.price,
        trigger_by=condition.by,
        take_profit=condition.take_profit,
        role=condition.role,
    )


@dataclass(frozen=True, slots=True)
class _Condition:
    type: OrderType
    price: Decimal | None = None
    by: TriggerBy | None = None
    role: OrderRole | None = None
    take_profit: Decimal | None = None  # beside a stop loss


def _condition_of(row: account_wire.Order) -> _Condition:
    """What the order waits for; a pair is a stop loss with the take profit beside it (§7.2)."""
    if row.type is wire.OrderType.TPSL and (leg := row.stop_loss or row.take_profit) is not None:
        role = OrderRole.TAKE_PROFIT if row.stop_loss is None else OrderRole.STOP_LOSS
        other = row.take_profit.trigger_price if row.stop_loss and row.take_profit else None
        return _Condition(LEG_TYPE[role], leg.trigger_price, _by(leg.trigger_price_type), role, other)
    if row.trigger is not None and (pair := _CONDITIONAL.get((SIDES[row.side], row.trigger.fires))):
        type_ = pair[row.trigger.execution_price_type is wire.PriceType.LIMIT]
        return _Condition(type_, row.trigger.trigger_price, _by(row.trigger.trigger_price_type))
    return _Condition(OrderType.MARKET if row.type is wire.OrderType.MARKET else OrderType.LIMIT)


def _by(spelt: wire.TriggerPriceType) -> TriggerBy:
    return BY.get(spelt, TriggerBy.MARK)


def trade_of(row: account_wire.Trade) -> VenueTrade:
    """One execution in our words."""
    return VenueTrade(
        trade_id=str(row.id),
        venue_order_id=row.order_id,
        symbol=row.market,
        side=SIDES[row.side],
        price=row.price,
        quantity=row.qty,
        fee=row.fee,
        is_taker=row.is_taker,
        at=from_ms(row.created_time),
    )


def funding_of(row: account_wire.FundingPayment) -> VenueFunding:
    """What was paid for an hour, in our words."""
    paid_at = from_ms(row.paid_time)
    sign = -1 if row.side is wire.PositionSide.SHORT else 1
    return VenueFunding(
        payment_id=str(row.id),
        symbol=row.market,
        hour=paid_at.replace(minute=0, second=0, microsecond=0),
        quantity=sign * abs(row.size),
        mark=row.mark_price,
        rate=row.funding_rate,
        amount=row.funding_fee,
    )


def position_of(row: account_wire.Position) -> ShownPosition:
    """An open position in our words, its quantity signed."""
    sign = -1 if row.side is wire.PositionSide.SHORT else 1
    return ShownPosition(symbol=row.market, quantity=sign * abs(row.size), entry_price=Decimal(row.open_price))


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)
