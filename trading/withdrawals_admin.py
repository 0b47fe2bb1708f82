"""Withdrawals in the back office: seen by all staff, decided by somebody else than who asked, with a fresh factor."""

from datetime import datetime
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextInputWidget

from astrade.core.admin import ReadOnlyAdmin
from astrade.core.clock import system_clock
from astrade.core.errors import AstradeError
from astrade.core.http import DressedRequest
from trading.admin_search import OfAccountAdmin, told
from trading.halts_admin import ReasonForm, reason_in
from trading.models import JournalEntry, VenueTransfer, Withdrawal
from trading.services.withdrawals import approve_withdrawal, reject_withdrawal


class DecisionForm(ReasonForm):
    """What deciding takes: a code of one's own authenticator, and for a rejection a reason."""

    code = forms.CharField(
        required=False,
        max_length=32,
        label="",
        widget=UnfoldAdminTextInputWidget({"placeholder": "Authenticator code", "autocomplete": "one-time-code"}),
    )


class WithdrawalAdmin(OfAccountAdmin):
    """Those that wait for approval are found by state; an authenticator's code decides on one."""

    list_display = (
        "requested_at", "account__user", "account", "amount", "asset", "address", "state", "reason", "decided_by",
        "send_before", "signed_at", "venue_movement_id", "lookups", "ended_at", "entry",
    )  # fmt: skip
    list_filter = ("state",)
    list_select_related = ("account__user", "address", "decided_by", "entry", "prepared")
    identifiers = ("uuid", "venue_movement_id")
    actions = ("approve", "reject")
    action_form = DecisionForm

    @admin.display(description="Signature expires", ordering="prepared__send_before")
    def send_before(self, row: Withdrawal) -> datetime | None:
        """Of what its user signed: approved later, it fails."""
        return row.prepared.send_before if hasattr(row, "prepared") else None

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Staff with the right to change withdrawals."""
        return bool(request.user.has_perm("trading.change_withdrawal"))

    @admin.action(description="Approve one: it is sent", permissions=["decide"])
    def approve(self, request: HttpRequest, queryset: QuerySet[Withdrawal]) -> None:
        """A code works once, so one at a time."""
        self._decide(request, queryset, approve_withdrawal, "approved")

    @admin.action(description="Reject one, with a reason for its owner", permissions=["decide"])
    def reject(self, request: HttpRequest, queryset: QuerySet[Withdrawal]) -> None:
        """As `approve`."""
        self._decide(request, queryset, reject_withdrawal, "rejected", note=reason_in(request))

    def _decide(
        self, request: HttpRequest, queryset: QuerySet[Withdrawal], service: Any, done: str, **more: str
    ) -> None:
        chosen = list(queryset)
        if len(chosen) != 1:
            self.message_user(request, "Choose one: a code works once", messages.ERROR)
            return
        code, ip = request.POST.get("code", "").strip(), cast(DressedRequest, request).client_address
        try:
            service(chosen[0].pk, staff_id=request.user.pk, code=code, now=system_clock(), ip=ip, **more)
        except AstradeError as refusal:
            self.message_user(request, f"{chosen[0]}: {told(refusal)}", messages.ERROR)
        else:
            self.message_user(request, f"{chosen[0]}: {done}", messages.SUCCESS)


class VenueTransferAdmin(OfAccountAdmin):
    """Transfers between live accounts; `account` is the sender's."""

    list_display = (
        "transfer__at", "account__user", "account", "transfer__to_account", "amount", "state", "reason", "signed_at",
        "venue_movement_id", "lookups", "ended_at", "entry", "arrival_entry",
    )  # fmt: skip
    list_filter = ("state",)
    list_select_related = ("account__user", "transfer__to_account", "entry", "arrival__entry")
    identifiers = ("uuid", "venue_movement_id")

    @admin.display(description="Arrival")
    def arrival_entry(self, row: VenueTransfer) -> JournalEntry | None:
        """The receiver's entry."""
        return row.arrival.entry if hasattr(row, "arrival") else None


class WithdrawalAddressAdmin(ReadOnlyAdmin):
    """Where users' withdrawals may go."""

    list_display = ("added_at", "user", "network", "address", "label", "usable_at", "removed_at")
    list_filter = ("network", ("removed_at", admin.EmptyFieldListFilter))
    list_select_related = ("user",)
    search_fields = ("=address", "=uuid")


class VenueMovementAdmin(OfAccountAdmin):
    """The venues' history of funds, as it was booked."""

    list_display = (
        "at", "account__user", "account", "kind", "amount", "fee", "status", "movement_id", "is_opening", "entry",
    )  # fmt: skip
    list_filter = ("kind", "status")
    list_select_related = ("account__user", "entry")
    identifiers = ("movement_id",)
