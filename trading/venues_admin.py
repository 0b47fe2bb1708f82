"""Venues in the back office: how orders stand there, and the cases that wait for somebody."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from astrade.core.errors import AstradeError
from trading.admin_search import OfAccountAdmin, told
from trading.halts_admin import ReasonForm, reason_in
from trading.models import Case
from trading.services.cases import close_case


class CaseAdmin(OfAccountAdmin):
    """Open ones first to be seen by the filter; closing one takes a note."""

    list_display = ("opened_at", "kind", "account__user", "account", "subject", "figures", "closed_at", "closed_by")
    list_filter = (("closed_at", admin.EmptyFieldListFilter), "kind")
    list_select_related = ("account__user", "closed_by")
    identifiers = ("subject",)
    actions = ("close",)
    action_form = ReasonForm

    def has_close_permission(self, request: HttpRequest) -> bool:
        """Staff with the right to change cases."""
        return bool(request.user.has_perm("trading.change_case"))

    @admin.action(description="Close with a note", permissions=["close"])
    def close(self, request: HttpRequest, queryset: QuerySet[Case]) -> None:
        """Each by itself: one that can't be closed holds up no other."""
        for case in queryset:
            try:
                close_case(case.pk, staff_id=int(request.user.pk or 0), note=reason_in(request))
            except AstradeError as refusal:
                messages.error(request, f"{case}: {told(refusal)}")
            else:
                messages.success(request, f"{case}: closed")


class VenueOrderAdmin(OfAccountAdmin):
    """Sent orders; by status those that stay unknown."""

    list_display = (
        "order", "account__user", "account", "order__status", "external_id", "order__venue_order_id", "deadline_at",
        "lookups", "last_lookup_at", "cancel_requested_at",
    )  # fmt: skip
    list_filter = ("order__status",)
    list_select_related = ("account__user", "order")
    identifiers = ("external_id", "order__uuid")


class VenueMessageAdmin(OfAccountAdmin):
    """What a venue told that could not be placed."""

    list_display = ("received_at", "account__user", "account", "kind", "key", "understood_at")
    list_filter = (("understood_at", admin.EmptyFieldListFilter),)
    list_select_related = ("account__user",)
    identifiers = ("key",)
