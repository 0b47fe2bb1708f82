"""The error tree: every refusal a client can see, with its public code (API.md, "Error codes").

A class names one fault and knows its code; `STATUS_OF` is the only place that maps a code to an HTTP status.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from astrade.core.clock import to_ms
from astrade.core.money import plain

_BY_STATUS: Mapping[int, tuple[int, ...]] = {
    202: (4004, 5005),
    400: (
        1000,
        1001,
        2001,
        *range(3000, 3010),
        3011,
        3012,
        3014,
        3015,
        *range(4000, 4004),
        5000,
        7000,
        7001,
        7002,
        2000,
    ),
    401: (1100, 1101, 1102, 1103, 1104, 1108, 5001, 5002),
    403: (1105, 1106, 1107, 3016, 3018, 3019, 6001),
    404: (1002,),
    405: (1003,),
    409: (1005, 1006, 1109, 3010, 3013, 4005, 6000, 6002, 7003),
    413: (1007,),
    415: (1004,),
    426: (1008,),
    429: (1200, 1201, 1203),
    500: (9000,),
    503: (1202, 2002, 3017, 5004),
    504: (5003,),
}
STATUS_OF: Mapping[int, int] = {code: status for status, codes in _BY_STATUS.items() for code in codes}


def json_safe(value: Any) -> Any:
    """Details for a client: decimals as plain strings, instants as milliseconds, everything else as it is."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return to_ms(value)
    if isinstance(value, Mapping):
        return {key: json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(item) for item in value]
    return value


class AstradeError(Exception):
    """Base of all refusals; `details` may hold decimals, which are shown as strings."""

    code: int = 9000
    message: str = "Internal error"

    def __init__(
        self,
        message: str | None = None,
        *,
        details: Mapping[str, Any] | None = None,
        retry_after_s: int | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message or self.message)
        self.details: dict[str, Any] = json_safe(dict(details or {}))
        self.retry_after_s = retry_after_s
        self.status = status or STATUS_OF[self.code]


class RequestError(AstradeError):
    code, message = 1000, "Malformed request"


class Malformed(RequestError):
    code, message = 1000, "Malformed request"


class ValidationFailed(RequestError):
    code, message = 1001, "Validation failed"


class NotFound(RequestError):
    code, message = 1002, "Not found"


class MethodNotAllowed(RequestError):
    code, message = 1003, "Method not allowed"


class UnsupportedMediaType(RequestError):
    code, message = 1004, "Unsupported media type"


class IdempotencyConflict(RequestError):
    code, message = 1005, "This idempotency key was used with another request"


class VersionConflict(RequestError):
    code, message = 1006, "The object has changed since it was read"


class TooLarge(RequestError):
    code, message = 1007, "Request body too large"


class ClientTooOld(RequestError):
    code, message = 1008, "This client version is no longer supported"


class IdentityError(AstradeError):
    code, message = 1100, "Not authenticated"


class NotAuthenticated(IdentityError):
    code, message = 1100, "Authentication required"


class InvalidCredentials(IdentityError):
    code, message = 1101, "Invalid credentials"


class TokenExpired(IdentityError):
    code, message = 1102, "Token expired or revoked"


class NotPermitted(IdentityError):
    code, message = 1105, "Not permitted"


class ScopeMissing(IdentityError):
    code, message = 1106, "The API key lacks the scope for this call"


class UserFrozen(IdentityError):
    code, message = 1107, "This user is frozen"


class EmailTaken(IdentityError):
    code, message = 1109, "This e-mail address is already registered"


class LimitError(AstradeError):
    code, message = 1200, "Too many requests"


class RateLimited(LimitError):
    code, message = 1200, "Too many requests"


class TooManyConnections(LimitError):
    code, message = 1202, "Too many connections"


class TooManySubscriptions(LimitError):
    code, message = 1203, "Too many subscriptions"


class MaintenanceMode(AstradeError):
    """Writes wait while the platform is maintained."""

    code, message = 3017, "The platform is being maintained; cancels still work"


class NotReady(AstradeError):
    """Something this process can't do without is away."""

    code, message = 5004, "Not ready"


class MarketError(AstradeError):
    code, message = 2000, "Unknown market"


class UnknownMarket(MarketError):
    """400 in a body or query; pass `status=404` where the market is named by the path."""

    code, message = 2000, "Unknown market"


class MarketNotTrading(MarketError):
    code, message = 2001, "Market is not trading"


class MarketDataStale(MarketError):
    code, message = 2002, "No fresh market data"


class TradingError(AstradeError):
    code, message = 5000, "Rejected"


class BelowMinimumSize(TradingError):
    code, message = 3000, "Quantity below the market's minimum"


class QuantityOffStep(TradingError):
    code, message = 3001, "Quantity is not a multiple of the market's step size"


class PriceOffTick(TradingError):
    code, message = 3002, "Price is not a multiple of the market's tick size"


class InsufficientMargin(TradingError):
    code, message = 3003, "Not enough free margin"


class InsufficientBalance(TradingError):
    code, message = 3004, "Not enough balance"


class LeverageAboveLimit(TradingError):
    code, message = 3005, "Leverage above the limit"


class ReduceOnlyWouldIncrease(TradingError):
    code, message = 3006, "A reduce-only order would increase the position"


class PostOnlyWouldTake(TradingError):
    code, message = 3007, "A post-only order would take liquidity"


class PriceOutsideBand(TradingError):
    code, message = 3008, "Price outside the allowed band around the mark price"


class TooManyOpenOrders(TradingError):
    code, message = 3009, "Too many open orders"


class OrderNotOpen(TradingError):
    code, message = 3010, "The order is not open"


class DailyLossReached(TradingError):
    code, message = 3011, "The daily loss limit is reached"


class PositionAboveLimit(TradingError):
    code, message = 3012, "The position would exceed the market's limit"


class DuplicateClientOrderId(TradingError):
    code, message = 3013, "This client_order_id was used for another order"


class TermsNotAccepted(TradingError):
    code, message = 3019, "The terms of live trading have not been accepted"


class OrderTypeNotOffered(TradingError):
    code, message = 3014, "Order type not offered by this venue"


class TradingCapReached(TradingError):
    code, message = 3015, "The daily trading cap would be exceeded"


class AccountFrozen(TradingError):
    code, message = 3016, "The account is frozen or closed"


class TradingHalted(TradingError):
    code, message = 3017, "Trading is halted; what reduces a position and cancels still work"


class CoolOffInForce(TradingError):
    code, message = 3018, "A cool-off is in force; what reduces a position still works"


class FundsError(AstradeError):
    code, message = 4000, "Amount below the minimum"


class AmountBelowMinimum(FundsError):
    code, message = 4000, "Amount below the minimum"


class InsufficientWithdrawable(FundsError):
    code, message = 4001, "Not enough that can be withdrawn"


class UnknownDestination(FundsError):
    code, message = 4002, "Unknown destination"


class FundsLimitExceeded(FundsError):
    code, message = 4003, "Limit exceeded"


class ApprovalRequired(FundsError):
    """Taken, and waiting for staff; the details show what."""

    code, message = 4004, "Approval required"


class OpenPositions(FundsError):
    code, message = 4005, "The account has open positions or orders"
