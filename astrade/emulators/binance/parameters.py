"""A request's parameters as text, read with the exchange's own complaints (binance-api.md §3, §8)."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from astrade.core.money import ZERO
from astrade.emulators.binance.refusals import Code, Refused, illegal, invalid, missing
from astrade.emulators.binance.symbols import PRECISION

E = TypeVar("E", bound=StrEnum)
DECIMAL = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
INTEGER = r"^[0-9]{1,20}$"
CLIENT_ID = r"^[a-zA-Z0-9-_]{1,36}$"
SECURITY = frozenset({"timestamp", "recvWindow", "signature", "apiKey"})


class Parameters:
    """What was sent, by name; for names given twice the first value, and those of the query before those of the
    body.
    """

    def __init__(self, sent: Mapping[str, str]) -> None:
        self._sent = sent

    def __contains__(self, name: str) -> bool:
        return name in self._sent

    def demand_known(self, known: frozenset[str]) -> None:
        """Raises Refused -1104 for parameters that nobody reads."""
        unknown = self._sent.keys() - known - SECURITY
        if unknown:
            read = len(self._sent) - len(unknown)
            text = f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{len(self._sent)}'."
            raise Refused(Code.UNREAD_PARAMETERS, text)

    def text(self, name: str) -> str | None:
        """Raises Refused -1105 for an empty one, as everything below."""
        value = self._sent.get(name)
        if value == "":
            raise Refused(Code.PARAM_EMPTY, f"Parameter '{name}' was empty.")
        return value

    def needed(self, name: str) -> str:
        """Raises Refused -1102 where it is missing, as the other `needed` ones."""
        value = self.text(name) if self._sent.get(name) else None
        if value is None:
            raise missing(name)
        return value

    def decimal(self, name: str) -> Decimal | None:
        """Above 0 and with at most eight decimals. Raises Refused -1100, -1111, -1013 for 0."""
        value = self.text(name)
        if value is None:
            return None
        if not re.match(DECIMAL, value):
            raise illegal(name, DECIMAL)
        if len(value.partition(".")[2]) > PRECISION:
            raise Refused(Code.BAD_PRECISION, f"Parameter '{name}' has too much precision.")
        if Decimal(value) == ZERO:
            raise Refused(Code.INVALID_MESSAGE, f"Invalid {name}.")
        return Decimal(value)

    def number(self, name: str) -> int | None:
        """A whole number not below 0. Raises Refused -1100."""
        value = self.text(name)
        if value is None:
            return None
        if not re.match(INTEGER, value):
            raise illegal(name, INTEGER)
        return int(value)

    def needed_number(self, name: str) -> int:
        value = self.number(name)
        if value is None:
            raise missing(name)
        return value

    def limit(self, *, default: int, most: int) -> int:
        """How many rows; more than `most` is cut. Raises Refused -1130 for 0."""
        value = self.number("limit")
        if value == 0:
            raise invalid("limit")
        return default if value is None else min(value, most)

    def flag(self, name: str) -> bool:
        """`true` or `false`. Raises Refused -1130."""
        value = self.text(name)
        if value is not None and value.lower() not in ("true", "false"):
            raise invalid(name)
        return value is not None and value.lower() == "true"

    def choice(self, name: str, kind: type[E], refusal: Refused) -> E | None:
        """A value of an enum. Raises `refusal` for another."""
        value = self.text(name)
        try:
            return None if value is None else kind(value)
        except ValueError:
            raise refusal from None

    def client_id(self, name: str) -> str | None:
        """A client's name for an order. Raises Refused -1100."""
        value = self.text(name)
        if value is not None and not re.match(CLIENT_ID, value):
            raise illegal(name, CLIENT_ID)
        return value

    def names(self, name: str) -> list[str] | None:
        """A JSON array of texts. Raises Refused -1100."""
        value = self.text(name)
        if value is None:
            return None
        try:
            listed = json.loads(value)
        except ValueError:
            listed = None
        if not isinstance(listed, list) or not listed or not all(isinstance(one, str) for one in listed):
            raise illegal(name, '^\\["[^"]+"(,"[^"]+")*\\]$')
        return listed
