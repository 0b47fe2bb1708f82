"""The books of both venues against a reference: whatever is lost, repeated or out of order on the way, what they show
is the venue's book as of the number they name, or nothing."""

import os
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any, Protocol

import pytest

from astrade.venues.binance.book import LiveBook as BinanceBook
from astrade.venues.binance.public_wire import Depth, DepthUpdate
from astrade.venues.errors import StreamGap
from astrade.venues.extended.book import LiveBook as ExtendedBook
from astrade.venues.extended.stream_wire import BookChange, BookUpdate, BookUpdateType

EVENTS = 1_000_000 if os.environ.get("CAMPAIGN") else 20_000
SEEDS = range(4)
SPREAD, DEPTH, SIZES = 3, 12, 50
LOST, REPEATED, SWAPPED, WIDENED = 0.01, 0.02, 0.02, 0.05  # shares of the events
Change = tuple[str, int, int]  # side, tick, new size


@cache
def _text(value: int) -> str:
    return f"{value / 100:.8f}"


@cache
def _amount(value: int) -> Decimal:
    return Decimal(_text(value))


class TrueBook:
    """The venue's own: numbered changes of single levels, never crossed between two of its events."""

    def __init__(self, dice: Random) -> None:
        self._dice, self._middle = dice, 10_000
        self.sides: dict[str, dict[int, int]] = {"b": {}, "a": {}}
        self.changes: list[Change] = []

    def move(self) -> None:
        """A few changes, after which the book is in order."""
        dice = self._dice
        self._middle += dice.choice((-2, -1, 0, 0, 0, 1, 2))
        for side, levels in self.sides.items():
            sign = -1 if side == "b" else 1
            for tick in [tick for tick in levels if not SPREAD <= (tick - self._middle) * sign <= 2 * DEPTH]:
                self._change(side, tick, 0)
            for _ in range(dice.randrange(0, 4)):
                tick = self._middle + sign * (SPREAD + dice.randrange(DEPTH))
                self._change(side, tick, dice.choice((0, dice.randrange(1, SIZES))))

    def _change(self, side: str, tick: int, size: int) -> None:
        self.changes.append((side, tick, size))
        if size:
            self.sides[side][tick] = size
        else:
            self.sides[side].pop(tick, None)


class Reference:
    """The true book as of an earlier number."""

    def __init__(self, true: TrueBook) -> None:
        self._true, self._at = true, 0
        self._sides: dict[str, dict[int, int]] = {"b": {}, "a": {}}

    def as_of(self, number: int) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        assert number >= self._at
        for side, tick, size in self._true.changes[self._at : number]:
            if size:
                self._sides[side][tick] = size
            else:
                self._sides[side].pop(tick, None)
        self._at = number
        bids, asks = (
            [(_amount(tick), _amount(size)) for tick, size in sorted(self._sides[side].items())] for side in ("b", "a")
        )
        return bids[::-1], asks


def disturbed(events: Sequence[Any], dice: Random) -> Iterator[Any]:
    """Some lost, some twice, some in another order."""
    held: Any = None
    for event in events:
        chance = dice.random()
        if chance < LOST:
            continue
        if chance < LOST + SWAPPED and held is None:
            held = event
            continue
        yield event
        if chance > 1 - REPEATED:
            yield event
        if held is not None:
            yield held
            held = None


class Venue(Protocol):
    shown: int
    begun: int

    def run(self, events: int) -> None: ...


class Binance:
    """The venue and its client. Events come in bursts; a snapshot is asked for within one, and may be an old one."""

    def __init__(self, seed: int) -> None:
        self._dice = Random(seed)
        self._true = TrueBook(self._dice)
        self._reference = Reference(self._true)
        self._book = BinanceBook("X")
        self._last, self.shown, self.begun = 0, 0, 0
        self._old: Depth | None = None

    def run(self, events: int) -> None:
        for _ in range(events // 10):
            for event in disturbed([self._event() for _ in range(10)], self._dice):
                self._take(event)

    def _event(self) -> DepthUpdate:
        while len(self._true.changes) == self._last:
            self._true.move()
        first = self._last + 1
        if self._dice.random() < WIDENED:
            first = max(1, first - self._dice.randrange(6))  # tells again of what was told
        self._last = len(self._true.changes)
        latest = {(side, tick): size for side, tick, size in self._true.changes[first - 1 :]}
        sides = {
            side: [(_text(tick), _text(size)) for (of, tick), size in latest.items() if of == side] for side in "ba"
        }
        return DepthUpdate(first_id=first, last_id=self._last, bids=sides["b"], asks=sides["a"])

    def _snapshot(self) -> Depth:
        bids, asks = (
            [(_text(tick), _text(size)) for tick, size in self._true.sides[side].items()] for side in ("b", "a")
        )
        now = Depth(last_update_id=len(self._true.changes), bids=bids, asks=asks)
        told = self._old if self._old is not None and self._dice.random() < 0.3 else now
        self._old = now
        return told

    def _take(self, event: DepthUpdate) -> None:
        try:
            self._book.take(event)
            if not self._book.is_synced and self._dice.random() < 0.5 and self._book.begin(self._snapshot()):
                self.begun += 1
        except StreamGap:
            self._book = BinanceBook("X")
        if self._book.update_id is not None:
            shown = tuple(list(side) for side in self._book.top(1_000))
            assert shown == self._reference.as_of(self._book.update_id)
            self.shown += 1


class Extended:
    """The venue and its client; each begin is a new connection, whose numbers begin at 1."""

    def __init__(self, seed: int) -> None:
        self._dice = Random(seed)
        self._true = TrueBook(self._dice)
        self._reference = Reference(self._true)
        self._told: dict[str, dict[int, int]] = {"b": {}, "a": {}}
        self._book = ExtendedBook("X")
        self._numbers: dict[int, int] = {}  # of changes, by the message's number
        self._seq, self.shown, self.begun = 0, 0, 0
        self._is_new = True

    def run(self, events: int) -> None:
        for _ in range(events // 10):
            for seq, update in disturbed([self._message() for _ in range(10)], self._dice):
                if not self._take(seq, update):
                    self._book, self._seq, self._is_new = ExtendedBook("X"), 0, True
                    break

    def _message(self) -> tuple[int, BookUpdate]:
        self._true.move()
        self._seq += 1
        self._numbers[self._seq] = len(self._true.changes)
        whole = self._is_new or self._dice.random() < 0.01
        self._is_new = False
        sides = {side: self._changes(side, whole=whole) for side in "ba"}
        self._told = {side: dict(levels) for side, levels in self._true.sides.items()}
        kind = BookUpdateType.SNAPSHOT if whole else BookUpdateType.DELTA
        return self._seq, BookUpdate(type=kind, market="X", bids=sides["b"], asks=sides["a"])

    def _changes(self, side: str, *, whole: bool) -> list[BookChange]:
        now, before = self._true.sides[side], {} if whole else self._told[side]
        has_size = self._dice.random() < 0.5
        return [
            BookChange(
                price=_amount(tick),
                change=_amount(now.get(tick, 0)) - _amount(before.get(tick, 0)),
                size=_amount(now.get(tick, 0)) if has_size else None,
            )
            for tick in {*now, *before}
            if now.get(tick, 0) != before.get(tick, 0)
        ]

    def _take(self, seq: int, update: BookUpdate) -> bool:
        try:
            self._book.apply(update, sequence=seq, ts_ms=1)
        except StreamGap:
            return False
        self.begun += seq == 1
        book = self._book.snapshot()
        assert (list(book.bids), list(book.asks)) == self._reference.as_of(self._numbers[seq])
        self.shown += 1
        return True


@pytest.mark.parametrize("kind", [Binance, Extended])
def test_a_book_is_the_venues_or_none(kind: type[Any], record_property: Any) -> None:
    """Random events with overlaps, gaps, repetitions and other orders."""
    shown = begun = 0
    for seed in SEEDS:
        venue: Venue = kind(seed)
        venue.run(EVENTS // len(SEEDS))
        shown, begun = shown + venue.shown, begun + venue.begun
    assert shown > EVENTS // 3 and begun > EVENTS // 300
    record_property("compared", shown)
    record_property("begun anew", begun)
