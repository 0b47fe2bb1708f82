"""A caller for tests of the HTTP stack, each from an address of its own so that rate limits don't add up over a run."""

import secrets
from collections.abc import Mapping
from typing import Any

import orjson
from django.test import Client


def some_address() -> str:
    """An address no other test sends from."""
    return f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"


def call(
    method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, address: str | None = None
) -> Any:
    """One request through the whole stack; `body` is sent as it is when it is bytes, else as JSON."""
    raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    client = Client(REMOTE_ADDR=address or some_address(), raise_request_exception=False)
    sent = dict(headers or {})
    content_type = sent.pop("Content-Type", "application/json")
    return client.generic(method, path, raw, content_type=content_type, headers=sent)


def error_of(response: Any) -> tuple[int, int]:
    """Status and code of a refusal."""
    content = response.json()
    assert content["status"] == "error", content
    return response.status_code, content["error"]["code"]
