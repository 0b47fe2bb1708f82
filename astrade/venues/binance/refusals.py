"""Binance's error numbers as our faults (binance-api.md §8); what isn't here is 5000 with the venue's words."""

from collections.abc import Mapping

from astrade.core.errors import (
    AstradeError,
    BelowMinimumSize,
    InsufficientMargin,
    MarketNotTrading,
    OrderNotOpen,
    PriceOffTick,
    PriceOutsideBand,
    QuantityOffStep,
    TooManyOpenOrders,
    UnknownMarket,
    ValidationFailed,
)
from astrade.venues.errors import InvalidSignature, InvalidVenueCredentials, VenueError

REASONS: Mapping[int, type[AstradeError]] = {
    -1002: InvalidVenueCredentials,
    **dict.fromkeys((-1100, -1101, -1102, -1103, -1104, -1105, -1106, -1111, -1112, -1114), ValidationFailed),
    **dict.fromkeys((-1115, -1116, -1117, -1118, -1120, -1127, -1128, -1130), ValidationFailed),
    -1022: InvalidSignature,
    -1121: UnknownMarket,
    -2011: OrderNotOpen,
    -2013: OrderNotOpen,
    -2014: InvalidVenueCredentials,
    -2015: InvalidVenueCredentials,
}
FILTERS: Mapping[str, type[AstradeError]] = {
    "PRICE_FILTER": PriceOffTick,
    "LOT_SIZE": QuantityOffStep,
    "MARKET_LOT_SIZE": QuantityOffStep,
    "NOTIONAL": BelowMinimumSize,
    "MIN_NOTIONAL": BelowMinimumSize,
    "PERCENT_PRICE": PriceOutsideBand,
    "PERCENT_PRICE_BY_SIDE": PriceOutsideBand,
    "MAX_NUM_ORDERS": TooManyOpenOrders,
    "MAX_NUM_ALGO_ORDERS": TooManyOpenOrders,
}
REJECTIONS: Mapping[str, type[AstradeError]] = {  # one number for many causes, told apart by their words
    "Account has insufficient balance for requested action.": InsufficientMargin,
    "Market is closed.": MarketNotTrading,
}
FILTER_FAILURE, ORDER_REJECTED = -1013, -2010
TOO_MANY = (-1003, -1015, -1034)
UNDECIDED = (-1000, -1001, -1006, -1007, -1008)  # of a write nobody knows whether it was carried out


def reason_of(code: int, *, message: str) -> type[AstradeError]:
    """Our fault for the venue's number and words."""
    if code == FILTER_FAILURE:
        return FILTERS.get(message.removeprefix("Filter failure: ").strip(), ValidationFailed)
    if code == ORDER_REJECTED:
        return REJECTIONS.get(message, VenueError)
    return REASONS.get(code, VenueError)
