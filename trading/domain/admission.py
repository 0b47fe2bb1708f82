"""The checks every order passes, in the order of DESIGN §4.4; each refusal names its figures."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from astrade.core import errors
from astrade.core.clock import to_ms
from astrade.core.messages import MarketView, Quote
from astrade.core.money import ZERO, is_multiple
from trading.domain.lifecycle import CONDITIONAL, PRICED, OrderType, Side, TimeInForce, TriggerBy
from trading.domain.margin import MarginSummary
from trading.domain.protection import check_levels
from trading.domain.shapes import Terms
from trading.domain.simulator import crosses
from trading.domain.slicing import SLICE_EVERY_S_MIN, smallest_slice
from trading.domain.state import AccountHead, AccountState, OrderRequest, OrderState
from trading.domain.triggers import is_reached, price_by, triggers_upwards

ACTIVE = "active"
REDUCE_ONLY = "reduce_only"
SPOT = "spot"
EXPIRES_WITHIN = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The platform's own limits, from settings. Ages in seconds."""

    open_orders_max: int
    stale_after_s: float


def check_offered(request: OrderRequest) -> None:
    """Refuse orders whose parts do not fit together; every type is offered on practice."""
    is_limit = request.type in PRICED
    if is_limit != (request.price is not None) and request.type is not OrderType.TWAP:
        raise errors.ValidationFailed(
            details={"fields": {"price": ["Required for limit orders, not allowed for market orders."]}}
        )
    _check_twap(request)
    _check_triggered(request)
    if request.post_only and (not is_limit or request.time_in_force not in (TimeInForce.GTC, TimeInForce.GTT)):
        raise errors.ValidationFailed(
            details={"fields": {"post_only": ["Only for limit orders that stay (GTC or GTT)."]}}
        )
    _check_good_till(request)


def check_practice(account: AccountHead) -> None:
    """For what is done to practice accounts only; raises OrderTypeNotOffered, which names the venue."""
    if account.is_live:
        raise errors.OrderTypeNotOffered("Not offered by this venue", details={"venue": account.venue})


def check_offered_live(request: OrderRequest, terms: Terms, *, venue: str) -> None:
    """Refuse what is not sent to a venue; raises OrderTypeNotOffered."""
    wrong = [] if request.leverage is None else ["leverage"]
    if terms.venue != venue:
        wrong.append("symbol")
    if request.time_in_force is TimeInForce.FOK:
        wrong.append("time_in_force")
    if wrong:
        raise errors.OrderTypeNotOffered(details={"venue": venue, "not_offered": wrong})


def _check_twap(request: OrderRequest) -> None:
    fields: dict[str, list[str]] = {}
    if (request.type is OrderType.TWAP) != (request.twap is not None):
        fields["twap"] = ["Required for TWAP orders, not allowed for others."]
    elif request.twap is not None:
        if request.twap.duration_s < SLICE_EVERY_S_MIN * request.twap.slices:
            fields["twap"] = [f"At most one slice every {SLICE_EVERY_S_MIN} seconds."]
        if request.time_in_force is not TimeInForce.GTC:
            fields["time_in_force"] = ["A TWAP order lasts as long as its duration."]
        for name in ("take_profit", "stop_loss"):
            if getattr(request, name) is not None:
                fields[name] = ["Not for TWAP orders: set it on the position, it follows its size."]
    if fields:
        raise errors.ValidationFailed(details={"fields": fields})


def _check_triggered(request: OrderRequest) -> None:
    fields: dict[str, list[str]] = {}
    if (request.type in CONDITIONAL) != (request.trigger_price is not None):
        fields["trigger_price"] = ["Required for stop and take-profit orders, not allowed for others."]
    brings_protection = request.take_profit is not None or request.stop_loss is not None
    if request.trigger_by is not None and request.trigger_price is None and not brings_protection:
        fields["trigger_by"] = ["Only with a trigger price, a take profit or a stop loss."]
    if brings_protection and request.reduce_only:
        fields["reduce_only"] = ["What only reduces a position brings no take profit or stop loss."]
    if fields:
        raise errors.ValidationFailed(details={"fields": fields})


def _check_good_till(request: OrderRequest) -> None:
    if request.time_in_force is TimeInForce.GTT and request.type is OrderType.MARKET:
        raise errors.ValidationFailed(details={"fields": {"time_in_force": ["Market orders never wait."]}})
    if (request.time_in_force is TimeInForce.GTT) != (request.expires_at is not None):
        raise errors.ValidationFailed(
            details={"fields": {"expires_at": ["Required with time in force GTT, not allowed without."]}}
        )


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
    check_size(request, terms)
    check_slices(request, terms)


def check_slices(request: OrderRequest, terms: Terms) -> None:
    """Each slice of a TWAP order is large enough to be an order: the minimum, or a step of what only reduces."""
    if request.twap is None:
        return
    slices, least = request.twap.slices, terms.step_size if request.reduce_only else terms.min_quantity
    smallest = smallest_slice(request.quantity, step=terms.step_size, slices=slices)
    if smallest < least:
        raise errors.BelowMinimumSize(details={"quantity": smallest, "min_quantity": least, "slices": slices})


def check_size(request: OrderRequest, terms: Terms) -> None:
    """Quantity and price fit the market's rules; what only reduces may be below the minimum, as dust must be closable
    (pitfalls 10).
    """
    if request.quantity < terms.min_quantity and not request.reduce_only:
        raise errors.BelowMinimumSize(details={"quantity": request.quantity, "min_quantity": terms.min_quantity})
    if request.quantity > terms.max_quantity:
        raise errors.ValidationFailed(details={"fields": {"quantity": [f"At most {terms.max_quantity:f}."]}})
    if not is_multiple(request.quantity, of=terms.step_size):
        raise errors.QuantityOffStep(details={"quantity": request.quantity, "step_size": terms.step_size})
    if request.price is not None and (request.price <= 0 or not is_multiple(request.price, of=terms.tick_size)):
        raise errors.PriceOffTick(details={"price": request.price, "tick_size": terms.tick_size})


def check_expiry(request: OrderRequest, *, now: datetime) -> None:
    """An order with a last moment ends later than now and within 90 days (Extended's 1135); `now` is taken under
    the lock.
    """
    if request.expires_at is None:
        return
    latest = now + EXPIRES_WITHIN
    if not now < request.expires_at <= latest:
        allowed = f"Must be in the future and at most {EXPIRES_WITHIN.days} days ahead."
        figures = {"now": to_ms(now), "latest": to_ms(latest)}
        raise errors.ValidationFailed(details={"fields": {"expires_at": [allowed]}} | figures)


def check_band(request: OrderRequest, terms: Terms, quote: Quote) -> None:
    """A limit price stays within the market's band around the mark; until it is triggered, around the trigger price
    (extended-api.md §7.2).
    """
    if request.price is None:
        return
    low, high = band_of(terms, quote) if request.trigger_price is None else band_around(request.trigger_price, terms)
    if not low <= request.price <= high:
        figures = {"price": request.price, "mark": quote.mark, "lowest": low, "highest": high}
        raise errors.PriceOutsideBand(details=figures)


def band_of(terms: Terms, quote: Quote) -> tuple[Decimal, Decimal]:
    """Lowest and highest price allowed around the mark."""
    return band_around(quote.mark, terms)


def band_around(price: Decimal, terms: Terms) -> tuple[Decimal, Decimal]:
    """Lowest and highest price within the market's band around `price`."""
    width = price * terms.price_band
    return price - width, price + width


def check_trigger(request: OrderRequest, terms: Terms, quote: Quote) -> None:
    """A trigger price is on tick and not reached yet: an order that would trigger on arrival is refused, as by Binance
    ("Order would trigger immediately.", binance-api.md), since it is a slip of side or type more often than a wish.
    """
    price = request.trigger_price
    if price is None:
        return
    if price <= 0 or not is_multiple(price, of=terms.tick_size):
        raise errors.PriceOffTick(details={"trigger_price": price, "tick_size": terms.tick_size})
    by = request.trigger_by or TriggerBy.MARK
    now = price_by(quote, by)
    if is_reached(price, low=now, high=now, rises=triggers_upwards(request.type, request.side)):
        where = "above" if triggers_upwards(request.type, request.side) else "below"
        fields = {"trigger_price": [f"Must lie {where} the {by} price, or the order would trigger immediately."]}
        raise errors.ValidationFailed(details={"fields": fields, by.value: now})


def check_protection(request: OrderRequest, terms: Terms, quote: Quote) -> None:
    """The take profit and stop loss that an order brings lie on their sides of the price it enters at."""
    if request.role is not None:
        return  # held against the position (`trading.services.venue_changes`)
    entry = request.price if request.price is not None else request.trigger_price
    if request.type is OrderType.MARKET:
        entry = quote.mark
    elif request.type is OrderType.LIMIT and request.price is not None:
        entry = (min if request.side is Side.BUY else max)(request.price, quote.mark)  # one that takes enters at once
    if entry is not None:
        levels = {"stop_loss": request.stop_loss, "take_profit": request.take_profit}
        check_levels(terms, side=request.side, entry=entry, **levels)


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


def check_post_only(request: OrderRequest, quote: Quote, *, facing: Iterable[OrderState] = ()) -> None:
    """A post-only order must not trade on arrival, nor meet one of the account's own that faces it."""
    if not request.post_only or request.trigger_price is not None:
        return
    rest = (order for order in facing if order.is_resting and order.side is request.side.opposite)
    own = [order.price for order in rest if order.price is not None]
    best = min([quote.ask, *own]) if request.side is Side.BUY else max([quote.bid, *own])
    if crosses(request.side, price=best, limit=request.price):
        raise errors.PostOnlyWouldTake(details={"price": request.price, "best": best})


def check_margin(before: MarginSummary, after: MarginSummary) -> None:
    """What binds more margin than before must be covered by equity; what binds less or as much always passes."""
    if after.initial > before.initial and after.available < 0:
        required = after.initial - before.initial + (before.equity - after.equity)
        raise errors.InsufficientMargin(details={"required": required, "available": max(ZERO, before.available)})
