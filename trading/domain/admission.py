"""The checks every order passes, in the order of DESIGN §4.4; each refusal names its figures."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from astrade.core import errors
from astrade.core.messages import MarketView, Quote
from astrade.core.money import ZERO, is_multiple
from trading.domain.lifecycle import OrderType, Side, TimeInForce
from trading.domain.margin import MarginSummary
from trading.domain.shapes import Terms
from trading.domain.simulator import crosses
from trading.domain.state import AccountState, OrderRequest

ACTIVE = "active"
REDUCE_ONLY = "reduce_only"
SPOT = "spot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The platform's own limits, from settings. Ages in seconds."""

    open_orders_max: int
    stale_after_s: float


def check_offered(request: OrderRequest) -> None:
    """Refuse what the practice venue does not take: order types and times in force beyond market and limit orders."""
    if request.type not in (OrderType.MARKET, OrderType.LIMIT) or request.time_in_force is TimeInForce.GTT:
        raise errors.OrderTypeNotOffered(details={"type": request.type, "time_in_force": request.time_in_force})
    is_limit = request.type is OrderType.LIMIT
    if is_limit != (request.price is not None):
        raise errors.ValidationFailed(
            details={"fields": {"price": ["Required for limit orders, not allowed for market orders."]}}
        )
    if request.post_only and (not is_limit or request.time_in_force is not TimeInForce.GTC):
        raise errors.ValidationFailed(details={"fields": {"post_only": ["Only for limit orders that stay (GTC)."]}})


def may_trade(account: AccountState) -> bool:
    """Whether neither the user nor the account is frozen or closed."""
    return account.user_state == ACTIVE and account.state == ACTIVE


def check_account(account: AccountState) -> None:
    """The user and the account may trade."""
    if account.user_state != ACTIVE:
        raise errors.UserFrozen
    if account.state != ACTIVE:
        raise errors.AccountFrozen(details={"state": account.state})


def check_rules(request: OrderRequest, terms: Terms) -> None:
    """The market trades, and quantity and price fit its rules. A quantity is refused, never rounded."""
    if terms.status != ACTIVE and not (terms.status == REDUCE_ONLY and request.reduce_only):
        raise errors.MarketNotTrading(details={"symbol": terms.symbol, "status": terms.status})
    if request.quantity < terms.min_quantity:
        raise errors.BelowMinimumSize(details={"quantity": request.quantity, "min_quantity": terms.min_quantity})
    if request.quantity > terms.max_quantity:
        raise errors.ValidationFailed(details={"fields": {"quantity": [f"At most {terms.max_quantity:f}."]}})
    if not is_multiple(request.quantity, of=terms.step_size):
        raise errors.QuantityOffStep(details={"quantity": request.quantity, "step_size": terms.step_size})
    if request.price is not None and (request.price <= 0 or not is_multiple(request.price, of=terms.tick_size)):
        raise errors.PriceOffTick(details={"price": request.price, "tick_size": terms.tick_size})


def check_band(request: OrderRequest, terms: Terms, quote: Quote) -> None:
    """A limit price stays within the market's band around the mark."""
    if request.price is None:
        return
    low, high = band_of(terms, quote)
    if not low <= request.price <= high:
        figures = {"price": request.price, "mark": quote.mark, "lowest": low, "highest": high}
        raise errors.PriceOutsideBand(details=figures)


def band_of(terms: Terms, quote: Quote) -> tuple[Decimal, Decimal]:
    """Lowest and highest price allowed around the mark."""
    width = quote.mark * terms.price_band
    return quote.mark - width, quote.mark + width


def check_fresh(view: MarketView, *, now: datetime, stale_after_s: float) -> None:
    """The market view is young enough to trade on; `now` is taken under the account lock."""
    age_s = (now - view.quote.at).total_seconds()
    if age_s > stale_after_s:
        raise errors.MarketDataStale(details={"symbol": view.quote.symbol, "age_ms": int(age_s * 1000)})


def leverage_cap(account: AccountState, terms: Terms) -> int:
    """The highest leverage the account may use on a market; spot has none."""
    return 1 if terms.type == SPOT else min(account.max_leverage, int(terms.max_leverage))


def check_leverage(account: AccountState, terms: Terms, *, leverage: int) -> None:
    """Leverage within the account's and the market's cap."""
    cap = leverage_cap(account, terms)
    if not 1 <= leverage <= cap:
        raise errors.LeverageAboveLimit(details={"leverage": leverage, "max_leverage": cap})


def check_open_orders(account: AccountState, *, at_most: int) -> None:
    """Room for one more open order."""
    count = sum(orders.count for orders in account.open_orders.values())
    if count >= at_most:
        raise errors.TooManyOpenOrders(details={"open_orders": count, "max_open_orders": at_most})


def check_reduction(account: AccountState, request: OrderRequest, *, market_id: int) -> None:
    """A reduce-only order stands against the position and is no larger than it."""
    if not request.reduce_only:
        return
    position = account.positions.get(market_id)
    held = position.quantity if position else ZERO
    if held * request.side.sign >= 0 or request.quantity > abs(held):
        raise errors.ReduceOnlyWouldIncrease(details={"position": held, "quantity": request.quantity})


def check_spot(account: AccountState, request: OrderRequest, terms: Terms) -> None:
    """Spot is long only: what is sold must be held and not already offered by open orders."""
    if terms.type != SPOT or request.side is Side.BUY:
        return
    position, orders = account.positions.get(terms.id), account.orders_on(terms.id)
    free = (position.quantity if position else ZERO) - orders.sell_quantity
    if request.quantity > free:
        raise errors.InsufficientBalance(details={"required": request.quantity, "available": max(ZERO, free)})


def check_post_only(request: OrderRequest, quote: Quote) -> None:
    """A post-only order must not trade on arrival."""
    best = quote.ask if request.side is Side.BUY else quote.bid
    if request.post_only and crosses(request.side, price=best, limit=request.price):
        raise errors.PostOnlyWouldTake(details={"price": request.price, "best": best})


def check_margin(before: MarginSummary, after: MarginSummary) -> None:
    """What binds more margin than before must be covered by equity; what binds less or as much always passes."""
    if after.initial > before.initial and after.available < 0:
        required = after.initial - before.initial + (before.equity - after.equity)
        raise errors.InsufficientMargin(details={"required": required, "available": max(ZERO, before.available)})
