"""Refusals that only this app makes."""

from typing import Any

from astrade.core.errors import IdentityError


class TwoFactorRequired(IdentityError):
    """A second factor is wanted: 401 with a `challenge` at sign-in, 403 on a signed-in call that needs a fresh one
    (API.md, "HTTP status by code").
    """

    code, message = 1103, "A second factor is required"

    def __init__(self, message: str | None = None, *, details: dict[str, Any] | None = None, status: int = 403) -> None:
        super().__init__(message, details=details, status=status)


class TwoFactorInvalid(IdentityError):
    """The code is wrong, too old, or was used before."""

    code, message = 1104, "The two-factor code is not valid"
