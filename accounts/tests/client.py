"""A client that speaks the API as a person or program would, each from an address of its own."""

import secrets
from dataclasses import dataclass, field
from typing import Any

import msgspec
from django.test import Client

JSON = "application/json"


def some_address() -> str:
    """An address no other test sends from, so that rate limits don't add up over a run."""
    return f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"


def some_email() -> str:
    """An address no other test guesses at, for the same reason."""
    return f"{secrets.token_hex(8)}@example.com"


@dataclass
class Answer:
    """An envelope and its status."""

    status: int
    content: dict[str, Any]
    headers: Any

    @property
    def data(self) -> Any:
        """What a success is about."""
        assert self.content["status"] == "ok", self.content
        return self.content["data"]

    @property
    def error(self) -> tuple[int, int]:
        """Status and code of a refusal."""
        assert self.content["status"] == "error", self.content
        return self.status, self.content["error"]["code"]


@dataclass
class Api:
    """Calls `/api/v1` with some credential or none."""

    headers: dict[str, str] = field(default_factory=dict)
    address: str = field(default_factory=some_address)
    root: str = "/api/v1"

    def bearer(self, token: str) -> "Api":
        """The same client with this token."""
        return Api({**self.headers, "Authorization": f"Bearer {token}"}, self.address)

    def key(self, secret: str) -> "Api":
        """The same client with this API key."""
        return Api({**self.headers, "X-Api-Key": secret}, self.address)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request."""
        client = Client(REMOTE_ADDR=self.address)
        sent = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        response = client.generic(method, f"{self.root}{path}", encoded(body), content_type=JSON, headers=sent)
        return Answer(response.status_code, response.json(), response.headers)

    def get(self, path: str, **headers: str) -> Answer:
        """Read."""
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        """Write."""
        return self.call("POST", path, body, **headers)

    def patch(self, path: str, body: Any = None) -> Answer:
        """Change."""
        return self.call("PATCH", path, body)

    def delete(self, path: str) -> Answer:
        """Remove."""
        return self.call("DELETE", path)


def encoded(body: Any) -> bytes:
    """A body as it goes over the wire; bytes as they are."""
    if isinstance(body, bytes):
        return body
    return b"" if body is None else msgspec.json.encode(body)
