"""JSON in: numbers become Decimal straight from the text, and hostile input a clear 400."""

from decimal import Decimal
from typing import Any

import msgspec
from rest_framework.parsers import BaseParser

from astrade.core.errors import Malformed, TooLarge

MAX_BODY_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_EXPONENT = 2_000


def depth_of(value: Any, *, at_most: int) -> int:
    """Nesting depth of parsed JSON, counted no further than `at_most + 1`."""
    level, depth = [value], 0
    while level and depth <= at_most:
        depth += 1
        level = [
            item
            for node in level
            if isinstance(node, dict | list)
            for item in (node.values() if isinstance(node, dict) else node)
            if isinstance(item, dict | list)
        ]
    return depth


def exact(text: str) -> Decimal:
    """A JSON number as it was written; one that would take thousands of digits to print is refused."""
    value = Decimal(text)
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > MAX_EXPONENT:
        raise ValueError("number out of range")
    return value


_decoder = msgspec.json.Decoder(float_hook=exact)


def decode(raw: bytes) -> Any:
    """Parsed JSON with numbers as int or Decimal; raises Malformed or TooLarge."""
    if len(raw) > MAX_BODY_BYTES:
        raise TooLarge(details={"limit_bytes": MAX_BODY_BYTES})
    try:
        value = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError, ValueError) as exc:
        raise Malformed("The body is not valid JSON") from exc
    if depth_of(value, at_most=MAX_DEPTH) > MAX_DEPTH:
        raise Malformed("The body is nested too deeply")
    return value


class JsonParser(BaseParser):
    """`application/json` with exact numbers."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """Parsed body; an empty one is an empty object."""
        raw = stream.read()
        return decode(raw) if raw.strip() else {}
