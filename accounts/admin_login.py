"""Signing in to the back office: password, and a code of the authenticator where one is set up or demanded.

Where one is demanded, who has none yet gets no further than the page that sets it up.
"""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.cache import never_cache
from unfold.forms import AuthenticationForm
from unfold.sites import UnfoldAdminSite
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import selectors
from accounts.errors import TwoFactorInvalid
from accounts.models import User
from accounts.services import two_factor
from astrade.core.clock import system_clock
from astrade.core.errors import AstradeError, NotFound, RateLimited

SET_UP_PAGE = "two_factor"
CODE_WIDGET = {"autocomplete": "one-time-code", "inputmode": "text"}


class StaffSignInForm(AuthenticationForm):  # type: ignore[misc]  # unfold has no types
    """Named by the settings, as what the back office signs in with."""

    code = forms.CharField(
        label="Authenticator code",
        required=False,
        max_length=32,
        widget=UnfoldAdminTextInputWidget(attrs=CODE_WIDGET),
    )

    def confirm_login_allowed(self, user: AbstractBaseUser) -> None:
        """Raise ValidationError for who is no staff, and without a good code where there is an authenticator."""
        super().confirm_login_allowed(user)
        if selectors.second_factor_of(user.pk) is not None:
            _spend(user.pk, self.cleaned_data)


class CodeForm(forms.Form):
    """A first code of a new authenticator."""

    code = forms.CharField(
        label="Authenticator code", max_length=32, widget=UnfoldAdminTextInputWidget(attrs=CODE_WIDGET)
    )


class BackOffice(UnfoldAdminSite):  # type: ignore[misc]
    """The site, with a page on which staff set up their authenticator."""

    def has_permission(self, request: HttpRequest) -> bool:
        """Staff, with a second factor where one is demanded; without one they may only leave."""
        is_staff: bool = super().has_permission(request)
        return is_staff and (request.path == reverse("admin:logout") or not lacks_second_factor(request))

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponseBase:
        """The sign-in page, or what comes next for who has signed in without a second factor."""
        if super().has_permission(request) and lacks_second_factor(request):
            return redirect(f"admin:{SET_UP_PAGE}")
        answer: HttpResponseBase = super().login(request, extra_context)
        return answer

    def extra_urls(self) -> list[URLPattern]:
        """Beside Django's own."""
        return [path("two-factor/", never_cache(self.set_up), name=SET_UP_PAGE)]

    def set_up(self, request: HttpRequest) -> HttpResponse:
        """A button; then the QR code and a field for a code; then, once, the recovery codes."""
        if not super().has_permission(request):
            return redirect("admin:login")
        user_id = _user_id(request)
        if selectors.second_factor_of(user_id) is not None:
            return redirect("admin:index")
        if request.method != "POST":
            return self._page(request)
        if "code" not in request.POST:
            return self._page(request, setup=two_factor.begin_setup(user_id, now=system_clock()), form=CodeForm())
        form = CodeForm(request.POST)
        if form.is_valid():
            try:
                codes = two_factor.confirm(user_id, code=form.cleaned_data["code"], now=system_clock())
            except (TwoFactorInvalid, NotFound, RateLimited) as exc:
                form.add_error("code", str(exc))
            else:
                return self._page(request, recovery_codes=codes)
        return self._page(request, form=form)

    def _page(self, request: HttpRequest, **context: Any) -> HttpResponse:
        titled = {**self.each_context(request), "title": "Two-factor sign-in", **context}
        return TemplateResponse(request, "admin/two_factor.html", titled)


def lacks_second_factor(request: HttpRequest) -> bool:
    """Whether who has signed in has to set one up first."""
    return bool(settings.STAFF_TOTP_REQUIRED) and selectors.second_factor_of(_user_id(request)) is None


def _user_id(request: HttpRequest) -> int:
    user = request.user
    assert isinstance(user, User)
    return user.pk


def _spend(user_id: int, entered: dict[str, Any]) -> None:
    try:
        two_factor.require_fresh(user_id, code=entered.get("code"), now=system_clock())
    except AstradeError as exc:
        raise ValidationError(str(exc)) from exc
