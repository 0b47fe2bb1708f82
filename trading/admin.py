"""The back office of trading: it looks, and changes nothing. An order's page tells its whole story."""

from typing import Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from accounts.admin import named
from astrade.core.admin import ReadOnlyAdmin, ReadOnlyInline
from astrade.core.clock import system_clock
from astrade.core.errors import AstradeError
from astrade.core.http import DressedRequest
from astrade.core.money import ZERO, plain
from trading.admin_forms import ProposalForm
from trading.domain.limits import HaltScope
from trading.halts_admin import ReasonForm, reason_in
from trading.models import (
    AdjustmentProposal,
    BalanceRoot,
    CashBalance,
    ClosedPosition,
    DeadManSwitch,
    Deposit,
    EquitySnapshot,
    Event,
    Fill,
    FundingHour,
    FundingPayment,
    JournalEntry,
    Liquidation,
    Order,
    OrderRefusal,
    OrderTransition,
    Position,
    Posting,
    ReaderPosition,
    RiskDay,
    TradingAccount,
    Transfer,
)
from trading.services.adjustments import approve_adjustment, reject_adjustment
from trading.services.halts import HaltTarget, set_halt

ACCOUNTS_MAX = 1000  # that one search looks into


def account_ids_of(word: str) -> list[int]:
    """Accounts by their id, or by their user's id or the beginning of the address; each by an index."""
    ids = TradingAccount.objects.values_list("pk", flat=True)
    found = list(ids.filter(named(word, prefix="user__"))[:ACCOUNTS_MAX])
    return [*found, *ids.filter(uuid=uuid)] if (uuid := uuid_of(word)) else found


class OfAccountAdmin(ReadOnlyAdmin):
    """Rows of accounts, found by account, by user and by `identifiers`; of several words each narrows it down."""

    identifiers: tuple[str, ...] = ()
    search_fields = ("account",)
    search_help_text = "Account id, user id, e-mail address (its beginning), or an id of what is looked for"
    list_select_related: tuple[str, ...] = ("account__user", "market")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Never a search within texts: that reads the whole table."""
        for word in search_term.split():
            queryset = queryset.filter(self._meant_by(word))
        return queryset, False

    def _meant_by(self, word: str) -> Q:
        meant = Q(account_id__in=account_ids_of(word))
        for name in self.identifiers:
            value = uuid_of(word) if name.endswith("uuid") else word
            meant |= Q(**{name: value}) if value else Q()
        return meant


def uuid_of(word: str) -> UUID | None:
    """The UUID that a word is, if it is one."""
    try:
        return UUID(word)
    except ValueError:
        return None


class CashBalanceInline(ReadOnlyInline):
    model = CashBalance
    fields = ("asset", "balance")


class PositionInline(ReadOnlyInline):
    model = Position
    fields = ("market", "quantity", "entry_notional", "realized_pnl", "fees", "funding", "opened_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Position]:
        """With their markets."""
        found: QuerySet[Position] = super().get_queryset(request).select_related("market")
        return found


@admin.register(TradingAccount)
class TradingAccountAdmin(ReadOnlyAdmin):
    list_display = ("uuid", "user", "name", "venue", "is_primary", "state", "sequence", "order_count", "created_at")
    list_filter = ("venue", "state", "simulator")
    list_select_related = ("user",)
    search_fields = ("uuid",)
    search_help_text = "Account id, user id or e-mail address (its beginning)"
    inlines = (CashBalanceInline, PositionInline)
    actions = ("halt",)
    action_form = ReasonForm

    def has_halt_permission(self, request: HttpRequest) -> bool:
        """Who may see accounts isn't who may stop them."""
        return bool(request.user.has_perm("trading.add_tradinghalt"))

    @admin.action(description="Halt: no order that adds risk", permissions=["halt"])
    def halt(self, request: HttpRequest, queryset: QuerySet[TradingAccount]) -> None:
        """One halt for each, with a reason; they are lifted among the halts."""
        for account in queryset:
            target = HaltTarget(HaltScope.ACCOUNT, account=account)
            try:
                set_halt(target, reason=reason_in(request), actor_id=request.user.pk, now=system_clock())
            except AstradeError as exc:
                self.message_user(request, told(exc), messages.ERROR)
                return
        self.message_user(request, f"{len(queryset)} halted", messages.SUCCESS)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[TradingAccount], search_term: str
    ) -> tuple[QuerySet[TradingAccount], bool]:
        """By id or user."""
        for word in search_term.split():
            queryset = queryset.filter(pk__in=account_ids_of(word))
        return queryset, False


class TransitionInline(ReadOnlyInline):
    model = OrderTransition
    fields = ("at", "from_status", "to_status", "reason", "change")
    ordering = ("id",)


class FillInline(ReadOnlyInline):
    model = Fill
    fields = ("number", "at", "price", "quantity", "fee", "realized_pnl", "is_taker", "book_sequence")
    ordering = ("id",)


@admin.register(Order)
class OrderAdmin(OfAccountAdmin):
    list_display = (
        "created_at",
        "number",
        "account__user",
        "account",
        "market",
        "side",
        "type",
        "quantity",
        "price",
        "filled_quantity",
        "status",
    )
    list_filter = ("status", "type", "side", "source", "market__venue")
    identifiers = ("uuid", "client_order_id")
    inlines = (TransitionInline, FillInline)
    readonly_fields = ("ledger", "events")

    @admin.display(description="Ledger entries of its fills")
    def ledger(self, order: Order) -> SafeString:
        """What its fills moved."""
        references = [f"fill:{uuid}" for uuid in order.fills.values_list("uuid", flat=True)]
        postings = Posting.objects.filter(
            entry__account_id=order.account_id, entry__reference__in=references, ledger_account="cash"
        )
        rows = [
            (
                posting.entry.number,
                posting.entry.kind,
                plain(posting.amount),
                posting.asset,
                plain(posting.running_balance or ZERO),
            )
            for posting in postings.select_related("entry").order_by("entry__number")
        ]
        return format_html_join("", "<div>#{} {}: {} {}, balance {}</div>", rows)

    @admin.display(description="Events that told of it")
    def events(self, order: Order) -> SafeString:
        """Sequences on the account's event feed."""
        told = Event.objects.filter(account_id=order.account_id, kind="order_update", data__id=str(order.uuid))
        rows = [(event.sequence, event.at, event.data["status"]) for event in told.order_by("sequence")[:50]]
        return format_html_join("", "<div>{} at {}: {}</div>", rows)


@admin.register(OrderRefusal)
class OrderRefusalAdmin(OfAccountAdmin):
    list_display = ("at", "account__user", "account", "market", "code", "message", "client_order_id")
    list_filter = ("code",)
    identifiers = ("client_order_id",)


@admin.register(Fill)
class FillAdmin(OfAccountAdmin):
    list_display = (
        "at",
        "number",
        "account__user",
        "account",
        "market",
        "side",
        "price",
        "quantity",
        "fee",
        "realized_pnl",
        "is_taker",
    )
    list_filter = ("side", "is_taker")
    identifiers = ("order__uuid",)


@admin.register(Position)
class PositionAdmin(OfAccountAdmin):
    list_display = (
        "account__user",
        "account",
        "market",
        "quantity",
        "entry_notional",
        "realized_pnl",
        "fees",
        "funding",
        "opened_at",
    )
    identifiers = ("uuid",)


@admin.register(ClosedPosition)
class ClosedPositionAdmin(OfAccountAdmin):
    list_display = (
        "closed_at",
        "account__user",
        "account",
        "market",
        "side",
        "quantity",
        "realized_pnl",
        "fees",
        "funding",
        "opened_at",
    )
    identifiers = ("uuid",)


@admin.register(Liquidation)
class LiquidationAdmin(OfAccountAdmin):
    list_display = (
        "at",
        "account__user",
        "account",
        "market",
        "orders_cancelled",
        "quantity",
        "fee",
        "insurance",
        "equity",
        "maintenance",
        "equity_after",
        "maintenance_after",
    )
    identifiers = ("order__uuid",)


@admin.register(FundingPayment)
class FundingPaymentAdmin(OfAccountAdmin):
    list_display = ("hour", "account__user", "account", "market", "quantity", "mark", "rate", "amount", "at")
    identifiers = ("uuid", "position_uuid")


@admin.register(FundingHour)
class FundingHourAdmin(ReadOnlyAdmin):
    list_display = ("hour", "market", "rate", "mark")
    list_filter = ("market",)
    list_select_related = ("market",)


class PostingInline(ReadOnlyInline):
    model = Posting
    fields = ("line", "ledger_account", "asset", "amount", "running_balance")
    ordering = ("line",)


@admin.register(JournalEntry)
class JournalEntryAdmin(OfAccountAdmin):
    list_display = ("at", "account__user", "account", "number", "kind", "reference")
    list_filter = ("kind",)
    list_select_related = ("account__user",)
    inlines = (PostingInline,)


@admin.register(Event)
class EventAdmin(OfAccountAdmin):
    list_display = ("at", "account__user", "account", "sequence", "kind")
    list_filter = ("kind",)
    list_select_related = ("account__user",)


@admin.register(DeadManSwitch)
class DeadManSwitchAdmin(OfAccountAdmin):
    list_display = ("account", "account__user", "timeout_s", "fires_at", "fired_at")
    list_select_related = ("account__user",)
    ordering = ["-pk"]


@admin.register(Transfer)
class TransferAdmin(ReadOnlyAdmin):
    list_display = ("at", "from_account__user", "from_account", "to_account", "amount", "asset")
    list_select_related = ("from_account__user", "to_account")
    search_fields = ("uuid",)
    search_help_text = "Account id, user id, e-mail address (its beginning), or the transfer's id"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Transfer], search_term: str
    ) -> tuple[QuerySet[Transfer], bool]:
        """By its id, or by either account."""
        for word in search_term.split():
            accounts = account_ids_of(word)
            meant = Q(from_account_id__in=accounts) | Q(to_account_id__in=accounts)
            queryset = queryset.filter(meant | Q(uuid=uuid) if (uuid := uuid_of(word)) else meant)
        return queryset, False


@admin.register(Deposit)
class DepositAdmin(OfAccountAdmin):
    list_display = ("at", "account__user", "account", "source", "amount", "asset")
    list_filter = ("source",)
    list_select_related = ("account__user",)
    identifiers = ("uuid",)


@admin.register(EquitySnapshot)
class EquitySnapshotAdmin(OfAccountAdmin):
    list_display = ("at", "account__user", "account", "balance", "equity", "flows")
    list_select_related = ("account__user",)


@admin.register(BalanceRoot)
class BalanceRootAdmin(ReadOnlyAdmin):
    list_display = ("number", "at", "accounts", "root", "hash")
    exclude = ("salt",)


@admin.register(AdjustmentProposal)
class AdjustmentProposalAdmin(OfAccountAdmin):
    """Corrections of the ledger: who proposes one here doesn't decide on it."""

    list_display = (
        "proposed_at", "account__user", "account", "amount", "reverses", "reason", "may_overdraw", "state",
        "proposed_by", "decided_by", "entry",
    )  # fmt: skip
    list_filter = ("state",)
    list_select_related = ("account__user", "reverses", "proposed_by", "decided_by", "entry")
    identifiers = ("uuid", "reverses__uuid")
    actions = ("approve", "reject")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Proposing is a right of its own."""
        return bool(request.user.has_perm("trading.add_adjustmentproposal"))

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
        try:
            answer: HttpResponse = super().add_view(request, form_url, extra_context)
        except AstradeError as exc:
            self.message_user(request, told(exc), messages.ERROR)
            return redirect("admin:trading_adjustmentproposal_changelist")
        return answer

    def save_model(self, request: HttpRequest, obj: AdjustmentProposal, form: Any, change: bool) -> None:
        """Through the service."""
        made = form.propose(staff_id=request.user.pk, ip=cast(DressedRequest, request).client_address)
        obj.pk, obj.amount, obj.state = made.pk, made.amount, made.state

    @admin.action(description="Approve and book", permissions=["decide"])
    def approve(self, request: HttpRequest, queryset: QuerySet[AdjustmentProposal]) -> None:
        """Each in a transaction of its own; what is refused is named."""
        self._each(request, queryset, approve_adjustment, "approved")

    @admin.action(description="Reject", permissions=["decide"])
    def reject(self, request: HttpRequest, queryset: QuerySet[AdjustmentProposal]) -> None:
        """Each in a transaction of its own; what is refused is named."""
        self._each(request, queryset, reject_adjustment, "rejected")

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


def told(refusal: AstradeError) -> str:
    """A refusal with its figures."""
    figures = ", ".join(f"{name} {value}" for name, value in refusal.details.items())
    return f"{refusal} ({figures})" if figures else str(refusal)


@admin.register(RiskDay)
class RiskDayAdmin(OfAccountAdmin):
    list_display = ("starts_at", "ends_at", "account__user", "account", "equity", "net_deposits", "traded_notional")
    list_select_related = ("account__user",)


@admin.register(ReaderPosition)
class ReaderPositionAdmin(ReadOnlyAdmin):
    list_display = ("name", "xid", "row_id")
