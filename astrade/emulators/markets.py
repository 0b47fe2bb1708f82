"""What every emulated market has: its book, its trades, and what of the present book is gone.

Orders trade with the synthetic book and not with one another: what one took is gone for everybody until the next book.
"""

import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from astrade.core.clock import to_ms
from astrade.core.messages import BookSnapshot, Message, Quote, TradeTick
from astrade.core.money import ZERO
from marketdata.candles import Bar
from marketdata.catalogue import Listing
from marketdata.feeds.backfill import made_up_day
from marketdata.models import PriceKind
from marketdata.selectors import MarketInfo
from trading.domain.lifecycle import Side

TRADES_KEPT = 1_000


class BookedMarket:
    """One market as it is now; `traded` and `previous_book` are of the last step."""

    def __init__(self) -> None:
        self.trades: deque[TradeTick] = deque(maxlen=TRADES_KEPT)
        self.quote: Quote | None = None
        self.book: BookSnapshot | None = None
        self.traded: list[TradeTick] = []
        self.previous_book: BookSnapshot | None = None
        self._taken: dict[Side, Decimal] = {}

    def taken(self, side: Side) -> Decimal:
        """What orders of `side` took from the present book already: it is gone for everybody until the next one."""
        return self._taken.get(side, ZERO)

    def take_from_book(self, side: Side, quantity: Decimal) -> None:
        """Note that so much of the present book is gone."""
        self._taken[side] = self.taken(side) + quantity

    def begin_step(self) -> None:
        """A new step of the feed follows."""
        self.traded, self.previous_book = [], self.book

    def take(self, message: Message) -> None:
        """One message of the feed, as far as book, quote and trades go."""
        match message:
            case TradeTick():
                self.trades.append(message)
                self.traded.append(message)
            case Quote():
                self.quote = message
            case BookSnapshot():
                self.book, self._taken = message, {}


def info_of(listing: Listing, number: int, **signing: Any) -> MarketInfo:
    """A market of the catalogue with its rules; `signing` is what the venue needs for signatures."""
    unsigned = {
        "synthetic_asset_id": None,
        "synthetic_resolution": None,
        "collateral_asset_id": None,
        "collateral_resolution": None,
    }
    return MarketInfo(
        id=number,
        rules_id=number,
        uuid=uuid.uuid5(uuid.NAMESPACE_DNS, listing.symbol),
        venue=listing.venue.value,
        symbol=listing.symbol,
        aliases=listing.aliases,
        name=listing.name,
        base=listing.base,
        quote=listing.quote,
        type=listing.type.value,
        status="active",
        reference_price=listing.reference_price,
        **{"max_position_notional": None, **listing.rules},
        **{**unsigned, **signing},
    )


@lru_cache(maxsize=32)
def made_up_minutes(rules: MarketInfo, last_price: Decimal, now_ms: int, seed: int) -> Mapping[str, Sequence[Bar]]:
    """A day of minutes by kind that leads to `last_price`; kept, so that the next exchange of the same seed and minute
    begins at once. `now_ms` is the begin of a minute.
    """
    minutes: dict[str, list[Bar]] = {kind: [] for kind in PriceKind.values}
    for made in made_up_day(rules, last_price=last_price, now_ms=now_ms, seed=seed):
        bar = Bar(to_ms(made.open_time), made.open, made.high, made.low, made.close, made.volume, made.trades)
        minutes[made.kind].append(bar)
    return minutes
