"""The exchange's error numbers and texts (binance-api.md §3, §8), and the exception that carries one to the answer."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class Code(IntEnum):
    """Named as the exchange's documentation names them."""

    UNKNOWN = -1000
    TOO_MANY_REQUESTS = -1003
    TIMEOUT = -1007
    SERVER_BUSY = -1008
    INVALID_MESSAGE = -1013
    TOO_MANY_ORDERS = -1015
    INVALID_TIMESTAMP = -1021
    INVALID_SIGNATURE = -1022
    ILLEGAL_CHARS = -1100
    MANDATORY_PARAM_EMPTY_OR_MALFORMED = -1102
    UNREAD_PARAMETERS = -1104
    PARAM_EMPTY = -1105
    PARAM_NOT_REQUIRED = -1106
    BAD_PRECISION = -1111
    INVALID_TIF = -1115
    INVALID_ORDER_TYPE = -1116
    INVALID_SIDE = -1117
    BAD_INTERVAL = -1120
    BAD_SYMBOL = -1121
    MORE_THAN_XX_HOURS = -1127
    OPTIONAL_PARAMS_BAD_COMBO = -1128
    INVALID_PARAMETER = -1130
    BAD_RECV_WINDOW = -1131
    INVALID_CANCEL_RESTRICTIONS = -1145
    SYMBOL_DOES_NOT_MATCH_STATUS = -1220
    NEW_ORDER_REJECTED = -2010
    CANCEL_REJECTED = -2011
    NO_SUCH_ORDER = -2013
    BAD_API_KEY_FORMAT = -2014
    REJECTED_API_KEY = -2015
    CANCEL_REPLACE_HALF_DONE = -2021
    CANCEL_REPLACE_FAILED = -2022
    SUBSCRIPTION_ACTIVE = -2035
    SUBSCRIPTION_INACTIVE = -2036


class Refused(Exception):
    """A request the exchange answers with an error.

    `status` is the HTTP status and the one of the WebSocket API. The reference pairs few codes with one: 400 is
    assumed, 401 for what concerns API keys. `retry_after_s` becomes `Retry-After`, `data` part of the body.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        status: int = 400,
        retry_after_s: int | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self.code, self.message, self.status = code, message, status
        self.retry_after_s, self.data = retry_after_s, data
        super().__init__(f"{code.value} {message}")

    @property
    def body(self) -> dict[str, Any]:
        """As REST answers it."""
        body: dict[str, Any] = {"code": self.code.value, "msg": self.message}
        return body if self.data is None else body | {"data": self.data}


def missing(name: str) -> Refused:
    """A mandatory parameter isn't there."""
    text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    return Refused(Code.MANDATORY_PARAM_EMPTY_OR_MALFORMED, text)


def illegal(name: str, legal: str) -> Refused:
    """A parameter has characters that it can't have."""
    return Refused(Code.ILLEGAL_CHARS, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def invalid(name: str) -> Refused:
    """A parameter's value makes no sense."""
    return Refused(Code.INVALID_PARAMETER, f"Data sent for parameter '{name}' is not valid.")


def bad_symbol() -> Refused:
    """No such symbol."""
    return Refused(Code.BAD_SYMBOL, "Invalid symbol.")


def filter_failure(name: str) -> Refused:
    """An order breaks one of its symbol's rules."""
    return Refused(Code.INVALID_MESSAGE, f"Filter failure: {name}")


def order_rejected(reason: str) -> Refused:
    """The engine takes no such order."""
    return Refused(Code.NEW_ORDER_REJECTED, reason)


def too_many(text: str, *, code: Code = Code.TOO_MANY_REQUESTS, retry_after_s: int | None = None) -> Refused:
    """A limit was reached."""
    return Refused(code, text, status=429, retry_after_s=retry_after_s)
