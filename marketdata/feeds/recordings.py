"""Recorded market data as events on a time line that begins at 0: what the replay feed plays.

    …-trades-….csv      time_ms,trade_id,price,quantity,buyer_maker
    …-quotes-….csv      time_ms,bid,bid_size,ask,ask_size
    …-5m-….csv          open_time_ms,open,high,low,close,volume
    …-orderbook-….jsonl a snapshot message, then deltas; size "0" removes a level

The kind of a file is read from its first line, its symbol from the begin of its name (`btcusdt-…`).
"""

import csv
import heapq
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from astrade.core.messages import Level

FileKind = Literal["orderbook", "quotes", "trades", "candles"]
US_PER_MS = 1_000
PAUSE_US = 100_000  # between the last event and the first of the next round


class UnreadableRecording(Exception):
    """A file isn't in one of the known formats; the message names file and line."""


@dataclass(frozen=True, slots=True)
class RecordedQuote:
    offset_us: int
    bid: Decimal
    bid_size: Decimal
    ask: Decimal
    ask_size: Decimal


@dataclass(frozen=True, slots=True)
class RecordedTrade:
    offset_us: int
    side: Literal["buy", "sell"]
    price: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class RecordedBook:
    offset_us: int
    is_snapshot: bool
    bids: Sequence[Level]
    asks: Sequence[Level]


RecordedEvent = RecordedQuote | RecordedTrade | RecordedBook


class Recording(Protocol):
    """A stretch of time with events in it; a price follows from the events of the last `memory_us`."""

    duration_us: int
    memory_us: int
    has_quotes: bool
    has_trades: bool
    first_price: Decimal

    def between(self, start_us: int, end_us: int) -> Iterator[RecordedEvent]:
        """Events after `start_us` up to and with `end_us`, in order; −1 as start begins with the very first."""


class EventRecording:
    """Events held in memory."""

    def __init__(self, events: Sequence[RecordedEvent]) -> None:
        self._events = events
        self._offsets = [event.offset_us for event in events]
        self.duration_us = self.memory_us = self._offsets[-1] + PAUSE_US
        self.has_quotes = any(not isinstance(event, RecordedTrade) for event in events)
        self.has_trades = any(isinstance(event, RecordedTrade) for event in events)
        self.first_price = _price_of(events)

    def between(self, start_us: int, end_us: int) -> Iterator[RecordedEvent]:
        """Events after `start_us` up to and with `end_us`."""
        yield from self._events[bisect_right(self._offsets, start_us) : bisect_right(self._offsets, end_us)]


@dataclass(frozen=True, slots=True)
class RecordedCandle:
    offset_us: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class CandleRecording:
    """Candles played as trades: each runs open, nearer extreme, other extreme, close, with its volume spread evenly.

    The turning points are always hit; in between a trade a second (fewer when played fast) lies on the straight line.
    """

    SAMPLE_US = 1_000_000
    SAMPLES_AT_ONCE = 20
    has_quotes = False
    has_trades = True

    def __init__(self, candles: Sequence[RecordedCandle]) -> None:
        gaps = [later.offset_us - earlier.offset_us for earlier, later in pairwise(candles)]
        self._length_us = self.memory_us = min(gaps)
        self._candles = candles
        self._offsets = [candle.offset_us for candle in candles]
        self.duration_us = self._offsets[-1] + self._length_us
        self.first_price = candles[0].open

    def between(self, start_us: int, end_us: int) -> Iterator[RecordedEvent]:
        """Trades after `start_us` up to and with `end_us`."""
        steps = max(1, (end_us - start_us) // (self.SAMPLE_US * self.SAMPLES_AT_ONCE))
        first = max(0, bisect_right(self._offsets, max(start_us, 0)) - 1)
        for candle in self._candles[first : bisect_right(self._offsets, end_us)]:
            yield from self._trades(candle, start_us, end_us, sample=steps * self.SAMPLE_US)

    def _trades(self, candle: RecordedCandle, start_us: int, end_us: int, *, sample: int) -> Iterator[RecordedTrade]:
        length = self._length_us
        turns = (0, length // 3, 2 * length // 3, length - self.SAMPLE_US // 2)
        low_first = candle.open - candle.low <= candle.high - candle.open
        extremes = (candle.low, candle.high) if low_first else (candle.high, candle.low)
        prices = (candle.open, *extremes, candle.close)
        since, until = start_us - candle.offset_us, end_us - candle.offset_us
        grid = range(max(0, since // sample * sample + sample), min(until, length - self.SAMPLE_US) + 1, sample)
        moments = sorted({*grid, *(turn for turn in turns if since < turn <= until)})
        share = candle.volume * sample / length
        for moment in moments:
            leg = min(max(bisect_right(turns, moment) - 1, 0), 2)
            span = turns[leg + 1] - turns[leg]
            done = min(moment - turns[leg], span)
            rise = prices[leg + 1] - prices[leg]
            side: Literal["buy", "sell"] = "buy" if rise > 0 or (rise == 0 and moment % 2) else "sell"
            yield RecordedTrade(candle.offset_us + moment, side, prices[leg] + rise * done / span, share)


def symbol_of(path: Path) -> str:
    """The symbol a file's name begins with, upper case."""
    return path.name.split("-", 1)[0].split(".", 1)[0].upper()


def kind_of(path: Path) -> FileKind:
    """What a file holds, by its first line; raises UnreadableRecording."""
    with path.open(encoding="utf-8") as file:
        head = file.readline(1_000)
    for kind, mark in (("quotes", "time_ms,bid,"), ("trades", "time_ms,trade_id,"), ("candles", "open_time_ms,open,")):
        if head.startswith(mark):
            return kind  # type: ignore[return-value]
    if head.startswith('{"topic":"orderbook'):
        return "orderbook"
    raise UnreadableRecording(f"{path}: not a recording of trades, quotes, candles or an order book")


def record_of(paths: Sequence[Path]) -> Recording:
    """One market's files as one time line; they must overlap in time. Raises UnreadableRecording."""
    if kind_of(paths[0]) == "candles":
        return CandleRecording(_candles(paths[0]))
    streams = [_READERS[kind_of(path)](path) for path in paths]
    events = list(heapq.merge(*streams, key=lambda event: event.offset_us))
    if not events:
        raise UnreadableRecording(f"{paths[0]}: holds no event")
    start = events[0].offset_us
    return EventRecording([replace(event, offset_us=event.offset_us - start) for event in events])


def _price_of(events: Sequence[RecordedEvent]) -> Decimal:
    for event in events:
        match event:
            case RecordedTrade():
                return event.price
            case RecordedQuote():
                return event.bid
            case RecordedBook() if event.bids:
                return event.bids[0][0]
    raise UnreadableRecording("The recording holds no price")


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from enumerate(csv.DictReader(file), start=2)


def _parsed(path: Path, make: Callable[[dict[str, str]], Any]) -> Iterator[Any]:
    for number, row in _rows(path):
        try:
            yield make(row)
        except (KeyError, TypeError, ValueError, InvalidOperation) as exc:
            raise UnreadableRecording(f"{path}:{number}: {exc!r}") from exc


def _quotes(path: Path) -> Iterator[RecordedQuote]:
    return _parsed(
        path,
        lambda row: RecordedQuote(
            int(row["time_ms"]) * US_PER_MS, *(Decimal(row[name]) for name in ("bid", "bid_size", "ask", "ask_size"))
        ),
    )


def _trades(path: Path) -> Iterator[RecordedTrade]:
    return _parsed(
        path,
        lambda row: RecordedTrade(
            int(row["time_ms"]) * US_PER_MS,
            "sell" if row["buyer_maker"] == "True" else "buy",
            Decimal(row["price"]),
            Decimal(row["quantity"]),
        ),
    )


def _candles(path: Path) -> list[RecordedCandle]:
    names = ("open", "high", "low", "close", "volume")
    candles = list(
        _parsed(
            path,
            lambda row: RecordedCandle(int(row["open_time_ms"]) * US_PER_MS, *(Decimal(row[name]) for name in names)),
        )
    )
    if len(candles) < 2:
        raise UnreadableRecording(f"{path}: holds fewer than two candles")
    start = candles[0].offset_us
    return [replace(candle, offset_us=candle.offset_us - start) for candle in candles]


class _BookData(msgspec.Struct):
    b: list[tuple[Decimal, Decimal]]
    a: list[tuple[Decimal, Decimal]]


class _BookMessage(msgspec.Struct):
    type: Literal["snapshot", "delta"]
    ts: int
    data: _BookData


def _books(path: Path) -> Iterator[RecordedBook]:
    decode = msgspec.json.Decoder(_BookMessage).decode
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                message = decode(line)
            except msgspec.DecodeError as exc:
                raise UnreadableRecording(f"{path}:{number}: {exc}") from exc
            yield RecordedBook(message.ts * US_PER_MS, message.type == "snapshot", message.data.b, message.data.a)


_READERS: dict[FileKind, Callable[[Path], Iterator[RecordedEvent]]] = {
    "orderbook": _books,
    "quotes": _quotes,
    "trades": _trades,
}
