"""Candles from a file into the history: checked row by row, stored in batches, safe to run again after any
interruption.

The file is CSV with a header that names `open_time_ms, open, high, low, close, volume` in any order; other columns
are ignored. A row that is stored already is a duplicate and ignored; one that contradicts what was imported before is
a conflict and reported. What was added up or made up here yields to the import.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TextIO

from django.db import connection, transaction

from astrade.core.clock import from_ms, to_ms
from marketdata.history import roll_up
from marketdata.models import Candle, PriceSource
from marketdata.selectors import MarketInfo
from marketdata.timeframes import LENGTH_MS, origin_ms

COLUMNS = ("open_time_ms", "open", "high", "low", "close", "volume")
BATCH = 1_000
PRICE_LIMIT = Decimal(10) ** 20
Figures = tuple[Decimal, Decimal, Decimal, Decimal, Decimal]
STORE = """
INSERT INTO marketdata_candle AS known
    (market_id, kind, timeframe, open_time, open, high, low, close, volume, trades, source, is_derived)
SELECT %s, %s, %s, row.*, 0, 'import', false
FROM unnest(%s::timestamptz[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[], %s::numeric[]) AS row
ON CONFLICT (market_id, kind, timeframe, open_time) DO UPDATE SET
    open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
    volume = excluded.volume, trades = 0, source = 'import', is_derived = false
WHERE known.is_derived OR known.source = 'synthetic'
"""


class NotACandleFile(Exception):
    """The file's header doesn't name the columns."""


class BadRow(ValueError):
    """A row can't be a candle; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the candles go."""

    market: MarketInfo
    timeframe: str
    kind: str


@dataclass(slots=True)
class Outcome:
    """What became of the rows; `faults` are (line, reason)."""

    stored: int = 0
    duplicates: int = 0
    rounded: int = 0
    faults: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    open_time: datetime
    figures: Figures


def import_candles(path: Path, target: Target, *, now: datetime, progress: Callable[[int], None]) -> Outcome:
    """Store the candles of `path`; `progress` is told how many bytes have been worked off. Each batch is one
    transaction.

    Raises NotACandleFile, OSError or UnicodeDecodeError; bad rows are in the outcome and don't stop it.
    """
    outcome = Outcome()
    batch: dict[datetime, _Row] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in _rows(file, target, outcome, now=now, progress=progress):
            earlier = batch.get(row.open_time)
            if earlier is None:
                batch[row.open_time] = row
            else:
                _compare(row, earlier.figures, outcome)
            if len(batch) == BATCH:
                _store(list(batch.values()), target, outcome)
                batch.clear()
    _store(list(batch.values()), target, outcome)
    outcome.faults.sort()
    return outcome


def _rows(
    file: TextIO, target: Target, outcome: Outcome, *, now: datetime, progress: Callable[[int], None]
) -> Iterator[_Row]:
    reader = csv.reader(_counted(file, progress))
    header = next(reader, [])
    if not set(COLUMNS) <= set(header):
        raise NotACandleFile(f"The header must name {', '.join(COLUMNS)}")
    places, step = [header.index(name) for name in COLUMNS], target.market.step_size
    for cells in reader:
        if not cells:
            continue
        try:
            row = _parsed(reader.line_num, cells, places)
            _check(row, target, now=now)
        except BadRow as exc:
            outcome.faults.append((reader.line_num, str(exc)))
            continue
        *prices, volume = row.figures
        on_step = (volume / step).to_integral_value(ROUND_HALF_EVEN) * step
        outcome.rounded += on_step != volume
        yield _Row(row.line, row.open_time, (prices[0], prices[1], prices[2], prices[3], on_step))


def _counted(file: TextIO, progress: Callable[[int], None]) -> Iterator[str]:
    for line in file:
        yield line
        progress(len(line.encode()))


def _parsed(line: int, cells: Sequence[str], places: Sequence[int]) -> _Row:
    try:
        time_ms, *numbers = (cells[place].strip() for place in places)
    except IndexError as exc:
        raise BadRow(f"has {len(cells)} columns") from exc
    if not (time_ms.isascii() and time_ms.isdigit() and len(time_ms) <= 15):
        raise BadRow(f"open_time_ms is {time_ms[:40]!r}")
    try:
        opened, high, low, close, volume = (Decimal(number) for number in numbers)
    except InvalidOperation as exc:
        raise BadRow("a price or the volume is not a number") from exc
    try:
        return _Row(line, from_ms(int(time_ms)), (opened, high, low, close, volume))
    except OverflowError as exc:
        raise BadRow(f"open_time_ms is {time_ms}") from exc


def _check(row: _Row, target: Target, *, now: datetime) -> None:
    opened, high, low, close, volume = row.figures
    length = LENGTH_MS[target.timeframe]
    if not all(figure.is_finite() and figure < PRICE_LIMIT for figure in row.figures):
        raise BadRow("a price or the volume is not finite or too large")
    if (to_ms(row.open_time) - origin_ms(target.timeframe)) % length:
        raise BadRow(f"open_time_ms is not the begin of a {target.timeframe} interval")
    if row.open_time > now:
        raise BadRow("open_time_ms lies in the future")
    if low <= 0 or volume < 0 or not low <= min(opened, close) <= max(opened, close) <= high:
        raise BadRow("open and close must lie between low and high, prices above 0, volume not below 0")


def _compare(row: _Row, known: Figures, outcome: Outcome) -> None:
    if row.figures == known:
        outcome.duplicates += 1
    else:
        outcome.faults.append((row.line, "contradicts the candle that is there for this open_time_ms"))


@transaction.atomic
def _store(rows: Sequence[_Row], target: Target, outcome: Outcome) -> None:
    if not rows:
        return
    known = _known(rows, target)
    fresh = []
    for row in rows:
        if row.open_time in known:
            _compare(row, known[row.open_time], outcome)
        else:
            fresh.append(row)
    if not fresh:
        return
    columns: list[list[Any]] = [
        [row.open_time for row in fresh],
        *([row.figures[n] for row in fresh] for n in range(5)),
    ]
    with connection.cursor() as cursor:
        cursor.execute(STORE, [target.market.id, target.kind, target.timeframe, *columns])
    times = [row.open_time for row in fresh]
    roll_up(
        timeframe=target.timeframe,
        market_ids=[target.market.id],
        kinds=[target.kind],
        first=min(times),
        last=max(times),
    )
    outcome.stored += len(fresh)


def _known(rows: Sequence[_Row], target: Target) -> dict[datetime, Figures]:
    """Stored candles that an import must not replace, by open time."""
    stored = Candle.objects.filter(
        market_id=target.market.id,
        kind=target.kind,
        timeframe=target.timeframe,
        open_time__in=[row.open_time for row in rows],
        is_derived=False,
    ).exclude(source=PriceSource.SYNTHETIC)
    return {row[0]: row[1:] for row in stored.values_list("open_time", "open", "high", "low", "close", "volume")}
