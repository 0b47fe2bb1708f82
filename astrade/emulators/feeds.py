"""Feeds that an emulated venue follows instead of its own: recordings, with made-up prices where there is none."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from astrade.core.messages import Message
from marketdata.feeds.base import Start, SteppedFeed
from marketdata.feeds.library import recordings_in
from marketdata.feeds.replay import Played, ReplayFeed
from marketdata.feeds.synthetic import SyntheticFeed
from marketdata.models import PriceSource
from marketdata.selectors import MarketInfo

US_PER_MS = 1_000


class RecordedFeed:
    """A `SteppedFeed` of a file or a folder, round after round; markets without a recording have made-up prices.

    Raises UnreadableRecording if there is none for any of `markets`.
    """

    name = "recorded"
    source = PriceSource.REPLAY

    def __init__(self, path: Path, markets: Sequence[MarketInfo], *, now_us: int, seed: int) -> None:
        self.symbols = tuple(market.symbol for market in markets)
        recordings = recordings_in(path, mapping={}, markets=set(self.symbols))
        now_ms = now_us // US_PER_MS
        first = {
            market.symbol: recordings[market.symbol].first_price
            if market.symbol in recordings
            else market.reference_price
            for market in markets
        }
        starts = {symbol: Start(price, sequence=now_ms, trade_id=now_ms) for symbol, price in first.items()}
        played = [
            Played(market, recordings[market.symbol], starts[market.symbol], now_us)
            for market in markets
            if market.symbol in recordings
        ]
        others = [market for market in markets if market.symbol not in recordings]
        self._first: Mapping[str, Decimal] = first
        self._feeds: list[SteppedFeed] = [ReplayFeed(played, speed=1, seed=seed)]
        if others:
            self._feeds.append(SyntheticFeed(others, starts, seed=seed))

    def first_prices(self) -> Mapping[str, Decimal]:
        """Where each recording begins."""
        return self._first

    def step(self, now_us: int) -> list[Message]:
        """What all of them have up to `now_us`."""
        return [message for feed in self._feeds for message in feed.step(now_us)]
