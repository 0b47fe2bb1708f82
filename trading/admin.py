"""The back office of trading: it looks, and changes nothing. An order's page tells its whole story."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from accounts.admin import named
from astrade.core.admin import ReadOnlyAdmin, ReadOnlyInline
from astrade.core.money import ZERO, plain
from trading.models import (
    CashBalance,
    ClosedPosition,
    EquitySnapshot,
    Event,
    Fill,
    JournalEntry,
    Order,
    OrderRefusal,
    OrderTransition,
    Position,
    Posting,
    ReaderPosition,
    TradingAccount,
)

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
    fields = ("market", "quantity", "entry_notional", "realized_pnl", "fees", "opened_at")

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

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[TradingAccount], search_term: str
    ) -> tuple[QuerySet[TradingAccount], bool]:
        """By id or user."""
        for word in search_term.split():
            queryset = queryset.filter(pk__in=account_ids_of(word))
        return queryset, False


class TransitionInline(ReadOnlyInline):
    model = OrderTransition
    fields = ("at", "from_status", "to_status", "reason")
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
        "opened_at",
    )
    identifiers = ("uuid",)


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


@admin.register(EquitySnapshot)
class EquitySnapshotAdmin(OfAccountAdmin):
    list_display = ("at", "account__user", "account", "balance", "equity")
    list_select_related = ("account__user",)


@admin.register(ReaderPosition)
class ReaderPositionAdmin(ReadOnlyAdmin):
    list_display = ("name", "xid", "row_id")
