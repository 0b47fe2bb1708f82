"""Signing in to the back office: password, and a code of the authenticator where one is set up or demanded."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import selectors
from accounts.services import two_factor
from astrade.core.clock import system_clock
from astrade.core.errors import AstradeError

SET_UP_FIRST = "Set up two-factor sign-in first: by the API, or ask an operator for `manage.py set_up_totp`."


class StaffSignInForm(AuthenticationForm):  # type: ignore[misc]  # unfold has no types
    """Named by the settings, as what the back office signs in with."""

    code = forms.CharField(
        label="Authenticator code",
        required=False,
        max_length=32,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "one-time-code", "inputmode": "text"}),
    )

    def confirm_login_allowed(self, user: AbstractBaseUser) -> None:
        """Raise ValidationError for who is no staff, and without a good code where one is needed."""
        super().confirm_login_allowed(user)
        if selectors.second_factor_of(user.pk) is not None:
            _spend(user.pk, self.cleaned_data)
        elif settings.STAFF_TOTP_REQUIRED:
            raise ValidationError(SET_UP_FIRST)


def _spend(user_id: int, entered: dict[str, Any]) -> None:
    try:
        two_factor.require_fresh(user_id, code=entered.get("code"), now=system_clock())
    except AstradeError as exc:
        raise ValidationError(str(exc)) from exc
