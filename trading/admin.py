"""The back office of trading: it looks, and changes nothing. An order's page tells its whole story."""

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from astrade.core.admin import ReadOnlyAdmin, ReadOnlyInline
from astrade.core.clock import system_clock
from astrade.core.errors import AstradeError
from astrade.core.money import ZERO, plain
from trading.adjustments_admin import AdjustmentProposalAdmin
from trading.admin_search import OfAccountAdmin, account_ids_of, told, uuid_of
from trading.domain.limits import HaltScope
from trading.halts_admin import ReasonForm, reason_in
from trading.models import (
    AdjustmentProposal,
    BalanceRoot,
    Case,
    CashBalance,
    ClosedPosition,
    DeadManSwitch,
    Deposit,
    EquitySnapshot,
    Event,
    Fill,
    FundingHour,
    FundingPayment,
    Hold,
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
    TwapPlan,
    VenueMessage,
    VenueMovement,
    VenueOrder,
    VenueTransfer,
    Withdrawal,
    WithdrawalAddress,
)
from trading.selectors import fills_of_order
from trading.services.halts import HaltTarget, set_halt
from trading.venues_admin import CaseAdmin, VenueMessageAdmin, VenueOrderAdmin
from trading.withdrawals_admin import (
    VenueMovementAdmin,
    VenueTransferAdmin,
    WithdrawalAddressAdmin,
    WithdrawalAdmin,
)


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


class PlanInline(ReadOnlyInline):
    model = TwapPlan
    fields = (
        "starts_at",
        "duration_s",
        "slices",
        "next_slice",
        "executed_slices",
        "jitter",
        "seed",
        "reserve_price",
        "paused_at",
        "due_at",
    )


class ChildInline(ReadOnlyInline):
    """A TWAP order's slices, or the take profit and stop loss that an order brought."""

    model = Order
    verbose_name_plural = "Orders it brought"
    fields = ("number", "uuid", "created_at", "type", "quantity", "filled_quantity", "fee", "status", "reason")
    ordering = ("id",)


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
    inlines = (PlanInline, TransitionInline, ChildInline, FillInline)
    readonly_fields = ("ledger", "events")

    @admin.display(description="Ledger entries of its fills")
    def ledger(self, order: Order) -> SafeString:
        """What its fills moved; a TWAP order's are its slices'."""
        references = [f"fill:{fill.uuid}" for fill in fills_of_order(order)]
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


@admin.register(TwapPlan)
class TwapPlanAdmin(ReadOnlyAdmin):
    list_display = (
        "order",
        "order__account",
        "starts_at",
        "slices",
        "next_slice",
        "executed_slices",
        "paused_at",
        "due_at",
    )
    list_select_related = ["order__account"]


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


@admin.register(Hold)
class HoldAdmin(OfAccountAdmin):
    list_display = (
        "held_at", "account__user", "account", "amount", "asset", "purpose", "reference", "state", "ended_at", "entry",
    )  # fmt: skip
    list_filter = ("state", "purpose")
    list_select_related = ("account__user", "entry")
    identifiers = ("uuid", "reference")


@admin.register(EquitySnapshot)
class EquitySnapshotAdmin(OfAccountAdmin):
    list_display = ("at", "account__user", "account", "balance", "equity", "flows")
    list_select_related = ("account__user",)


@admin.register(BalanceRoot)
class BalanceRootAdmin(ReadOnlyAdmin):
    list_display = ("number", "at", "accounts", "root", "hash")
    exclude = ("salt",)


admin.site.register(AdjustmentProposal, AdjustmentProposalAdmin)
admin.site.register(Case, CaseAdmin)
admin.site.register(VenueMessage, VenueMessageAdmin)
admin.site.register(VenueOrder, VenueOrderAdmin)
admin.site.register(VenueMovement, VenueMovementAdmin)
admin.site.register(VenueTransfer, VenueTransferAdmin)
admin.site.register(Withdrawal, WithdrawalAdmin)
admin.site.register(WithdrawalAddress, WithdrawalAddressAdmin)


@admin.register(RiskDay)
class RiskDayAdmin(OfAccountAdmin):
    list_display = ("starts_at", "ends_at", "account__user", "account", "equity", "net_deposits", "traded_notional")
    list_select_related = ("account__user",)


@admin.register(ReaderPosition)
class ReaderPositionAdmin(ReadOnlyAdmin):
    list_display = ("name", "xid", "row_id")
