"""Extended's markets, live: book, trades, mark and index price of each market by a stream of its own, so that only what
is followed is pulled and the numbers of every stream are checked (extended-api.md §9); the rest by REST
(`extended_questions`).
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Literal

from django.conf import settings

from astrade.core.clock import from_ms
from astrade.core.messages import BookSnapshot, TradeTick
from astrade.venues.extended.aio import AsyncClient
from astrade.venues.extended.book import LiveBook
from astrade.venues.extended.profiles import Profile
from astrade.venues.extended.public_wire import PublicTrade
from astrade.venues.extended.stream import book_stream, index_price_stream, mark_price_stream, trade_stream
from astrade.venues.extended.wire import Side
from astrade.venues.sockets import Watch
from marketdata.feeds.base import Start
from marketdata.feeds.extended_questions import AppliedRates, Stats, minutes_of
from marketdata.feeds.prices import LivePrices
from marketdata.feeds.rules import Rules, extended_rules
from marketdata.feeds.venue import PAST_TRADE, VenueFeed, Work
from marketdata.models import PriceKind, Venue
from marketdata.selectors import MarketInfo

SIDES: Mapping[Side, Literal["buy", "sell"]] = {Side.BUY: "buy", Side.SELL: "sell"}
Messages = AsyncGenerator[None, None]


class ExtendedFeed(VenueFeed):
    """Markets of one of Extended's networks."""

    name, venue, told_kinds = "extended", Venue.EXTENDED, frozenset(PriceKind)

    def __init__(self, profile: Profile, *, silent_after_s: float | None = None, **sources: Any) -> None:
        """A book that tells nothing for `silent_after_s` (`FEED_SILENT_AFTER_S`) is asked for anew."""
        super().__init__(**sources)
        self._profile, self._client = profile, AsyncClient(profile, clock=self._clock)
        silent_s = silent_after_s or settings.FEED_SILENT_AFTER_S
        self._book_watch = Watch(first_message_s=silent_s, message_s=silent_s)

    def works(self, prices: LivePrices, *, market: MarketInfo, start: Start) -> Sequence[Work]:
        asking: dict[str, Any] = {"client": self._client, "clock": self._clock}
        stats = Stats(prices, tell=self._tell, **asking)
        rates = AppliedRates(market.symbol, since_ms=start.history_ms, tell=self._tell, **asking)
        minutes = minutes_of(
            market.symbol, since_ms=start.history_ms, tell=self._tell, randomness=self._randomness, **asking
        )
        return (
            self._keep_open("book", lambda: self._book(prices)),
            self._keep_open("trades", lambda: self._trades(prices)),
            self._keep_open("mark", lambda: self._marks(prices)),
            self._keep_open("index", lambda: self._indices(prices)),
            self._keep_asking("stats", stats.ask),
            self._keep_asking("funding", rates.ask),
            self._keep_asking("minutes", minutes.catch_up),
        )

    async def rules_of(self, symbol: str) -> Rules:
        return await extended_rules(self._client, symbol)

    async def close(self) -> None:
        await self._client.close()

    async def _book(self, prices: LivePrices) -> Messages:
        async with book_stream(self._profile, prices.symbol, watch=self._book_watch) as stream:
            try:
                async for book in stream:
                    self._take_book(prices, book)
                    yield
            finally:
                self._withdraw_book(prices.symbol)

    def _take_book(self, prices: LivePrices, book: LiveBook) -> None:
        at = self._clock()
        if book.best_bid is not None and book.best_ask is not None:
            prices.take_best(book.best_bid, book.best_ask, at=at)

        def snapshot() -> BookSnapshot:
            whole = book.snapshot()
            return prices.snapshot(whole.bids, whole.asks, at=at)

        self._tell(prices.quote())
        self._tell_book(prices.symbol, snapshot)

    async def _trades(self, prices: LivePrices) -> Messages:
        async with trade_stream(self._profile, prices.symbol) as stream:
            async for told in stream:
                known = [trade for trade in told.data if trade.side in SIDES]
                fresh = [trade for trade in known if from_ms(told.ts_ms) - from_ms(trade.at_ms) <= PAST_TRADE]
                ticks = [self._tick(prices, trade) for trade in sorted(fresh, key=lambda trade: trade.id)]
                self._tell(*ticks, prices.quote())
                yield

    def _tick(self, prices: LivePrices, trade: PublicTrade) -> TradeTick | None:
        return prices.take_trade(
            trade.id,
            side=SIDES[trade.side],
            price=trade.price,
            quantity=trade.quantity,
            made_at=from_ms(trade.at_ms),
            at=self._clock(),
        )

    async def _marks(self, prices: LivePrices) -> Messages:
        async with mark_price_stream(self._profile, prices.symbol) as stream:
            async for told in stream:
                prices.take_mark(told.data.price, at=self._clock())
                self._tell(prices.quote())
                yield

    async def _indices(self, prices: LivePrices) -> Messages:
        async with index_price_stream(self._profile, prices.symbol) as stream:
            async for told in stream:
                prices.take_index(told.data.price, at=self._clock())
                self._tell(prices.quote())
                yield
