"""Refusals that only this app makes."""

from astrade.core.errors import IdentityError


class TwoFactorRequired(IdentityError):
    """On a signed-in call that needs a fresh second factor: 403 (API.md, "HTTP status by code")."""

    code, message = 1103, "A second factor is required"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, status=403)
