"""Which feeds run: as the settings FEED, REPLAY, REPLAY_MAP and REPLAY_SPEED say, so that every market has prices.

FEED=synthetic                 all are made up
FEED=replay                    recorded ones are played, the others made up
FEED=extended, binance, live   markets of the venue, or of both, come from there, the others are made up
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from astrade.venues.binance.profiles import profile_of_settings
from astrade.venues.extended.profiles import Network, profile_of
from marketdata.feeds.base import Start, SteppedFeed
from marketdata.feeds.binance import BinanceFeed
from marketdata.feeds.extended import ExtendedFeed
from marketdata.feeds.library import parse_map, recordings_in
from marketdata.feeds.recordings import Recording, UnreadableRecording
from marketdata.feeds.replay import Played, ReplayFeed
from marketdata.feeds.synthetic import SyntheticFeed
from marketdata.feeds.venue import VenueFeed
from marketdata.models import MarketStatus, PriceSource, Venue
from marketdata.selectors import MarketInfo

FeedName = Literal["synthetic", "replay", "extended", "binance", "live"]
LIVE_VENUES: Mapping[str, frozenset[str]] = {
    "extended": frozenset({Venue.EXTENDED}),
    "binance": frozenset({Venue.BINANCE}),
    "live": frozenset({Venue.EXTENDED, Venue.BINANCE}),
}
NOT_PULLED = (MarketStatus.PRELISTED, MarketStatus.DELISTED)


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """Choice of the feed; `replay` is a file or a folder, `mapping` recorded symbol → market."""

    feed: FeedName
    seed: int
    ticks_per_s: int
    replay: Path | None
    mapping: Mapping[str, str]
    speed: int

    @property
    def venues(self) -> frozenset[str]:
        """Those whose markets are live."""
        return LIVE_VENUES.get(self.feed, frozenset())

    @property
    def made_source(self) -> PriceSource:
        """Of prices that no venue tells."""
        return PriceSource.REPLAY if self.feed == "replay" else PriceSource.SYNTHETIC

    def is_pulled(self, market: MarketInfo) -> bool:
        """Whether the market's prices are to be had: a live one's only while it is one."""
        return market.venue not in self.venues or market.status not in NOT_PULLED


def options_from_settings(
    *, feed: str | None = None, replay: str | None = None, mapping: str | None = None
) -> FeedOptions:
    """The settings' choice, or what a command was told instead; raises ImproperlyConfigured for what can't be."""
    chosen = feed or settings.FEED
    path = replay or settings.REPLAY
    if chosen not in get_args(FeedName):
        raise ImproperlyConfigured(f"FEED={chosen!r}: expected one of {', '.join(get_args(FeedName))}")
    if chosen == "replay" and not Path(path).exists():
        raise ImproperlyConfigured(f"REPLAY={path!r}: no such file or folder")
    if settings.REPLAY_SPEED < 1 or not 1 <= settings.FEED_TICKS_PER_S <= 50:
        raise ImproperlyConfigured("REPLAY_SPEED must be at least 1, FEED_TICKS_PER_S from 1 to 50")
    try:
        symbols = parse_map(mapping or settings.REPLAY_MAP)
    except ValueError as exc:
        raise ImproperlyConfigured(f"REPLAY_MAP: {exc}") from exc
    return FeedOptions(
        feed=cast(FeedName, chosen),
        seed=settings.FEED_SEED,
        ticks_per_s=settings.FEED_TICKS_PER_S,
        replay=Path(path) if path else None,
        mapping=symbols,
        speed=settings.REPLAY_SPEED,
    )


def load_recordings(options: FeedOptions, markets: Sequence[MarketInfo]) -> dict[str, Recording]:
    """Recording of each market that has one; empty for a synthetic feed. Reads files; raises ImproperlyConfigured."""
    if options.feed != "replay" or options.replay is None:
        return {}
    try:
        return recordings_in(options.replay, mapping=options.mapping, markets={market.symbol for market in markets})
    except (UnreadableRecording, OSError, UnicodeDecodeError) as exc:
        raise ImproperlyConfigured(f"REPLAY: {exc}") from exc


def make_live_feeds(options: FeedOptions, **sources: Any) -> list[VenueFeed]:
    """A feed for each venue whose markets are live; they follow no market yet. `sources` are those of `VenueFeed`."""
    feeds: list[VenueFeed] = []
    if Venue.EXTENDED in options.venues:
        feeds.append(ExtendedFeed(profile_of(Network(settings.STARKNET_NETWORK)), **sources))
    if Venue.BINANCE in options.venues:
        feeds.append(BinanceFeed(profile_of_settings(), **sources))
    return feeds


def make_feeds(
    options: FeedOptions,
    markets: Sequence[MarketInfo],
    *,
    starts: Mapping[str, Start],
    recordings: Mapping[str, Recording],
    anchors_us: Mapping[str, int],
) -> list[SteppedFeed]:
    """The feeds that together serve these markets: recorded ones are replayed, all others are made up."""
    played = [
        Played(market, recordings[market.symbol], starts[market.symbol], anchors_us[market.symbol])
        for market in markets
        if market.symbol in recordings
    ]
    others = [market for market in markets if market.symbol not in recordings]
    feeds: list[SteppedFeed] = []
    if played:
        feeds.append(ReplayFeed(played, speed=options.speed, seed=options.seed))
    if others:
        feeds.append(SyntheticFeed(others, starts, seed=options.seed))
    return feeds
