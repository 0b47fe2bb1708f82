"""What an order must pass, in the order of DESIGN §4.4, each refusal with its code of API.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from trading.tests.model.account import Account, Refused, Worth, worth_of
from trading.tests.model.exact import ZERO, fits
from trading.tests.model.market import BUY, Market

OPEN_ORDERS_MAX = 200
STALE_AFTER_S = 10
EXPIRES_WITHIN_S = 90 * 24 * 3600
CONDITIONAL = ("stop", "stop_limit", "take_profit", "take_profit_limit")
PRICED = ("limit", "stop_limit", "take_profit_limit")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """An order as it is asked for, or as a triggered or replaced one would be; `open` is what is not filled yet."""

    market: Market
    side: int
    type: str
    quantity: Fraction
    open: Fraction
    price: Fraction | None
    tif: str
    expires_at: int | None
    post_only: bool
    reduce_only: bool
    leverage: int
    trigger_price: Fraction | None = None
    trigger_by: str | None = None
    take_profit: Fraction | None = None
    stop_loss: Fraction | None = None


def check_shape(asked: Asked) -> None:
    """Fields that do not fit together are 1001, before anything is looked at."""
    protects = asked.take_profit is not None or asked.stop_loss is not None
    wrong = (
        (asked.type in PRICED) != (asked.price is not None),
        (asked.type in CONDITIONAL) != (asked.trigger_price is not None),
        asked.trigger_by is not None and asked.trigger_price is None and not protects,
        protects and asked.reduce_only,
        asked.post_only and (asked.type not in PRICED or asked.tif not in ("GTC", "GTT")),
        asked.tif == "GTT" and asked.type == "market",
        (asked.tif == "GTT") != (asked.expires_at is not None),
    )
    if any(wrong):
        raise Refused(1001, "validation_failed")


def rises(type_: str, side: int) -> bool:
    """Whether an order triggers when the price comes up to its trigger: stop buys and take-profit sells."""
    return type_.startswith("stop") == (side == BUY)


def check_size(asked: Asked) -> None:
    """Quantity and price fit the rules; what only reduces may be dust."""
    rules = asked.market.rules
    if asked.quantity < rules["min_quantity"] and not asked.reduce_only:
        raise Refused(3000, "below_minimum_size")
    if asked.quantity > rules["max_quantity"]:
        raise Refused(1001, "validation_failed")
    if not fits(rules["step_size"], asked.quantity):
        raise Refused(3001, "quantity_off_step")
    if asked.price is not None:
        check_tick(asked.market, asked.price)


def check_tick(market: Market, price: Fraction) -> None:
    if price <= 0 or not fits(market.rules["tick_size"], price):
        raise Refused(3002, "price_off_tick")


def check_levels(
    market: Market, side: int, entry: Fraction, *, stop_loss: Fraction | None, take_profit: Fraction | None
) -> None:
    """Stop loss on the losing side of the entry, take profit on the winning one."""
    for price, wins in ((stop_loss, -1), (take_profit, 1)):
        if price is not None:
            check_tick(market, price)
            if (price - entry) * side * wins <= 0:
                raise Refused(1001, "validation_failed")


def check_leverage(account: Account, market: Market, leverage: int) -> None:
    """Within the account's and the market's cap; spot has none."""
    cap = 1 if market.is_spot else min(account.max_leverage, int(market.rules["max_leverage"]))
    if not 1 <= leverage <= cap:
        raise Refused(3005, "leverage_above_limit")


def check_fresh(market: Market, now: int) -> None:
    if now - market.at > STALE_AFTER_S:
        raise Refused(2002, "market_data_stale")


def check_order(account: Account, asked: Asked, markets: Mapping[str, Market], *, now: int) -> None:
    """Everything but margin."""
    market = asked.market
    check_size(asked)
    if asked.expires_at is not None and not now < asked.expires_at <= now + EXPIRES_WITHIN_S:
        raise Refused(1001, "validation_failed")
    _check_prices(asked)
    check_fresh(market, now)
    check_leverage(account, market, asked.leverage)
    if sum(1 for _ in account.live()) >= OPEN_ORDERS_MAX:
        raise Refused(3009, "too_many_open_orders")
    if adds_risk(account, market.symbol, asked.side, asked.open, reduce_only=asked.reduce_only):
        _check_position(account, asked)
        _check_trading_cap(account, asked)
        check_daily_loss(account, markets)
    _check_holdings(account, asked)
    _check_post_only(account, asked)


def _check_prices(asked: Asked) -> None:
    """Band around the mark, or around the trigger price; trigger and protection on their sides."""
    market, trigger = asked.market, asked.trigger_price
    if asked.price is not None:
        low, high = market.band(market.mark if trigger is None else trigger)
        if not low <= asked.price <= high:
            raise Refused(3008, "price_outside_band")
    if trigger is not None:
        check_tick(market, trigger)
        present = market.price_by(asked.trigger_by or "mark")
        if present >= trigger if rises(asked.type, asked.side) else present <= trigger:
            raise Refused(1001, "validation_failed")
    entry = trigger if asked.price is None else asked.price
    if asked.type == "market":
        entry = market.mark
    elif asked.type == "limit" and asked.price is not None:
        entry = min(asked.price, market.mark) if asked.side == BUY else max(asked.price, market.mark)
    assert entry is not None
    check_levels(market, asked.side, entry, stop_loss=asked.stop_loss, take_profit=asked.take_profit)


def adds_risk(account: Account, symbol: str, side: int, quantity: Fraction, *, reduce_only: bool) -> bool:
    """Whether it would do more than take off from the position."""
    held = account.held(symbol)
    return not reduce_only and (held * side >= 0 or quantity > abs(held))


def _check_position(account: Account, asked: Asked) -> None:
    market, limit = asked.market, asked.market.rules["max_position_notional"]
    waiting = sum((order.remaining for order in account.waiting(market.symbol, asked.side)), ZERO)
    worst = abs(account.held(market.symbol) + asked.side * (waiting + asked.open)) * market.mark
    if limit is not None and worst > limit:
        raise Refused(3012, "position_above_limit")


def _check_trading_cap(account: Account, asked: Asked) -> None:
    if account.max_daily_notional is None:
        return
    bound = [order for order in account.live() if order.binds_margin]
    waiting = sum((order.remaining * (order.price or ZERO) for order in bound), ZERO)
    price = asked.market.mark if asked.price is None else asked.price
    if account.traded + waiting + asked.open * price > account.max_daily_notional:
        raise Refused(3015, "trading_cap_reached")


def check_daily_loss(account: Account, markets: Mapping[str, Market]) -> None:
    """A script lasts less than a day, and an account begins it with nothing."""
    loss = account.deposits - worth_of(account, markets).equity
    if account.max_daily_loss is not None and loss >= account.max_daily_loss:
        raise Refused(3011, "daily_loss_reached")


def _check_holdings(account: Account, asked: Asked) -> None:
    """Reduce-only is against the position and no larger; spot sells what is held and not offered already."""
    held = account.held(asked.market.symbol)
    if asked.reduce_only and (held * asked.side >= 0 or asked.open > abs(held)):
        raise Refused(3006, "reduce_only_would_increase")
    if asked.market.is_spot and asked.side != BUY:
        offered = sum((order.remaining for order in account.waiting(asked.market.symbol, asked.side)), ZERO)
        if asked.open > held - offered:
            raise Refused(3004, "insufficient_balance")


def _check_post_only(account: Account, asked: Asked) -> None:
    """It may meet neither the market nor an order of its own account."""
    if not asked.post_only or asked.trigger_price is not None or asked.price is None:
        return
    facing = [order.price for order in account.resting(asked.market.symbol, -asked.side)]
    for price in (asked.market.best_against(asked.side), *facing):
        if price is not None and (asked.price - price) * asked.side >= 0:
            raise Refused(3007, "post_only_would_take")


def check_margin(before: Worth, after: Worth) -> None:
    """What binds more than before must be covered."""
    if after.initial > before.initial and after.equity < after.initial:
        raise Refused(3003, "insufficient_margin")
