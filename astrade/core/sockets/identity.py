"""Who opens a socket. The app that knows users is named by the setting `SOCKET_IDENTITY`: core imports no app.

credential_of(scope)        what the upgrade request carries: a token, key or ticket, or nothing
identity()                  the `Identity` that proves it
client_ip_of(scope)         the caller's address, through trusted proxies only
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Protocol
from urllib.parse import parse_qs

from django.conf import settings
from django.utils.module_loading import import_string

from astrade.core.addresses import client_address
from astrade.core.permissions import Caller

MAX_CREDENTIAL_LENGTH = 4096


class Identity(Protocol):
    """All three are blocking and are called in a thread."""

    def by_token(self, raw: str, *, client_ip: str) -> Caller:
        """The caller an access token or API key proves; raises IdentityError."""

    def by_ticket(self, ticket: str, *, client_ip: str) -> Caller:
        """The caller of a one-time ticket, which is spent; raises IdentityError."""

    def revoked(self, callers: Sequence[Caller]) -> set[Caller]:
        """Those whose user is frozen or whose session or key was revoked."""


@dataclass(frozen=True, slots=True)
class Credential:
    """Something that claims an identity."""

    kind: Literal["token", "ticket"]
    value: str


@lru_cache(maxsize=1)
def identity() -> Identity:
    """The installed identity."""
    found: Identity = import_string(settings.SOCKET_IDENTITY)()
    return found


def prove(credential: Credential, *, client_ip: str) -> Caller:
    """The caller behind `credential`; raises IdentityError. Blocking."""
    if credential.kind == "ticket":
        return identity().by_ticket(credential.value, client_ip=client_ip)
    return identity().by_token(credential.value, client_ip=client_ip)


def credential_of(scope: dict[str, Any]) -> Credential | None:
    """`Authorization`, `X-Api-Key` or `?ticket=`, in this order. Cookies are never looked at, so that a foreign page
    that opens a socket in somebody's browser is nobody."""
    headers = header_values(scope["headers"], b"authorization", b"x-api-key")
    scheme, _, token = headers.get(b"authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return Credential("token", token.strip()[:MAX_CREDENTIAL_LENGTH])
    if key := headers.get(b"x-api-key", "").strip():
        return Credential("token", key[:MAX_CREDENTIAL_LENGTH])
    ticket = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("ticket", [""])[0]
    return Credential("ticket", ticket[:MAX_CREDENTIAL_LENGTH]) if ticket else None


def client_ip_of(scope: dict[str, Any]) -> str:
    """The peer's address, or the one a trusted proxy names."""
    peer = scope["client"][0] if scope.get("client") else None
    forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
    return client_address(peer, forwarded.decode("latin-1") or None)


def header_values(headers: Iterable[tuple[bytes, bytes]], *names: bytes) -> dict[bytes, str]:
    """The named headers that are there; of a repeated one the last."""
    return {name: value.decode("latin-1") for name, value in headers if name in names}
