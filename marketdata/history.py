"""Candle and funding history in PostgreSQL: what closes is stored once, and longer timeframes are added up from
shorter ones.

Longer candles are rows too, so that a read never adds up thousands of minutes. `roll_up` works them out again from
the rows of the timeframe below for the touched intervals only: running it twice, or after a crash, gives the same rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from astrade.core.clock import from_ms, to_ms
from astrade.core.messages import CandleUpdate, FundingApplied
from marketdata.candles import Bar
from marketdata.models import Candle, FundingRate, PriceSource
from marketdata.timeframes import BASE, DAY_MS, LENGTH_MS, PART_OF, TIMEFRAMES, open_time_ms, origin_ms

INSERT = """
INSERT INTO marketdata_candle AS known
    (market_id, kind, timeframe, open_time, open, high, low, close, volume, trades, source, is_derived)
SELECT *, %s, false
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::timestamptz[], %s::numeric[], %s::numeric[], %s::numeric[],
            %s::numeric[], %s::numeric[], %s::int[])
ON CONFLICT (market_id, kind, timeframe, open_time) DO UPDATE SET
"""
# A minute that is stored again (after a crash it may be) can only have grown; an import is never overwritten by a feed.
WIDEN = """
    high = GREATEST(known.high, excluded.high), low = LEAST(known.low, excluded.low), close = excluded.close,
    volume = GREATEST(known.volume, excluded.volume), trades = GREATEST(known.trades, excluded.trades)
WHERE known.source <> 'import'
"""
# A venue's own history stands above whatever was known before it.
REPLACE = """
    open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume,
    trades = excluded.trades, source = excluded.source, is_derived = false
WHERE known.source <> 'import'
"""
# Mixed sources are named by the least trustworthy. A candle that was imported as such isn't replaced by a sum.
ROLL_UP = """
INSERT INTO marketdata_candle AS known
    (market_id, kind, timeframe, open_time, open, high, low, close, volume, trades, source, is_derived)
SELECT market_id, kind, %(timeframe)s, date_bin(%(length)s, open_time, %(origin)s) AS bucket,
       (array_agg(open ORDER BY open_time))[1], max(high), min(low), (array_agg(close ORDER BY open_time DESC))[1],
       sum(volume), sum(trades),
       CASE WHEN bool_or(source = 'synthetic') THEN 'synthetic' WHEN bool_or(source = 'replay') THEN 'replay'
            WHEN bool_or(source = 'import') THEN 'import' ELSE 'live' END,
       true
FROM marketdata_candle
WHERE market_id = ANY(%(markets)s) AND kind = ANY(%(kinds)s) AND timeframe = %(part)s
  AND open_time >= %(first)s AND open_time < %(end)s
GROUP BY market_id, kind, bucket
ON CONFLICT (market_id, kind, timeframe, open_time) DO UPDATE SET
    open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
    volume = excluded.volume, trades = excluded.trades, source = excluded.source
WHERE known.is_derived
"""


def store_candles(candles: Sequence[CandleUpdate], *, ids: Mapping[str, int], source: PriceSource) -> None:
    """Store closed candles of one timeframe and bring the longer ones up to date; may be called again with the same."""
    if not candles:
        return
    with transaction.atomic():
        insert_candles(candles, ids=ids, source=source)
        roll_up(
            timeframe=candles[0].timeframe,
            market_ids={ids[candle.symbol] for candle in candles},
            kinds={candle.kind for candle in candles},
            first=min(candle.open_time for candle in candles),
            last=max(candle.open_time for candle in candles),
        )


def insert_candles(candles: Sequence[CandleUpdate], *, ids: Mapping[str, int], source: PriceSource) -> None:
    """One statement for all of them. A stored minute only widens, unless a venue's own is put in its place."""
    columns: list[list[Any]] = [
        [ids[candle.symbol] for candle in candles],
        [candle.kind for candle in candles],
        [candle.timeframe for candle in candles],
        [candle.open_time for candle in candles],
        [candle.open for candle in candles],
        [candle.high for candle in candles],
        [candle.low for candle in candles],
        [candle.close for candle in candles],
        [candle.volume for candle in candles],
        [candle.trades for candle in candles],
    ]
    with connection.cursor() as cursor:
        cursor.execute(INSERT + (REPLACE if source == PriceSource.LIVE else WIDEN), [source, *columns])


def roll_up(
    *, timeframe: str, market_ids: Iterable[int], kinds: Iterable[str], first: datetime, last: datetime
) -> None:
    """Add up every timeframe that is built on `timeframe`, for the intervals that hold candles opened from `first` to
    `last`."""
    values: dict[str, Any] = {"markets": sorted(market_ids), "kinds": sorted(kinds)}
    touched = {timeframe}
    with connection.cursor() as cursor:
        for longer, part in PART_OF.items():
            if part not in touched:
                continue
            touched.add(longer)
            end = open_time_ms(to_ms(last), timeframe=longer) + LENGTH_MS[longer]
            values |= {
                "timeframe": longer,
                "part": part,
                "length": from_ms(LENGTH_MS[longer]) - from_ms(0),
                "origin": from_ms(origin_ms(longer)),
                "first": from_ms(open_time_ms(to_ms(first), timeframe=longer)),
                "end": from_ms(end),
            }
            cursor.execute(ROLL_UP, values)


def store_funding(applied: Sequence[FundingApplied], *, ids: Mapping[str, int], source: PriceSource) -> None:
    """Keep rates that were applied; a market's hour is kept once."""
    FundingRate.objects.bulk_create(
        [FundingRate(market_id=ids[a.symbol], at=a.at, rate=a.rate, source=source) for a in applied],
        ignore_conflicts=True,
    )


def markets_with_history() -> set[int]:
    """Row keys of markets that have a minute candle of trades."""
    known = Candle.objects.filter(kind="trades", timeframe=BASE).order_by().values("market_id").distinct()
    return {row["market_id"] for row in known}


def last_closes() -> dict[int, Decimal]:
    """Close of the newest minute of each market that has one."""
    newest = (
        Candle.objects.filter(kind="trades", timeframe=BASE)
        .order_by("market_id", "-open_time")
        .distinct("market_id")
        .values_list("market_id", "close")
    )
    return dict(newest)


def last_told_minutes() -> dict[int, int]:
    """Begin (ms) of the newest minute of trades that each market's own venue told."""
    newest = (
        Candle.objects.filter(kind="trades", timeframe=BASE, source=PriceSource.LIVE)
        .order_by("market_id", "-open_time")
        .distinct("market_id")
        .values_list("market_id", "open_time")
    )
    return {market_id: to_ms(open_time) for market_id, open_time in newest}


def minutes_of_last_day(*, now_ms: int) -> dict[int, list[Bar]]:
    """Closed minutes of trades of the last 24 h by market, oldest first."""
    rows = (
        Candle.objects.filter(kind="trades", timeframe=BASE, open_time__gt=from_ms(now_ms - DAY_MS))
        .order_by("market_id", "open_time")
        .values_list("market_id", "open_time", "open", "high", "low", "close", "volume", "trades")
    )
    days: dict[int, list[Bar]] = {}
    for row in rows.iterator():
        days.setdefault(row[0], []).append(Bar(to_ms(row[1]), *row[2:]))
    return days


def parts_in_progress(*, now_ms: int) -> dict[tuple[int, str], dict[str, Bar]]:
    """What is stored of the intervals that hold `now_ms`: timeframe to bar, by market and kind."""
    begins = {tf: from_ms(open_time_ms(now_ms, timeframe=tf)) for tf in TIMEFRAMES if tf != BASE}
    parts: dict[tuple[int, str], dict[str, Bar]] = {}
    rows = Candle.objects.filter(timeframe__in=begins, open_time__in=set(begins.values())).values_list(
        "market_id", "kind", "timeframe", "open_time", "open", "high", "low", "close", "volume", "trades"
    )
    for row in rows:
        market_id, kind, timeframe, open_time = row[:4]
        if open_time == begins[timeframe]:
            parts.setdefault((market_id, kind), {})[timeframe] = Bar(to_ms(open_time), *row[4:])
    return parts
