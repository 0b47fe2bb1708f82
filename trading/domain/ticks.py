"""What the domain reads of a tick, part by part: each structure asks for no more than it holds orders against."""

from datetime import datetime
from decimal import Decimal
from typing import Protocol

Span = tuple[Decimal, Decimal, Decimal]  # lowest and highest since the tick before, and the price now


class Timed(Protocol):
    """The book's sequence at a tick's end, and when that was."""

    @property
    def sequence(self) -> int: ...
    @property
    def at(self) -> datetime: ...


class TradeRange(Protocol):
    """Lowest and highest trade since the tick before."""

    @property
    def low(self) -> Decimal: ...
    @property
    def high(self) -> Decimal: ...


class TickLike(Timed, TradeRange, Protocol):
    """What the market did since the tick before: best prices now, lowest and highest trade in between."""

    @property
    def bid(self) -> Decimal: ...
    @property
    def ask(self) -> Decimal: ...


class TradingTick(TradeRange, Protocol):
    """What takers traded at the edges of a tick, and the book sequence at its end."""

    @property
    def sequence(self) -> int: ...
    @property
    def sold_at_low(self) -> Decimal: ...
    @property
    def bought_at_high(self) -> Decimal: ...


class PriceSpans(Protocol):
    """Between which prices a market moved; None where it is not known of one."""

    @property
    def last(self) -> Span | None: ...
    @property
    def mark(self) -> Span | None: ...
    @property
    def index(self) -> Span | None: ...


class TriggerTick(PriceSpans, Timed, Protocol):
    """What the market's prices did since the tick before; a price the feed does not tell of is None."""


class MarketTick(TickLike, TradingTick, PriceSpans, Protocol):
    """All of it: everything that a waiting order can be held against."""
