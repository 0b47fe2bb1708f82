"""What the wire modules of all venues are made of."""

from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

DIGITS_MAX = 40  # before or after the point; more is no amount


class WireEnum(StrEnum):
    """An enum of the venue's that may grow."""

    @classmethod
    def _missing_(cls, value: object) -> "WireEnum":
        return cls["UNKNOWN"]


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message; a decimal in it is finite and has a bounded length, or the message can't be read."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if type(value) is Decimal and not (value.is_finite() and abs(value.adjusted()) <= DIGITS_MAX):
                raise ValueError(f"{name} is no amount")


def decode(raw: bytes | msgspec.Raw, kind: Any) -> Any:
    """A value of `kind` from JSON; numbers are taken quoted too. Raises msgspec.MsgspecError and UnicodeDecodeError."""
    return msgspec.json.decode(raw, type=kind, strict=False)
