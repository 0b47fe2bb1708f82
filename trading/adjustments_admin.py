"""Adjustments in the back office: proposed by a form, decided on by another member of staff."""

from typing import Any, cast

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from astrade.core.errors import AstradeError
from astrade.core.http import DressedRequest
from trading.admin_forms import ProposalForm
from trading.admin_search import OfAccountAdmin, told
from trading.models import AdjustmentProposal
from trading.services.adjustments import approve_adjustment, reject_adjustment, withdraw_adjustment
from trading.services.bookings import present_board


class AdjustmentProposalAdmin(OfAccountAdmin):
    """Corrections of the ledger: who proposes one here doesn't decide on it."""

    list_display = (
        "proposed_at", "account__user", "account", "amount", "reverses", "reason", "may_overdraw", "state",
        "proposed_by", "decided_by", "expires_at", "entry",
    )  # fmt: skip
    list_filter = ("state",)
    list_select_related = ("account__user", "reverses", "proposed_by", "decided_by", "entry")
    identifiers = ("uuid", "reverses__uuid")
    actions = ("approve", "reject", "withdraw")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Proposing is a right of its own."""
        return bool(request.user.has_perm("trading.add_adjustmentproposal"))

    def has_propose_permission(self, request: HttpRequest) -> bool:
        """Who may propose may withdraw."""
        return self.has_add_permission(request)

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """And so is deciding."""
        return bool(request.user.has_perm("trading.change_adjustmentproposal"))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """What a new proposal asks for."""
        return ProposalForm if obj is None else super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The form's, or those of a proposal that was made."""
        return list(ProposalForm.field_order) if obj is None else super().get_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All of a proposal that was made."""
        return [] if obj is None else super().get_readonly_fields(request, obj)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The form; what the service refuses is told on the list."""
        if request.method == "POST":
            cast(Any, request).board = present_board()  # Django saves within a transaction, where prices aren't read
        try:
            answer: HttpResponse = super().add_view(request, form_url, extra_context)
        except AstradeError as exc:
            self.message_user(request, told(exc), messages.ERROR)
            return redirect("admin:trading_adjustmentproposal_changelist")
        return answer

    def save_model(self, request: HttpRequest, obj: AdjustmentProposal, form: Any, change: bool) -> None:
        """Through the service."""
        ip, board = cast(DressedRequest, request).client_address, cast(Any, request).board
        made = form.propose(staff_id=request.user.pk, ip=ip, board=board)
        obj.pk, obj.amount, obj.state = made.pk, made.amount, made.state

    @admin.action(description="Approve and book", permissions=["decide"])
    def approve(self, request: HttpRequest, queryset: QuerySet[AdjustmentProposal]) -> None:
        """Each in a transaction of its own; what is refused is named."""
        self._each(request, queryset, approve_adjustment, "approved")

    @admin.action(description="Reject", permissions=["decide"])
    def reject(self, request: HttpRequest, queryset: QuerySet[AdjustmentProposal]) -> None:
        """Each in a transaction of its own; what is refused is named."""
        self._each(request, queryset, reject_adjustment, "rejected")

    @admin.action(description="Withdraw (one's own)", permissions=["propose"])
    def withdraw(self, request: HttpRequest, queryset: QuerySet[AdjustmentProposal]) -> None:
        """Each in a transaction of its own; what is refused is named."""
        self._each(request, queryset, withdraw_adjustment, "withdrawn")

    def _each(self, request: HttpRequest, queryset: QuerySet[AdjustmentProposal], service: Any, done: str) -> None:
        decided, ip = 0, cast(DressedRequest, request).client_address
        for proposal in queryset.order_by("pk"):
            try:
                service(proposal.pk, staff_id=request.user.pk, ip=ip)
                decided += 1
            except AstradeError as exc:
                self.message_user(request, f"{proposal}: {told(exc)}", messages.ERROR)
        if decided:
            self.message_user(request, f"{decided} {done}", messages.SUCCESS)
