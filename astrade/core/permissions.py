"""Who is calling, and what an authenticated caller may do."""

import uuid
from dataclasses import dataclass
from typing import Any, Literal

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from astrade.core.errors import NotAuthenticated, NotPermitted, ScopeMissing

Scope = Literal["read", "trade", "withdraw", "service"]
SESSION_SCOPES: frozenset[str] = frozenset({"read", "trade", "withdraw"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Caller:
    """A proven identity; stands as `request.user` on API calls. `account_id` is set for a key bound to one account."""

    user_id: int
    user_uuid: uuid.UUID
    scopes: frozenset[str]
    source: Literal["app", "api_key"] = "app"
    tier: str = "standard"
    is_staff: bool = False
    family_id: str | None = None
    api_key_id: int | None = None
    account_id: int | None = None

    is_authenticated = True
    is_active = True

    @property
    def pk(self) -> int:
        """The user's row key, as libraries expect of a user."""
        return self.user_id


def caller_of(request: Request) -> Caller:
    """The caller of an authenticated API request; raises NotAuthenticated for an anonymous one."""
    caller = optional_caller(request)
    if caller is None:
        raise NotAuthenticated
    return caller


def optional_caller(request: Request) -> Caller | None:
    """Who calls, where a public call may be made by anybody."""
    user: Any = request.user
    return user if isinstance(user, Caller) else None


class Public(BasePermission):
    """Anybody, credentials or not."""


class IsUser(BasePermission):
    """Any signed-in user or API key with scope `read` for reading, `trade` for writing."""

    safe, unsafe = "read", "trade"

    def has_permission(self, request: Request, view: Any) -> bool:
        caller = caller_of(request)
        scope = self.safe if request.method in SAFE_METHODS else self.unsafe
        if scope not in caller.scopes:
            raise ScopeMissing(details={"scope": scope})
        return True


class IsReader(IsUser):
    """As `IsUser`, where a POST only reads (previews)."""

    unsafe = "read"


class IsWithdrawer(IsUser):
    """As `IsUser`, where a POST takes money out of an account."""

    unsafe = "withdraw"


class IsSession(BasePermission):
    """A person signed in with a token: API keys may not manage identities and keys."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if caller_of(request).source != "app":
            raise NotPermitted("API keys can't make this call")
        return True


class IsService(BasePermission):
    """An API key with scope `service`, or staff."""

    def has_permission(self, request: Request, view: Any) -> bool:
        caller = caller_of(request)
        if not (caller.is_staff or "service" in caller.scopes):
            raise NotPermitted
        return True


class IsStaff(BasePermission):
    """Staff users only."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not caller_of(request).is_staff:
            raise NotPermitted
        return True
