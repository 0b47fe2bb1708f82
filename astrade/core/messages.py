"""Normalised market messages (DESIGN §4.5): what every feed emits and every reader understands.

Prices are quote per base, quantities base units, times aware UTC instants. Plain values: no Django, no I/O.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

Level = tuple[Decimal, Decimal]  # price, quantity


@dataclass(frozen=True, slots=True)
class Quote:
    """The state of a market's prices at one instant."""

    symbol: str
    last: Decimal
    mark: Decimal
    index: Decimal
    bid: Decimal
    ask: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class BookSnapshot:
    """The whole visible book; bids fall, asks rise; `sequence` grows by one with each change."""

    symbol: str
    sequence: int
    bids: Sequence[Level]
    asks: Sequence[Level]
    at: datetime


@dataclass(frozen=True, slots=True)
class BookDelta:
    """Changed levels between two snapshots; quantity is the new absolute one, 0 removes the level."""

    symbol: str
    first_sequence: int
    sequence: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class TradeTick:
    """One public trade; `side` is the taker's."""

    symbol: str
    trade_id: int
    side: Literal["buy", "sell"]
    price: Decimal
    quantity: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class CandleUpdate:
    """One candle as it stands; `kind` is trades, mark or index."""

    symbol: str
    timeframe: str
    kind: str
    open_time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int
    closed: bool


@dataclass(frozen=True, slots=True)
class FundingUpdate:
    """A market's funding rate (fraction per funding interval, positive: longs pay) and when it applies next."""

    symbol: str
    rate: Decimal
    next_at: datetime


@dataclass(frozen=True, slots=True)
class FundingApplied:
    """A funding rate (as in `FundingUpdate`) whose time has come."""

    symbol: str
    rate: Decimal
    at: datetime


Message = Quote | BookSnapshot | BookDelta | TradeTick | CandleUpdate | FundingUpdate | FundingApplied


@dataclass(frozen=True, slots=True)
class MarketView:
    """What an order is decided against: prices and book of one market, read before any lock is taken."""

    quote: Quote
    book: BookSnapshot
    funding_rate: Decimal
