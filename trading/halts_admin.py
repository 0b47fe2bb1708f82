"""Halts in the back office: set by a form, lifted by an action, both with a reason and on record."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.forms import ActionForm
from unfold.widgets import UnfoldAdminTextInputWidget

from astrade.core.admin import ReadOnlyAdmin
from astrade.core.clock import system_clock
from astrade.core.errors import AstradeError
from trading.domain.limits import HaltScope
from trading.models import TradingHalt
from trading.services import halts
from trading.services.halts import REASON_LENGTH, HaltTarget


class ReasonForm(ActionForm):  # type: ignore[misc]
    """An action that wants to know why."""

    reason = forms.CharField(
        required=False,
        max_length=REASON_LENGTH,
        label="",
        widget=UnfoldAdminTextInputWidget({"placeholder": "Reason"}),
    )


def reason_in(request: HttpRequest) -> str:
    """What staff gave as the reason of an action."""
    return request.POST.get("reason", "").strip()


class HaltForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new halt; what doesn't fit together is told beside its field."""

    class Meta:
        model = TradingHalt
        fields = ("scope", "venue", "market", "account", "reason", "until")

    def clean(self) -> dict[str, Any]:
        """As the service would refuse it."""
        values: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                halts.check_halt(self.target(), reason=values["reason"], now=system_clock(), until=values["until"])
            except AstradeError as exc:
                raise forms.ValidationError(exc.details["fields"]) from exc
        return values

    def target(self) -> HaltTarget:
        """What it stops."""
        given = self.cleaned_data
        named = {name: given[name] for name in ("venue", "market", "account")}
        return HaltTarget(HaltScope(given["scope"]), **named)


@admin.register(TradingHalt)
class TradingHaltAdmin(ReadOnlyAdmin):
    list_display = ("since", "scope", "venue", "market", "account", "reason", "until", "set_by", "ended_at", "ended_by")
    list_filter = ("scope", ("ended_at", admin.EmptyFieldListFilter))
    list_select_related = ("market", "account", "set_by", "ended_by")
    autocomplete_fields = ("account",)
    actions = ("lift",)
    action_form = ReasonForm

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Staff with the right to halt."""
        return bool(request.user.has_perm("trading.add_tradinghalt"))

    def has_lift_permission(self, request: HttpRequest) -> bool:
        """Staff with the right to lift halts."""
        return bool(request.user.has_perm("trading.change_tradinghalt"))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """What a new halt asks for."""
        return super().get_form(request, obj, change, **({"form": HaltForm} if obj is None else {}) | kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The form's, or those of a halt that was set."""
        return super().get_fields(request, obj) if obj else list(HaltForm.Meta.fields)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All of a halt that was set."""
        return super().get_readonly_fields(request, obj) if obj else []

    def save_model(self, request: HttpRequest, obj: TradingHalt, form: Any, change: bool) -> None:
        """Through the service."""
        given = form.cleaned_data
        made = halts.set_halt(
            form.target(),
            reason=given["reason"],
            actor_id=request.user.pk,
            now=system_clock(),
            until=given["until"],
        )
        obj.pk = made.pk

    @admin.action(description="Lift: orders are taken again", permissions=["lift"])
    def lift(self, request: HttpRequest, queryset: QuerySet[TradingHalt]) -> None:
        """Each in a transaction of its own; needs a reason."""
        reason, actor_id = reason_in(request), request.user.pk
        if not reason:
            self.message_user(request, "A reason is required", messages.ERROR)
            return
        lifted = [halts.lift_halt(halt.pk, reason=reason, actor_id=actor_id, now=system_clock()) for halt in queryset]
        self.message_user(request, f"{sum(lifted)} lifted", messages.SUCCESS)
