"""An order book kept in step with Binance's depth stream: the snapshot-and-buffer recipe of binance-api.md §9. Pure.

    book = LiveBook("BTCUSDT")
    book.take(event)             each event of `@depth@100ms`, from the first on
    book.begin(snapshot)         the snapshot, asked for once the first event is there; False: too old, ask for another
    book.best(), book.top(20)    once `book.is_synced`; both look whether the book is crossed

Raises StreamGap where events were lost, StreamBroken for what can't be true: the book is of no use any more then.

Texts are what is kept: the venue writes all amounts of a market alike, so equal prices are equal texts, and an event is
applied without making a number of anything. That the writing stays the same is looked after. Numbers are made, of what
has changed only, when the book is looked at.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from math import inf
from typing import Protocol

from astrade.core.messages import Level
from astrade.venues.errors import StreamBroken, StreamGap

TextLevel = tuple[str, str]  # price, quantity
EVENTS_KEPT = 2_000  # while waiting for a snapshot; more than three minutes of the fast stream
UNREADABLE = "unreadable_message"


class Snapshot(Protocol):
    """What REST answers: all levels as of the update `last_update_id`."""

    @property
    def last_update_id(self) -> int: ...
    @property
    def bids(self) -> Sequence[TextLevel]: ...
    @property
    def asks(self) -> Sequence[TextLevel]: ...


class Event(Protocol):
    """What the stream tells: levels changed by the updates from `first_id` to `last_id`, with new absolute quantities;
    0 removes."""

    @property
    def first_id(self) -> int: ...
    @property
    def last_id(self) -> int: ...
    @property
    def bids(self) -> Sequence[TextLevel]: ...
    @property
    def asks(self) -> Sequence[TextLevel]: ...


class _Side:
    """Bids or asks: quantities by price as they are written, and their order, which is brought up to date when it is
    looked at."""

    __slots__ = ("_changed", "_prices", "_texts", "quantities")

    def __init__(self, levels: Sequence[TextLevel] = ()) -> None:
        self.quantities: dict[str, str] = dict(levels)
        self._changed: list[TextLevel] = list(levels)
        self._prices: list[float] = []  # rising
        self._texts: dict[float, str] = {}

    def set(self, levels: Sequence[TextLevel], *, nothing: str) -> None:
        """New quantities; one of `nothing` removes the level."""
        self.quantities.update(levels)
        for price in [price for price, quantity in levels if quantity == nothing]:
            self.quantities.pop(price, None)
        self._changed += levels

    def rising(self) -> Sequence[float]:
        """The prices in order."""
        for text, _ in self._changed:
            price = _price(text)
            if text in self.quantities:
                if price not in self._texts:
                    self._texts[price] = text
                    insort(self._prices, price)
            elif self._texts.pop(price, None) is not None:
                del self._prices[bisect_left(self._prices, price)]
        self._changed.clear()
        return self._prices

    def price_of(self, price: float) -> Decimal:
        """As it is written."""
        return Decimal(self._texts[price])

    def levels(self, prices: Sequence[float]) -> tuple[Level, ...]:
        """The levels at these prices."""
        texts = (self._texts[price] for price in prices)
        try:
            return tuple((Decimal(text), Decimal(self.quantities[text])) for text in texts)
        except InvalidOperation as exc:
            raise StreamBroken(UNREADABLE) from exc


class LiveBook:
    """See the module's first lines."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.update_id: int | None = None  # of the last update that is in the book; None before it is in step
        self._first_id: int | None = None
        self._waiting: list[Event] = []
        self._bids, self._asks = _Side(), _Side()
        self._decimals = (-1, -1)  # of prices and of quantities, once they are known
        self._nothing = ""  # a quantity of 0 as it is written

    @property
    def is_synced(self) -> bool:
        """Whether the book is the venue's as of `update_id`."""
        return self.update_id is not None

    def take(self, event: Event) -> bool:
        """Apply an event, or keep it until the snapshot is there; returns whether it changed the book."""
        known = self.update_id
        if known is None:
            return self._keep(event)
        if event.last_id <= known:
            return False
        if event.first_id > known + 1:
            raise StreamGap("sequence_gap")
        self._set(self._bids, event.bids)
        self._set(self._asks, event.asks)
        self.update_id = event.last_id
        return True

    def begin(self, snapshot: Snapshot) -> bool:
        """Take the snapshot and what has come meanwhile; False for one from before the first event: ask again."""
        if self._first_id is None or snapshot.last_update_id < self._first_id:
            return False
        for level in (*snapshot.bids, *snapshot.asks):
            if _writing(level) != self._decimals:
                self._learn_writing(level)
        self._bids, self._asks = _Side(snapshot.bids), _Side(snapshot.asks)
        self.update_id = snapshot.last_update_id
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            self.take(event)
        return True

    def best(self) -> tuple[Decimal, Decimal] | None:
        """The best bid and ask; None where a side is empty."""
        bids, asks = self._bids.rising(), self._asks.rising()
        if not bids or not asks:
            return None
        if bids[-1] >= asks[0]:
            raise StreamBroken("crossed_book")
        return self._bids.price_of(bids[-1]), self._asks.price_of(asks[0])

    def top(self, levels: int) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """The best bids and asks, best first."""
        self.best()
        return (
            self._bids.levels(self._bids.rising()[: -levels - 1 : -1]),
            self._asks.levels(self._asks.rising()[:levels]),
        )

    def _keep(self, event: Event) -> bool:
        if self._first_id is None:
            self._first_id = event.first_id
        if len(self._waiting) == EVENTS_KEPT:
            raise StreamBroken("no_snapshot")
        self._waiting.append(event)
        return False

    def _set(self, side: _Side, levels: Sequence[TextLevel]) -> None:
        if levels:
            if _writing(levels[0]) != self._decimals:
                self._learn_writing(levels[0])
            side.set(levels, nothing=self._nothing)

    def _learn_writing(self, level: TextLevel) -> None:
        """The first level of all tells how amounts are written; one that is written in another way can't be kept."""
        if self._nothing:
            raise StreamBroken(UNREADABLE)
        self._decimals = _writing(level)
        self._nothing = f"{0:.{self._decimals[1]}f}"


def _writing(level: TextLevel) -> tuple[int, int]:
    """How many decimals price and quantity are written with."""
    price, quantity = level
    return len(price.partition(".")[2]), len(quantity.partition(".")[2])


def _price(text: str) -> float:
    try:
        price = float(text)
    except ValueError as exc:
        raise StreamBroken(UNREADABLE) from exc
    if not 0 < price < inf:
        raise StreamBroken(UNREADABLE)
    return price
