"""The filters of a symbol: as `exchangeInfo` publishes them, and held against an order (binance-api.md §6)."""

from decimal import Decimal
from typing import Any

from astrade.core.money import is_multiple
from astrade.emulators.binance.refusals import filter_failure
from astrade.emulators.binance.symbols import (
    AVERAGE_MINUTES,
    MAX_NOTIONAL,
    MIN_NOTIONAL,
    MULTIPLIER_DOWN,
    MULTIPLIER_UP,
    ORDERS_MAX,
    STOP_ORDERS_MAX,
    Symbol,
    amount,
)

Json = dict[str, Any]


def bodies(symbol: Symbol) -> list[Json]:
    """As `exchangeInfo` has them."""
    rules = symbol.rules
    tick, step = amount(rules.tick_size), amount(rules.step_size)
    lot = {"minQty": amount(rules.min_quantity), "stepSize": step}
    multipliers = {
        f"{side}Multiplier{end}": str(value)
        for side in ("bid", "ask")
        for end, value in (("Up", MULTIPLIER_UP), ("Down", MULTIPLIER_DOWN))
    }
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": amount(symbol.max_price), "tickSize": tick},
        {"filterType": "LOT_SIZE", **lot, "maxQty": amount(rules.max_quantity)},
        {"filterType": "MARKET_LOT_SIZE", **lot, "maxQty": amount(symbol.max_market_quantity)},
        {"filterType": "PERCENT_PRICE_BY_SIDE", **multipliers, "avgPriceMins": AVERAGE_MINUTES},
        {
            "filterType": "NOTIONAL",
            "minNotional": amount(MIN_NOTIONAL),
            "applyMinToMarket": True,
            "maxNotional": amount(MAX_NOTIONAL),
            "applyMaxToMarket": False,
            "avgPriceMins": AVERAGE_MINUTES,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": ORDERS_MAX},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": STOP_ORDERS_MAX},
    ]


def check_price(symbol: Symbol, price: Decimal) -> None:
    """Of an order's price or stop price. Raises Refused -1013, as everything below."""
    tick = symbol.rules.tick_size
    if not tick <= price <= symbol.max_price or not is_multiple(price, of=tick):
        raise filter_failure("PRICE_FILTER")


def check_quantity(symbol: Symbol, quantity: Decimal, *, is_market: bool) -> None:
    """In base units."""
    rules = symbol.rules
    if not rules.min_quantity <= quantity <= rules.max_quantity or not is_multiple(quantity, of=rules.step_size):
        raise filter_failure("LOT_SIZE")
    if is_market and quantity > symbol.max_market_quantity:
        raise filter_failure("MARKET_LOT_SIZE")


def check_band(price: Decimal, *, average: Decimal) -> None:
    """Of a limit price around the average price; both sides have the same multipliers here."""
    if not average * MULTIPLIER_DOWN <= price <= average * MULTIPLIER_UP:
        raise filter_failure("PERCENT_PRICE_BY_SIDE")


def check_notional(notional: Decimal, *, is_market: bool) -> None:
    """In quote; a market order has no upper bound."""
    if notional < MIN_NOTIONAL or (notional > MAX_NOTIONAL and not is_market):
        raise filter_failure("NOTIONAL")


def check_number(*, open_orders: int, open_stops: int, is_stop: bool) -> None:
    """Of an account's open orders on the symbol before this one."""
    if open_orders >= ORDERS_MAX:
        raise filter_failure("MAX_NUM_ORDERS")
    if is_stop and open_stops >= STOP_ORDERS_MAX:
        raise filter_failure("MAX_NUM_ALGO_ORDERS")
