"""Checks that hold back what adds risk, and never what takes it off (DESIGN §4.4): halts, cool-off, position limit,
daily trading cap, daily loss limit. They are asked in that order, each with its place among those of `admission`.
"""

from datetime import datetime
from decimal import Decimal

from astrade.core import errors
from astrade.core.clock import to_ms
from astrade.core.errors import AstradeError
from astrade.core.money import ZERO
from trading.domain.lifecycle import Side
from trading.domain.limits import RiskDay, own_limit
from trading.domain.margin import Board, summarise
from trading.domain.shapes import Terms
from trading.domain.state import AccountState, OrderRequest, OrderState

HALTED = "trading_halted"
_OBSTACLES: dict[type[AstradeError], str] = {
    errors.CoolOffInForce: "cool_off",
    errors.DailyLossReached: "daily_loss_limit",
    errors.TradingHalted: HALTED,
}


class RiskDayNotOpen(Exception):
    """A daily limit can't be decided yet: the account's risk day has to be reckoned first, outside the lock."""

    def __init__(self, *, account_id: int, user_id: int, now: datetime) -> None:
        super().__init__(f"account {account_id} has no risk day at {now:%Y-%m-%d %H:%M}")
        self.account_id, self.user_id, self.now = account_id, user_id, now


def adds_risk(account: AccountState, *, market_id: int, side: Side, quantity: Decimal, reduce_only: bool) -> bool:
    """Whether trading `quantity` base units would do more than take off from the position it stands against."""
    held = _held(account, market_id)
    return not reduce_only and (held * side.sign >= 0 or quantity > abs(held))


def check_cool_off(account: AccountState, *, now: datetime) -> None:
    """No cool-off that the user set themself is in force."""
    until = account.cool_off_until
    if until is not None and now < until:
        raise errors.CoolOffInForce(details={"cool_off_until": to_ms(until)})


def check_halts(account: AccountState, terms: Terms, *, now: datetime) -> None:
    """Trading is halted nowhere: not at all, not at the venues of account and market, not for market or account."""
    for halt in account.halts:
        if halt.concerns(account.venue, terms.venue, now=now):
            figures = {"scope": halt.scope, "reason": halt.reason, "since": to_ms(halt.since)}
            ends = {"until": to_ms(halt.until)} if halt.until else {}
            raise errors.TradingHalted(details=figures | ends)


def check_position(account: AccountState, request: OrderRequest, terms: Terms, *, mark: Decimal) -> None:
    """Position and open orders of the order's side, were they all filled, stay within the market's limit at mark."""
    limit = terms.max_position_notional
    if limit is None:
        return
    orders = account.orders_on(terms.id)
    waiting = orders.buy_quantity if request.side is Side.BUY else orders.sell_quantity
    held = _held(account, terms.id)
    worst = abs(held + request.side.sign * (waiting + request.quantity)) * mark
    if worst > limit:
        figures = {"position": abs(held) * mark, "open_orders": waiting * mark, "order": request.quantity * mark}
        raise errors.PositionAboveLimit(details=figures | {"max_position": limit})


def check_trading_cap(account: AccountState, request: OrderRequest, *, mark: Decimal, now: datetime) -> None:
    """What was traded in the risk day, what open orders may still trade and the order itself stay within the cap."""
    limit = own_limit(account, "max_daily_notional").at(now).value
    if limit is None:
        return
    traded = account.traded_notional - _day_of(account, now=now).traded_notional
    waiting = sum((orders.buy_notional + orders.sell_notional for orders in account.open_orders.values()), ZERO)
    order = request.quantity * (mark if request.price is None else request.price)
    if traded + waiting + order > limit:
        figures = {"traded": traded, "open_orders": waiting, "order": order, "max_daily_notional": limit}
        raise errors.TradingCapReached(details=figures)


def check_daily_loss(account: AccountState, board: Board, *, now: datetime) -> None:
    """Realised and unrealised loss since the user's midnight, deposits taken out, has not reached the limit."""
    limit = own_limit(account, "max_daily_loss").at(now).value
    if limit is None:
        return
    day = _day_of(account, now=now)
    earned = summarise(account, board).equity - account.net_deposits
    loss = day.equity - day.net_deposits - earned
    if loss >= limit:
        raise errors.DailyLossReached(
            details={"loss": loss, "max_daily_loss": limit, "day_ends_at": to_ms(day.ends_at)}
        )


def obstacle(account: AccountState, order: OrderState, terms: Terms, *, board: Board, now: datetime) -> str | None:
    """Why an order admitted earlier may not be filled now, None if it may: what came in force meanwhile holds for it.

    `HALTED` passes, so the order waits; anything else is the reason it is to be cancelled for.
    """
    if not adds_risk(
        account, market_id=terms.id, side=order.side, quantity=order.remaining, reduce_only=order.reduce_only
    ):
        return None
    try:
        check_cool_off(account, now=now)
        check_daily_loss(account, board, now=now)
        check_halts(account, terms, now=now)
    except AstradeError as refusal:
        return _OBSTACLES[type(refusal)]
    return None


def _day_of(account: AccountState, *, now: datetime) -> RiskDay:
    day = account.risk_day
    if day is None or not day.holds(now):
        raise RiskDayNotOpen(account_id=account.id, user_id=account.user_id, now=now)
    return day


def _held(account: AccountState, market_id: int) -> Decimal:
    position = account.positions.get(market_id)
    return position.quantity if position else ZERO
