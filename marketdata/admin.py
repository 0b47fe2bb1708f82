"""The back office looks at markets and their prices; rules and status change only through services, on record."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from astrade.core.admin import ReadOnlyAdmin
from marketdata import services
from marketdata.models import Candle, FundingRate, Market, MarketRules, MarketStatus


@admin.register(Market)
class MarketAdmin(ReadOnlyAdmin):
    list_display = [
        "symbol",
        "name",
        "venue",
        "type",
        "status",
        "tick_size",
        "step_size",
        "max_leverage",
        "taker_fee_rate",
    ]
    list_filter = ["venue", "type", "status"]
    search_fields = ["symbol", "name", "alias_rows__spelling"]
    actions = ["halt", "resume"]

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may halt and resume: staff with the right to change markets."""
        return request.user.has_perm("marketdata.change_market")

    @admin.action(description="Halt trading", permissions=["operate"])
    def halt(self, request: HttpRequest, queryset: QuerySet[Market]) -> None:
        self._set(request, queryset, MarketStatus.HALTED)

    @admin.action(description="Resume trading", permissions=["operate"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Market]) -> None:
        self._set(request, queryset, MarketStatus.ACTIVE)

    def _set(self, request: HttpRequest, queryset: QuerySet[Market], status: MarketStatus) -> None:
        for market in queryset:
            services.change_status(market.pk, status=status, actor_id=request.user.pk)
        messages.success(request, f"{len(queryset)} markets are now {status.label.lower()}")


@admin.register(MarketRules)
class MarketRulesAdmin(ReadOnlyAdmin):
    list_display = ["market", "number", "effective_at", "tick_size", "step_size", "min_quantity", "max_leverage"]
    list_filter = ["market"]
    list_select_related = ["market"]


@admin.register(FundingRate)
class FundingRateAdmin(ReadOnlyAdmin):
    list_display = ["at", "market", "rate", "source"]
    list_filter = ["market", "source"]
    list_select_related = ["market"]


@admin.register(Candle)
class CandleAdmin(ReadOnlyAdmin):
    list_display = ["open_time", "market", "kind", "timeframe", "open", "high", "low", "close", "volume", "source"]
    list_filter = ["market", "timeframe", "kind", "source"]
    list_select_related = ["market"]
