"""An order book kept from a stream's snapshot and deltas (extended-api.md §9)."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from astrade.core.clock import from_ms
from astrade.core.messages import BookSnapshot, Level
from astrade.core.money import ZERO
from astrade.venues.errors import StreamBroken, StreamGap
from astrade.venues.extended.stream_wire import BookChange, BookUpdate, BookUpdateType


class LiveBook:
    """One market's book, price to quantity on each side, as of the message numbered `sequence`."""

    def __init__(self, market: str) -> None:
        self.market = market
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}
        self.best_bid: Decimal | None = None
        self.best_ask: Decimal | None = None
        self.sequence: int | None = None
        self.at: datetime | None = None

    def apply(self, update: BookUpdate, *, sequence: int, ts_ms: int) -> None:
        """Take one message.

        Raises StreamGap for a number that doesn't follow and for a change to a book that is not there, StreamBroken for
        a crossed one: all want a new connection, which begins with a snapshot.
        """
        if self.sequence is not None and sequence != self.sequence + 1:
            raise StreamGap("sequence_gap")
        if update.type is BookUpdateType.SNAPSHOT:
            self.bids.clear()
            self.asks.clear()
        elif update.type is not BookUpdateType.DELTA or self.sequence is None:
            raise StreamGap("delta_without_snapshot")
        _change(self.bids, update.bids)
        _change(self.asks, update.asks)
        self.best_bid, self.best_ask = max(self.bids, default=None), min(self.asks, default=None)
        if self.best_bid is not None and self.best_ask is not None and self.best_bid >= self.best_ask:
            raise StreamBroken("crossed_book")
        self.sequence, self.at = sequence, from_ms(ts_ms)

    def snapshot(self) -> BookSnapshot:
        """The book as all of AsTrade reads it. Raises ValueError before the first message."""
        if self.sequence is None or self.at is None:
            raise ValueError("nothing was told of this book yet")
        return BookSnapshot(
            self.market, self.sequence, _sorted(self.bids, falling=True), _sorted(self.asks, falling=False), self.at
        )


def _change(side: dict[Decimal, Decimal], changes: Iterable[BookChange]) -> None:
    for level in changes:
        size = side.get(level.price, ZERO) + level.change if level.size is None else level.size
        if size > ZERO:
            side[level.price] = size
        else:
            side.pop(level.price, None)


def _sorted(side: dict[Decimal, Decimal], *, falling: bool) -> tuple[Level, ...]:
    return tuple(sorted(side.items(), reverse=falling))
