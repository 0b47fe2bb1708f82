"""The back office's base: history is looked at, never edited, and big tables are never counted.

    class OrderAdmin(ReadOnlyAdmin): list_display = […]; search_fields = […]

Rights still matter: a member of staff needs the model's `view` permission. Actions that call services may be added.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db import connection, models
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin, TabularInline

from astrade.core.fields import AmountField
from astrade.core.models import AuditEvent, Lease
from astrade.core.money import plain

COUNTED_UP_TO = 10_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than COUNTED_UP_TO rows; a whole big table is taken at the planner's estimate."""

    @cached_property
    def count(self) -> int:
        """Exact for what is small, the estimate or the bound for what isn't."""
        queryset: Any = self.object_list
        found = len(queryset.order_by().values_list("pk", flat=True)[: COUNTED_UP_TO + 1])
        if found <= COUNTED_UP_TO or queryset.query.where:
            return found
        return max(found, estimated_rows(queryset.model))


def estimated_rows(model: type[models.Model]) -> int:
    """What PostgreSQL's planner believes the table to hold; no scan."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [model._meta.db_table])
        return int(cursor.fetchone()[0])


@cache  # the admin compares the callables it is given
def _shown(model: type[models.Model], name: Any) -> Any:
    """A column as it is shown: an amount as plain decimal text, anything else by its name."""
    fields = {field.name: field for field in model._meta.concrete_fields}
    field = fields.get(name) if isinstance(name, str) else None
    if not isinstance(field, AmountField):
        return name

    @admin.display(description=str(field.verbose_name), ordering=name)
    def amount(row: models.Model) -> str | None:
        value = getattr(row, name)
        return None if value is None else plain(value)

    amount.__name__ = name
    return amount


class _ReadOnly:
    """Rows are made, changed and removed by services only; amounts show without the zeros that fill their column."""

    model: type[models.Model]
    fields: Sequence[str] | None = None
    exclude: Sequence[str] | None = None
    readonly_fields: Sequence[str] = ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The fields, amounts as plain text."""
        hidden = set(self.exclude or ())
        columns = [field.name for field in self.model._meta.concrete_fields if field.name not in hidden]
        return [_shown(self.model, name) for name in self.fields or [*columns, *self.readonly_fields]]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All of them."""
        return self.get_fields(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are made by services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are changed by services."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows stay."""
        return False


class ReadOnlyAdmin(_ReadOnly, ModelAdmin):  # type: ignore[misc]
    """Lists and pages without a way to add, change or delete."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_fullwidth = True
    list_disable_select_all = True
    ordering = ["-pk"]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The columns, amounts as plain text."""
        return [_shown(self.model, name) for name in super().get_list_display(request)]


class ReadOnlyInline(_ReadOnly, TabularInline):  # type: ignore[misc]
    """Rows of another table on an object's page."""

    extra = 0
    hide_title = True


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """Who did what."""

    list_display = ["at", "action", "actor_id", "on_behalf_of_id", "object_type", "object_id", "ip", "request_id"]
    list_filter = ["action"]
    search_fields = ["=object_id", "=request_id", "=actor_id", "=on_behalf_of_id"]
    list_filter_submit = True


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin):
    """Which process runs what."""

    list_display = ["name", "holder", "token", "expires_at"]
    search_fields = ["name", "holder"]
    ordering = ["name"]
