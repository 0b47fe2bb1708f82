"""A request's parameters, from query, form or JSON body, read with Binance's complaints (binance-api.md §3, §7).

Names that nobody reads are ignored: clients add `timestamp`, `recvWindow` and `signature` to every call.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

import orjson
from django.http import HttpRequest, QueryDict
from rest_framework.request import Request

from astrade.core.api.fields import MAX_MS
from astrade.core.api.parsers import decode
from astrade.core.api.views import http_request, is_json
from astrade.core.clock import from_ms
from astrade.core.errors import Malformed, UnsupportedMediaType
from astrade.core.money import SCALE
from marketdata.selectors import MarketInfo
from trading.api.binance.errors import Code, ParameterFault, illegal, invalid, missing
from trading.api.binance.symbols import listed_market

E = TypeVar("E", bound=StrEnum)
DECIMAL = r"([0-9]{1,20})(\.[0-9]{1,20})?"
INTEGER = r"[0-9]{1,18}"
CLIENT_ID = r"[a-zA-Z0-9-_]{1,36}"
ANY_CLIENT_ID = r"[A-Za-z0-9._:/-]{1,64}"  # of an order that was placed elsewhere, too
NAMES = r'\["[\w/-]+"(,"[\w/-]+")*\]'
INTEGER_BELOW = 10**20
FORM = "application/x-www-form-urlencoded"


class Parameters:
    """What was sent, by name."""

    def __init__(self, sent: Mapping[str, str]) -> None:
        self._sent = sent

    def __contains__(self, name: str) -> bool:
        return bool(self._sent.get(name))

    def text(self, name: str) -> str | None:
        """As it was sent; an empty one is none."""
        return self._sent.get(name) or None

    def needed(self, name: str) -> str:
        """Raises ParameterFault -1102 where it is missing, as the other `needed` ones."""
        value = self.text(name)
        if value is None:
            raise missing(name)
        return value

    def decimal(self, name: str) -> Decimal | None:
        """Not negative, in the column's scale. Raises ParameterFault -1100, -1111."""
        value = self.text(name)
        if value is None:
            return None
        if not re.fullmatch(DECIMAL, value):
            raise illegal(name, DECIMAL)
        if len(value.partition(".")[2]) > SCALE:
            raise ParameterFault(name, Code.BAD_PRECISION, f"Parameter '{name}' has too much precision.")
        return Decimal(value)

    def needed_decimal(self, name: str) -> Decimal:
        self.needed(name)
        value = self.decimal(name)
        assert value is not None
        return value

    def number(self, name: str) -> int | None:
        """A whole number not below 0. Raises ParameterFault -1100."""
        value = self.text(name)
        if value is None:
            return None
        if not re.fullmatch(INTEGER, value):
            raise illegal(name, INTEGER)
        return int(value)

    def limit(self, *, default: int, most: int) -> int:
        """How many rows; more than `most` is cut. Raises ParameterFault -1130 for 0."""
        value = self.number("limit")
        if value == 0:
            raise invalid("limit")
        return default if value is None else min(value, most)

    def instant(self, name: str) -> datetime | None:
        """Milliseconds as an instant. Raises ParameterFault -1130 beyond the year 9999."""
        value = self.number(name)
        if value is not None and value > MAX_MS:
            raise invalid(name)
        return None if value is None else from_ms(value)

    def choice(self, name: str, kind: type[E], *, number: Code, text: str) -> E | None:
        """A value of an enum. Raises ParameterFault for another."""
        value = self.text(name)
        try:
            return None if value is None else kind(value)
        except ValueError:
            raise ParameterFault(name, number, text) from None

    def client_id(self, name: str, *, legal: str = CLIENT_ID) -> str | None:
        """A client's name for an order. Raises ParameterFault -1100."""
        value = self.text(name)
        if value is not None and not re.fullmatch(legal, value):
            raise illegal(name, legal)
        return value

    def market(self) -> MarketInfo:
        """The market of `symbol`; raises UnknownMarket."""
        return listed_market(self.needed("symbol"))

    def markets(self) -> list[MarketInfo] | None:
        """Those of `symbol` or `symbols`, None where neither was sent. Raises ParameterFault -1100, UnknownMarket."""
        if "symbol" in self:
            return [self.market()]
        value = self.text("symbols")
        if value is None:
            return None
        if not re.fullmatch(NAMES, value):
            raise illegal("symbols", NAMES)
        return [listed_market(name) for name in orjson.loads(value)]


def parameters_of(request: Request) -> Parameters:
    """What came in the query and, but for GET, in the body; the query wins. Raises UnsupportedMediaType, Malformed."""
    http = http_request(request)
    body = {} if request.method == "GET" or not http.body else _body_of(http)
    return Parameters({**body, **request.query_params.dict()})


def _body_of(http: HttpRequest) -> dict[str, str]:
    content_type = http.META.get("CONTENT_TYPE", "")
    if is_json(content_type):
        sent = decode(http.body)
        if not isinstance(sent, dict):
            raise Malformed("A JSON object is required")
        return {name: _as_text(name, value) for name, value in sent.items() if value is not None}
    if content_type.partition(";")[0].strip().lower() == FORM:
        return dict(QueryDict(http.body, encoding="utf-8").items())  # type: ignore[arg-type]
    raise UnsupportedMediaType(f"{FORM} or application/json is required")


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) or (isinstance(value, int) and abs(value) < INTEGER_BELOW):
        return str(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise invalid(name)
