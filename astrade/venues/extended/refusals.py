"""Extended's error numbers as our faults (extended-api.md §4); what isn't here is 5000 with the venue's words."""

from collections.abc import Mapping

from astrade.core.errors import (
    AmountBelowMinimum,
    AstradeError,
    BelowMinimumSize,
    InsufficientMargin,
    InsufficientWithdrawable,
    LeverageAboveLimit,
    MarketNotTrading,
    NotReady,
    OrderNotOpen,
    OrderTypeNotOffered,
    PositionAboveLimit,
    PriceOffTick,
    PriceOutsideBand,
    QuantityOffStep,
    ReduceOnlyWouldIncrease,
    TooManyOpenOrders,
    TradingHalted,
    UnknownDestination,
    UnknownMarket,
    ValidationFailed,
)
from astrade.venues.errors import InvalidSignature, InvalidVenueCredentials, VenueError
from astrade.venues.transport import NOT_AUTHENTICATED


class VenueMaintenance(NotReady):
    """The venue refuses orders while it is maintained."""

    code, message = 5004, "The venue is being maintained"


Reasons = Mapping[int, type[AstradeError]]

REASONS: Reasons = {
    1001: UnknownMarket,
    1002: MarketNotTrading,
    1003: UnknownMarket,
    1005: ValidationFailed,
    1008: InvalidVenueCredentials,
    1010: VenueMaintenance,
    1012: TradingHalted,
    1013: ValidationFailed,
    1014: TradingHalted,
    **dict.fromkeys((1049, 1050, 1051, 1052, 1053, 10501), LeverageAboveLimit),
    1100: InvalidVenueCredentials,
    1101: InvalidSignature,
    1102: InvalidVenueCredentials,
    1120: BelowMinimumSize,
    1121: QuantityOffStep,
    1122: PositionAboveLimit,
    1123: QuantityOffStep,
    1124: PriceOffTick,
    1125: PriceOffTick,
    1126: TooManyOpenOrders,
    1127: PositionAboveLimit,
    1132: OrderTypeNotOffered,
    **dict.fromkeys((1136, 1137, 1138, 1145), ReduceOnlyWouldIncrease),
    1140: InsufficientMargin,
    1141: PriceOutsideBand,
    1142: OrderNotOpen,
    1147: InsufficientMargin,
    1148: InsufficientMargin,
    1500: InvalidVenueCredentials,
    1600: AmountBelowMinimum,
    1608: UnknownDestination,
    1650: AmountBelowMinimum,
}
FUNDS_REASONS: Reasons = {1004: UnknownDestination, 1140: InsufficientWithdrawable}  # of calls that move funds
DUPLICATE_ORDER = 1134


def reason_of(venue_code: int | str | None, *, status: int, special: Reasons) -> type[AstradeError]:
    """Our fault for the venue's number under an HTTP status; `special` is what a call's own numbers mean."""
    if status == NOT_AUTHENTICATED:
        return InvalidVenueCredentials
    number = venue_code if isinstance(venue_code, int) else None
    return (special.get(number) or REASONS.get(number) or VenueError) if number is not None else VenueError
