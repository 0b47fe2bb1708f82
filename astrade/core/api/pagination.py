"""Keyset pagination by an integer that only grows: newest first, stable while new rows arrive."""

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework import serializers
from rest_framework.request import Request

from astrade.core.api.views import shape

MAX_LIMIT = 1000
DEFAULT_LIMIT = 50
M = TypeVar("M", bound=Model)


class PageQuery(serializers.Serializer[Any]):
    """`?cursor=&limit=` of every list."""

    cursor = serializers.IntegerField(required=False, min_value=0, max_value=2**63 - 1)
    limit = serializers.IntegerField(default=DEFAULT_LIMIT, min_value=1, max_value=MAX_LIMIT)


def page(queryset: QuerySet[M], request: Request, *, key: str = "number") -> tuple[list[M], dict[str, int | None]]:
    """One page of `queryset` by falling `key`, and the envelope's `pagination`; `cursor` is None on the last page.

    One query: it asks for one row more than the page holds instead of counting.
    """
    query = shape(PageQuery, request.query_params.dict())
    limit, cursor = query["limit"], query.get("cursor")
    if cursor is not None:
        queryset = queryset.filter(**{f"{key}__lt": cursor})
    rows = list(queryset.order_by(f"-{key}")[: limit + 1])
    more = len(rows) > limit
    rows = rows[:limit]
    return rows, {"cursor": getattr(rows[-1], key) if more else None, "count": len(rows)}
