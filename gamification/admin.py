"""The game's back office: the catalogue is edited, what players earned is looked at."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from astrade.core.admin import ReadOnlyAdmin
from astrade.core.clock import system_clock
from gamification import intake
from gamification.catalogue import save_mission
from gamification.models import Mission, MissionProgress, MissionStep, Planet, Progress, SkippedEvent, Unlock, XpEntry

USER_SEARCH = ["=user__email", "=user__uuid"]


@admin.register(Mission)
class MissionAdmin(ModelAdmin):  # type: ignore[misc]
    """The catalogue of missions. A mission is switched off rather than removed: awards refer to it."""

    list_display = ["title", "slug", "planet", "event_kind", "target", "reward_xp", "opens_planet", "is_active"]
    list_filter = ["planet", "event_kind", "is_active"]
    list_select_related = ["planet", "opens_planet"]
    search_fields = ["slug", "title"]

    def get_readonly_fields(self, request: HttpRequest, obj: Mission | None = None) -> list[str]:
        """The slug names the cause of awards that were given."""
        return ["slug"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Mission | None = None) -> bool:
        """See the class."""
        return False

    def save_model(self, request: HttpRequest, obj: Mission, form: Any, change: bool) -> None:
        """Through the service, which puts it on record."""
        save_mission(obj, actor_id=request.user.pk)


@admin.register(Planet)
class PlanetAdmin(ReadOnlyAdmin):
    """The places of the game."""

    list_display = ["number", "name", "slug", "description"]
    search_fields = ["slug", "name"]
    ordering = ["number"]


@admin.register(Progress)
class ProgressAdmin(ReadOnlyAdmin):
    """Where players stand."""

    list_display = ["user", "xp", "entry_count", "is_listed", "updated_at"]
    list_select_related = ["user"]
    search_fields = USER_SEARCH
    ordering = ["-xp", "-precedence"]


@admin.register(XpEntry)
class XpEntryAdmin(ReadOnlyAdmin):
    """The XP ledger."""

    list_display = ["at", "user", "number", "amount", "total_xp", "reason", "source", "description"]
    list_filter = ["reason"]
    list_select_related = ["user"]
    search_fields = [*USER_SEARCH, "=source"]


@admin.register(MissionProgress)
class MissionProgressAdmin(ReadOnlyAdmin):
    """How far players are in missions."""

    list_display = ["user", "mission", "count", "completed_at"]
    list_filter = ["mission"]
    list_select_related = ["user", "mission"]
    search_fields = USER_SEARCH


@admin.register(MissionStep)
class MissionStepAdmin(ReadOnlyAdmin):
    """What counted towards missions."""

    list_display = ["at", "user", "mission", "subject", "event_id"]
    list_filter = ["mission"]
    list_select_related = ["user", "mission"]
    search_fields = [*USER_SEARCH, "=subject"]


@admin.register(Unlock)
class UnlockAdmin(ReadOnlyAdmin):
    """Planets that opened to players."""

    list_display = ["at", "user", "planet", "source"]
    list_filter = ["planet"]
    list_select_related = ["user", "planet"]
    search_fields = USER_SEARCH


@admin.register(SkippedEvent)
class SkippedEventAdmin(ReadOnlyAdmin):
    """Events the game could not play, until it can."""

    list_display = ["event_id", "error", "attempts", "skipped_at", "retry_at", "resolved_at"]
    list_filter = [("resolved_at", admin.EmptyFieldListFilter)]
    search_fields = ["=event__id", "error"]
    actions = ["retry_now"]

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Who may edit the catalogue may also play events again."""
        return request.user.has_perm("gamification.change_mission")

    @admin.action(description="Try again now", permissions=["retry"])
    def retry_now(self, request: HttpRequest, queryset: QuerySet[SkippedEvent]) -> None:
        """Play the chosen events again."""
        ids = list(queryset.values_list("pk", flat=True))
        played = sum(intake.retry(skipped_id, now=system_clock()) for skipped_id in ids)
        messages.info(request, f"{played} of {len(ids)} events played.")
