"""Serializer fields of the public contract: exact decimals as strings, times as integer milliseconds."""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.validators import ProhibitNullCharactersValidator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.validators import ProhibitSurrogateCharactersValidator

from astrade.core.clock import from_ms, to_ms
from astrade.core.money import SCALE, ZERO, plain

MAX_INTEGER_DIGITS = 20  # numeric(38, 18)
_SMALLEST = Decimal(1).scaleb(-SCALE)
MAX_MS = 253_402_300_799_999  # the end of the year 9999


@extend_schema_field({"type": "string", "format": "decimal", "example": "0.001"})
class Amount(serializers.Field[Decimal, str | Decimal | int, str, Decimal]):
    """A decimal: in as string or JSON number (already parsed as Decimal), out as a plain string without exponent."""

    default_error_messages = {
        "invalid": "A decimal number is required.",
        "range": "The number is too large or has too many decimals.",
        "positive": "Must be greater than zero.",
        "negative": "Must not be negative.",
    }

    def __init__(self, *, positive: bool = False, signed: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.positive, self.signed = positive, signed

    def to_internal_value(self, data: Any) -> Decimal:
        """Exact Decimal within numeric(38, 18); refuses NaN, Infinity, booleans, floats, what no column holds."""
        if (
            isinstance(data, bool)
            or not isinstance(data, str | int | Decimal)
            or (isinstance(data, str) and len(data) > 64)
        ):
            self.fail("invalid")
        if isinstance(data, str) and not data.isascii():
            self.fail("invalid")
        try:
            value = Decimal(data.strip() if isinstance(data, str) else data)
        except (InvalidOperation, ValueError):
            self.fail("invalid")
        if not value.is_finite():
            self.fail("invalid")
        value = self._within_column(value)
        if self.positive and value <= 0:
            self.fail("positive")
        if not self.signed and value < 0:
            self.fail("negative")
        return value

    def _within_column(self, value: Decimal) -> Decimal:
        if not value:
            return ZERO  # whatever exponent it was written with
        if value.adjusted() >= MAX_INTEGER_DIGITS:
            self.fail("range")
        _, digits, exponent = value.as_tuple()
        surplus = -SCALE - int(exponent)
        if surplus <= 0:
            return value
        if any(digits[-surplus:]):
            self.fail("range")
        return value.quantize(_SMALLEST)

    def to_representation(self, value: Decimal) -> str:
        """Plain decimal text."""
        return plain(value)


@extend_schema_field(OpenApiTypes.INT64)
class Millis(serializers.Field[datetime, int, int, datetime]):
    """An instant as integer milliseconds since the Unix epoch."""

    default_error_messages = {"invalid": "Milliseconds since the Unix epoch are required."}

    def to_internal_value(self, data: Any) -> datetime:
        """Aware UTC instant."""
        if isinstance(data, str) and data.isascii() and data.isdigit() and len(data) <= 15:
            data = int(data)
        if isinstance(data, bool) or not isinstance(data, int) or not 0 <= data <= MAX_MS:
            self.fail("invalid")
        return from_ms(data)

    def to_representation(self, value: datetime) -> int:
        """Integer milliseconds."""
        return to_ms(value)


class Choice(serializers.ChoiceField):
    """One of an enumeration's values, spelled in any case."""

    def to_internal_value(self, data: Any) -> Any:
        """The value as the enumeration spells it."""
        if isinstance(data, str):
            data = next((choice for choice in self.choices if choice.lower() == data.lower()), data)
        return super().to_internal_value(data)


_SEEN_TO = (ProhibitNullCharactersValidator, ProhibitSurrogateCharactersValidator)


class Text(serializers.CharField):
    """A string without control characters (PostgreSQL can't store NUL), 1 to `max_length` long unless said."""

    default_error_messages = {"control": "Control characters are not allowed."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.validators = [one for one in self.validators if not isinstance(one, _SEEN_TO)]

    def to_internal_value(self, data: Any) -> str:
        """The text, trimmed."""
        if not isinstance(data, str):
            self.fail("invalid")
        if not data.isprintable() and any(ord(one) < 32 or 0xD800 <= ord(one) <= 0xDFFF for one in data):
            self.fail("control")
        return super().to_internal_value(data)
