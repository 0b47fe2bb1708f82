"""Sign-in to the admin by e-mail, under the same limit of failures as the API."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from accounts.models import User
from accounts.passwords import user_by_password
from astrade.core.errors import InvalidCredentials, RateLimited


class EmailBackend(ModelBackend):
    """Named by `AUTHENTICATION_BACKENDS`; rights and session look-ups are Django's own."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """The active user with this e-mail address and password, or None; no other backend is asked past the limit."""
        if username is None or password is None:
            return None
        try:
            user = user_by_password(email=username, password=password)
        except InvalidCredentials:
            return None
        except RateLimited as exc:
            raise PermissionDenied from exc
        return user if self.user_can_authenticate(user) else None
