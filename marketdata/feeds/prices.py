"""One market's prices as its venue's streams bring them, one by one, and the messages they become. Pure.

A price is as old as the message that last told of it, and a quote as the oldest of its book, mark and index, so that
none of them can go stale behind the others. A last trade may lie back as far as it does.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal

from astrade.core.messages import BookSnapshot, Level, Quote, TradeTick
from marketdata.feeds.base import Start

BOOK_LEVELS = 200  # of a side, that are published


class LivePrices:
    """See the module's first lines. Instants are our clock's, at which a message came."""

    def __init__(self, symbol: str, *, start: Start) -> None:
        self.symbol, self._sequence = symbol, start.sequence
        self._last: Decimal | None = None
        self._mark: Decimal | None = None
        self._index: Decimal | None = None
        self._best: tuple[Decimal, Decimal] | None = None
        self._book_at: datetime | None = None
        self._mark_at: datetime | None = None
        self._index_at: datetime | None = None
        self._traded_at: datetime | None = None
        self._trade_id = 0

    @property
    def told_at(self) -> datetime | None:
        """When mark and index were told of, the older of the two."""
        return None if self._mark_at is None or self._index_at is None else min(self._mark_at, self._index_at)

    def take_best(self, bid: Decimal, ask: Decimal, *, at: datetime) -> None:
        """The best prices of a book in order."""
        self._best, self._book_at = (bid, ask), at

    def improve_best(self, bid: Decimal, ask: Decimal) -> None:
        """Newer best prices than those of the book, which keeps its age."""
        self._best = bid, ask

    def take_mark(self, mark: Decimal, *, at: datetime) -> None:
        """Mark price as it was at `at`; one that is known to be newer stays."""
        if self._mark_at is None or self._mark_at <= at:
            self._mark, self._mark_at = mark, at

    def take_index(self, index: Decimal, *, at: datetime) -> None:
        """The same of the index price."""
        if self._index_at is None or self._index_at <= at:
            self._index, self._index_at = index, at

    def take_last(self, last: Decimal, *, at: datetime) -> None:
        """Price of the last trade before `at`."""
        if self._traded_at is None or self._traded_at <= at:
            self._last, self._traded_at = last, at

    def take_trade(
        self, trade_id: int, *, side: Literal["buy", "sell"], price: Decimal, quantity: Decimal, made_at: datetime,
        at: datetime,
    ) -> TradeTick | None:  # fmt: skip
        """A trade made at `made_at` of the venue's clock; None for one that was told before."""
        if trade_id <= self._trade_id:
            return None
        self._trade_id, self._last, self._traded_at = trade_id, price, at
        return TradeTick(self.symbol, trade_id, side, price, quantity, made_at)

    def quote(self) -> Quote | None:
        """All prices; None before each of them is known."""
        told_at, book_at = self.told_at, self._book_at
        if self._last is None or self._mark is None or self._index is None or self._best is None:
            return None
        assert told_at is not None and book_at is not None  # they come with the prices
        return Quote(self.symbol, self._last, self._mark, self._index, *self._best, min(told_at, book_at))

    def snapshot(self, bids: Sequence[Level], asks: Sequence[Level], *, at: datetime) -> BookSnapshot:
        """The visible book, best first, under the next number."""
        self._sequence += 1
        return BookSnapshot(self.symbol, self._sequence, bids[:BOOK_LEVELS], asks[:BOOK_LEVELS], at)
