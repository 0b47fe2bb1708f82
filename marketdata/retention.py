"""How long history is kept: candles shorter than an hour, and funding rates, for as many days as the settings say.

Candles of an hour and more stay: they are few, and can't be added up again once their minutes are gone. Only whole UTC
days go, so that no hour is left with a part of its minutes.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from marketdata.models import Candle, FundingRate
from marketdata.timeframes import HOUR_MS, LENGTH_MS

BATCH = 5_000
SHORT = [timeframe for timeframe, length_ms in LENGTH_MS.items() if length_ms < HOUR_MS]


def expired(*, now: datetime) -> Mapping[str, QuerySet[Any]]:
    """What is older than it is to be kept, by what it is."""
    return {
        "candles": Candle.objects.filter(timeframe__in=SHORT, open_time__lt=_since(now, settings.CANDLES_KEPT_DAYS)),
        "funding rates": FundingRate.objects.filter(at__lt=_since(now, settings.FUNDING_RATES_KEPT_DAYS)),
    }


def prune(rows: QuerySet[Any], *, progress: Callable[[int], None], batch: int = BATCH) -> int:
    """Delete `rows`, `batch` in a transaction, and tell of each batch; returns how many. May be interrupted and called
    again at any time."""
    deleted = 0
    while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:batch]):
        number, _ = rows.filter(pk__in=keys).delete()
        deleted += number
        progress(number)
    return deleted


def _since(now: datetime, days: int) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)
