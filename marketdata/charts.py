"""Candles and funding as clients read them: one query, prices already as text, holes said out loud."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from astrade.core.clock import from_ms, to_ms
from astrade.core.errors import MarketDataStale
from marketdata import live
from marketdata.models import FundingRate
from marketdata.selectors import MarketInfo
from marketdata.timeframes import LENGTH_MS

Body = dict[str, Any]
# PostgreSQL makes the texts: five thousand decimals a read would cost Python more than everything else together.
SELECT = """
SELECT (extract(epoch FROM open_time) * 1000)::bigint, trim_scale(open)::text, trim_scale(high)::text,
       trim_scale(low)::text, trim_scale(close)::text, trim_scale(volume)::text, trades
FROM marketdata_candle
WHERE market_id = %s AND kind = %s AND timeframe = %s AND open_time >= %s AND open_time <= %s
ORDER BY open_time {order} LIMIT %s
"""


def candles_of(
    market: MarketInfo,
    *,
    timeframe: str,
    kind: str,
    start: datetime | None,
    end: datetime | None,
    limit: int,
    now: datetime,
) -> list[Body]:
    """Candles opened from `start` to `end`, oldest first: the first `limit` of them after a `start`, else the latest.

    The interval in progress comes last, not closed. Where intervals are missing between two candles stands one
    `{"open_time", "gap": true, "missing"}` with the first missing one and how many; these don't count towards `limit`.
    One query and one read of Redis; without Redis the interval in progress ends at its last stored minute.
    """
    first, last = start or from_ms(0), end or now
    order = "ASC" if start is not None else "DESC"
    with connection.cursor() as cursor:
        cursor.execute(SELECT.format(order=order), [market.id, kind, timeframe, first, last, limit])
        rows = cursor.fetchall()
    if start is None:
        rows.reverse()
    now_ms, length = to_ms(now), LENGTH_MS[timeframe]
    bodies = [
        {
            "open_time": opened,
            "open": open_,
            "high": high,
            "low": low,
            "close": close,
            "volume": volume,
            "trades": trades,
            "closed": opened + length <= now_ms,
        }
        for opened, open_, high, low, close, volume, trades in rows
    ]
    current = _running(market.symbol, kind=kind, timeframe=timeframe, first_ms=to_ms(first), last_ms=to_ms(last))
    merged = _merged(bodies, current)
    return list(_with_gaps(merged[:limit] if start is not None else merged[-limit:], length_ms=length))


def funding_of(
    market: MarketInfo, *, start: datetime | None, end: datetime | None, before: datetime | None, limit: int
) -> list[FundingRate]:
    """Applied rates from `start` to `end`, newest first, those before `before` if given; one query."""
    rates = FundingRate.objects.filter(market_id=market.id).order_by("-at")
    bounds = {"at__gte": start, "at__lte": end, "at__lt": before}
    return list(rates.filter(**{name: at for name, at in bounds.items() if at is not None})[:limit])


def _running(symbol: str, *, kind: str, timeframe: str, first_ms: int, last_ms: int) -> list[Body]:
    try:
        bodies = live.running_candles(symbol, kind=kind, timeframe=timeframe)
    except MarketDataStale:
        return []
    return [body for body in bodies if first_ms <= body["open_time"] <= last_ms]


def _merged(stored: list[Body], current: Sequence[Body]) -> list[Body]:
    """Stored candles, oldest first, with what the feed still holds in place of or after them: the feed's is newer."""
    if not current or (stored and stored[-1]["open_time"] > current[-1]["open_time"]):
        return stored
    known = {body["open_time"] for body in current}
    tail = [body for body in stored[-len(current) :] if body["open_time"] not in known]
    return [*stored[: -len(current)], *sorted([*tail, *current], key=lambda body: body["open_time"])]


def _with_gaps(bodies: Iterable[Body], *, length_ms: int) -> Iterable[Body]:
    expected: int | None = None
    for body in bodies:
        opened = body["open_time"]
        if expected is not None and opened > expected:
            yield {"open_time": expected, "gap": True, "missing": (opened - expected) // length_ms}
        yield body
        expected = opened + length_ms
