"""Our refusals in Binance's form, `{"code", "msg"}` with its numbers and texts (binance-api.md §3, §8).

Views raise our errors whichever form is asked for. `RawErrors` puts into Binance's form what is answered below
`/api/v3`, be it a view's, the rate limit's or that of a path that doesn't exist.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from astrade.core.api.renderers import encode
from astrade.core.errors import AstradeError, NotFound, ValidationFailed
from astrade.core.http import Refusal

ROOT = "/api/v3/"


class Code(IntEnum):
    """Named as Binance's documentation names them."""

    UNKNOWN = -1000
    TOO_MANY_REQUESTS = -1003
    TIMEOUT = -1007
    SERVER_BUSY = -1008
    INVALID_MESSAGE = -1013
    UNSUPPORTED_OPERATION = -1020
    ILLEGAL_CHARS = -1100
    TOO_MANY_PARAMETERS = -1101
    MANDATORY_PARAM_EMPTY_OR_MALFORMED = -1102
    PARAM_NOT_REQUIRED = -1106
    BAD_PRECISION = -1111
    INVALID_TIF = -1115
    INVALID_ORDER_TYPE = -1116
    INVALID_SIDE = -1117
    BAD_INTERVAL = -1120
    BAD_SYMBOL = -1121
    MORE_THAN_XX_HOURS = -1127
    INVALID_PARAMETER = -1130
    NEW_ORDER_REJECTED = -2010
    CANCEL_REJECTED = -2011
    NO_SUCH_ORDER = -2013
    BAD_API_KEY_FORMAT = -2014
    REJECTED_API_KEY = -2015


REJECTED_KEY = (Code.REJECTED_API_KEY, "Invalid API-key, IP, or permissions for action.")
BROKE = (Code.NEW_ORDER_REJECTED, "Account has insufficient balance for requested action.")
LOT_SIZE = (Code.INVALID_MESSAGE, "Filter failure: LOT_SIZE")
OUTCOME_UNKNOWN = (
    Code.TIMEOUT,
    "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
)
# By our code: Binance's, and its text; without one ours says what is wrong.
OF_CODE: Mapping[int, tuple[Code, str | None]] = {
    1000: (Code.INVALID_PARAMETER, None),
    1003: (Code.UNSUPPORTED_OPERATION, "This operation is not supported."),
    1004: (Code.UNSUPPORTED_OPERATION, None),
    1007: (Code.TOO_MANY_PARAMETERS, None),
    1008: (Code.UNSUPPORTED_OPERATION, None),
    1100: (Code.BAD_API_KEY_FORMAT, "API-key format invalid."),
    **dict.fromkeys(range(1101, 1109), REJECTED_KEY),
    1200: (Code.TOO_MANY_REQUESTS, None),
    1201: (Code.TOO_MANY_REQUESTS, None),
    1202: (Code.TOO_MANY_REQUESTS, None),
    2000: (Code.BAD_SYMBOL, "Invalid symbol."),
    2001: (Code.NEW_ORDER_REJECTED, "Market is closed."),
    2002: (Code.SERVER_BUSY, None),
    3000: LOT_SIZE,
    3001: LOT_SIZE,
    3002: (Code.INVALID_MESSAGE, "Filter failure: PRICE_FILTER"),
    3003: BROKE,
    3004: BROKE,
    **dict.fromkeys((3005, 3006, 3011, *range(3014, 3020)), (Code.NEW_ORDER_REJECTED, None)),
    3007: (Code.NEW_ORDER_REJECTED, "Order would immediately match and take."),
    3008: (Code.INVALID_MESSAGE, "Filter failure: PERCENT_PRICE"),
    3009: (Code.INVALID_MESSAGE, "Filter failure: EXCHANGE_MAX_NUM_ORDERS"),
    3010: (Code.CANCEL_REJECTED, "Unknown order sent."),
    3012: (Code.INVALID_MESSAGE, "Filter failure: MAX_POSITION"),
    3013: (Code.NEW_ORDER_REJECTED, "Duplicate order sent."),
    5000: (Code.NEW_ORDER_REJECTED, None),
    5001: REJECTED_KEY,
    5002: REJECTED_KEY,
    5003: OUTCOME_UNKNOWN,
    5004: (Code.SERVER_BUSY, None),
    5005: OUTCOME_UNKNOWN,
    9000: (Code.UNKNOWN, "An unknown error occurred while processing the request."),
}
# What a service says of a field that Binance has a word of its own for.
OF_FIELD: Mapping[str, tuple[Code, str]] = {
    "quantity": LOT_SIZE,
    "trigger_price": (Code.NEW_ORDER_REJECTED, "Stop price would trigger immediately."),
}
STATUS: Mapping[Code, int] = {
    Code.TOO_MANY_REQUESTS: 429,
    Code.TIMEOUT: 504,
    Code.SERVER_BUSY: 503,
    Code.BAD_API_KEY_FORMAT: 401,
    Code.REJECTED_API_KEY: 401,
}
OWN_STATUS = frozenset({Code.UNKNOWN, Code.UNSUPPORTED_OPERATION, Code.TOO_MANY_PARAMETERS})


class ParameterFault(ValidationFailed):
    """A parameter that is missing or means nothing; 1001 in our envelope."""

    def __init__(self, name: str, number: Code, text: str) -> None:
        super().__init__(details={"fields": {name: [text]}})
        self.number, self.text = number, text


class AbsentOrder(NotFound):
    """No such order, asked for to be shown or to be cancelled."""

    def __init__(self, number: Code) -> None:
        super().__init__()
        self.number = number
        self.text = "Unknown order sent." if number is Code.CANCEL_REJECTED else "Order does not exist."


def missing(name: str) -> ParameterFault:
    """A mandatory parameter isn't there."""
    text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    return ParameterFault(name, Code.MANDATORY_PARAM_EMPTY_OR_MALFORMED, text)


def illegal(name: str, legal: str) -> ParameterFault:
    """A parameter has characters that it can't have."""
    text = f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
    return ParameterFault(name, Code.ILLEGAL_CHARS, text)


def invalid(name: str) -> ParameterFault:
    """A parameter's value makes no sense."""
    return ParameterFault(name, Code.INVALID_PARAMETER, f"Data sent for parameter '{name}' is not valid.")


def number_and_text(error: AstradeError) -> tuple[Code, str]:
    """Binance's number and text for what `error` says."""
    if isinstance(error, ParameterFault | AbsentOrder):
        return error.number, error.text
    if isinstance(error, ValidationFailed):
        names = error.details.get("fields", {})
        fault = invalid(next(iter(names), ""))
        return next((OF_FIELD[name] for name in names if name in OF_FIELD), (fault.number, fault.text))
    number, text = OF_CODE.get(error.code, (Code.UNKNOWN, None))
    return number, text or f"{error}."


def status_of(error: AstradeError, number: Code) -> int:
    """The HTTP status: 400 for all that is the caller's fault but keys and limits."""
    if isinstance(error, AbsentOrder) or number not in OWN_STATUS:
        return STATUS.get(number, 400)
    return error.status


class RawErrors:
    """Middleware, see the module."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if isinstance(response, Refusal) and request.path_info.startswith(ROOT):
            number, text = number_and_text(response.error)
            response.content = encode({"code": number.value, "msg": text})
            response.status_code = status_of(response.error, number)
        return response
