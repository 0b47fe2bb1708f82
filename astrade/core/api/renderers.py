"""JSON out: the envelope of API.md, encoded once with exact decimals and integer times."""

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from rest_framework.renderers import BaseRenderer

from astrade.core.clock import system_clock, to_ms
from astrade.core.context import request_id
from astrade.core.money import plain


def _fallback(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return to_ms(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)


def encode(value: Any) -> bytes:
    """JSON bytes: Decimal as plain string, datetime as milliseconds, UUID as text."""
    try:
        return orjson.dumps(value, default=_fallback, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except TypeError:  # integers beyond 64 bit
        return json.dumps(value, default=_fallback, separators=(",", ":")).encode()


def envelope(data: Any, *, pagination: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The success envelope as a mapping."""
    wrapped: dict[str, Any] = {"status": "ok", "data": data}
    if pagination is not None:
        wrapped["pagination"] = pagination
    wrapped["request_id"] = request_id()
    wrapped["timestamp"] = to_ms(system_clock())
    return wrapped


def error_envelope(
    code: int, message: str, details: Mapping[str, Any] | None = None, *, asked: str | None = None
) -> dict[str, Any]:
    """The error envelope as a mapping; `asked` is the id of what was asked where no request is in progress."""
    return {
        "status": "error",
        "error": {"code": code, "message": message, "details": details or {}},
        "request_id": asked or request_id(),
        "timestamp": to_ms(system_clock()),
    }


class EnvelopeRenderer(BaseRenderer):
    """For what REST framework answers by itself, as to OPTIONS; views make their `Answer` without it."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """The envelope around `data`."""
        return encode(envelope(data))
