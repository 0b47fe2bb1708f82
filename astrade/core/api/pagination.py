"""Keyset pagination by an integer that only grows: newest first, stable while new rows arrive."""

from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from rest_framework import serializers
from rest_framework.request import Request

from astrade.core.api.views import shape
from astrade.core.clock import EPOCH, to_us

MAX_LIMIT = 1000
DEFAULT_LIMIT = 50
LAST_US = to_us(datetime.max.replace(tzinfo=EPOCH.tzinfo))
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


def page_by_time(queryset: QuerySet[M], request: Request, *, key: str = "at") -> tuple[list[M], dict[str, int | None]]:
    """As `page`, for rows without a number: newest first, the cursor is the time of a page's last row in microseconds.

    Rows of one moment are never cut apart, so a page may hold fewer than its limit, or more where one moment has more.
    """
    query = shape(PageQuery, request.query_params.dict())
    limit, cursor = query["limit"], query.get("cursor")
    if cursor is not None:
        queryset = queryset.filter(**{f"{key}__lt": EPOCH + timedelta(microseconds=min(cursor, LAST_US))})
    rows = list(queryset.order_by(f"-{key}", "-pk")[: limit + 1])
    more = len(rows) > limit
    if more:
        cut = getattr(rows[-1], key)
        before = [row for row in rows if getattr(row, key) > cut]
        rows = before or list(queryset.filter(**{key: cut}).order_by("-pk"))
        more = bool(before) or queryset.filter(**{f"{key}__lt": cut}).exists()
    last = to_us(getattr(rows[-1], key)) if more else None
    return rows, {"cursor": last, "count": len(rows)}
