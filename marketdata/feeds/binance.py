"""Binance's spot markets, live: depth, best prices and trades of each market on a connection of its own; its last
price, its book's snapshot and its candles by REST (binance-api.md §6, §9).

A spot market has neither mark nor index price: both are the middle of its book.
"""

from collections.abc import AsyncGenerator, Sequence
from decimal import Decimal
from typing import Any

from django.conf import settings

from astrade.core.clock import from_ms
from astrade.core.messages import BookSnapshot
from astrade.venues.binance import public_calls
from astrade.venues.binance.book import LiveBook
from astrade.venues.binance.client import AsyncClient
from astrade.venues.binance.profiles import Profile
from astrade.venues.binance.public_wire import BookTicker, DepthUpdate, Trade
from astrade.venues.binance.stream import LIVES_S, MarketStream
from astrade.venues.errors import StreamBroken
from astrade.venues.sockets import Watch
from marketdata.candles import Bar
from marketdata.feeds.base import Start
from marketdata.feeds.prices import BOOK_LEVELS, LivePrices
from marketdata.feeds.pulling import MinutePuller, MsRange
from marketdata.feeds.rules import Rules, binance_rules
from marketdata.feeds.venue import PAST_TRADE, VenueFeed, Work
from marketdata.models import PriceKind, Venue
from marketdata.selectors import MarketInfo

SNAPSHOTS_MAX, SNAPSHOT_AGAIN_S = 5, 1.0  # of which each is older than the stream, before the connection is given up
Messages = AsyncGenerator[None, None]


class BinanceFeed(VenueFeed):
    """Spot markets of one of Binance's networks."""

    name, venue, told_kinds = "binance", Venue.BINANCE, frozenset({PriceKind.TRADES})

    def __init__(
        self, profile: Profile, *, silent_after_s: float | None = None, lives_s: float = LIVES_S, **sources: Any
    ) -> None:
        """A book that tells nothing for `silent_after_s` (`FEED_SILENT_AFTER_S`) is asked for anew, and a connection
        that is `lives_s` old is replaced."""
        super().__init__(**sources)
        self._profile, self._lives_s = profile, lives_s
        self._client = AsyncClient(profile, clock=self._clock)
        silent_s = silent_after_s or settings.FEED_SILENT_AFTER_S
        self._watch = Watch(first_message_s=silent_s, message_s=silent_s)

    def works(self, prices: LivePrices, *, market: MarketInfo, start: Start) -> Sequence[Work]:
        minutes = MinutePuller(
            market.symbol,
            kinds=list(self.told_kinds),
            since_ms=start.history_ms,
            fetch=lambda _, between: self._fetch(market.symbol, between),
            page=public_calls.KLINES_MAX,
            tell=self._tell,
            clock=self._clock,
            randomness=self._randomness,
        )
        return (
            self._keep_open("market", lambda: self._market(prices)),
            self._keep_asking("minutes", minutes.catch_up),
        )

    async def rules_of(self, symbol: str) -> Rules:
        return await binance_rules(self._client, symbol)

    async def close(self) -> None:
        await self._client.close()

    async def _fetch(self, symbol: str, between: MsRange) -> Sequence[Bar]:
        call = public_calls.klines(symbol, interval="1m", start_ms=between[0], end_ms=between[1] - 1)
        rows = await self._client.send(call)
        return [Bar(k.open_ms, k.open, k.high, k.low, k.close, k.volume, k.trades) for k in rows]

    async def _market(self, prices: LivePrices) -> Messages:
        sources: dict[str, Any] = {"watch": self._watch, "lives_s": self._lives_s, "clock": self._clock}
        async with MarketStream(self._profile, prices.symbol, **sources) as stream:
            asked_at = self._clock()
            last = await self._client.send(public_calls.last_price(prices.symbol))
            prices.take_last(last.price, at=asked_at)
            book = LiveBook(prices.symbol)
            try:
                async for event in stream:
                    if isinstance(event, Trade):
                        self._take_trade(prices, event)
                    elif isinstance(event, BookTicker):
                        self._take_best(prices, book, event)
                    elif await self._is_new(book, event):
                        self._take_book(prices, book)
                        yield
            finally:
                self._withdraw_book(prices.symbol)

    async def _is_new(self, book: LiveBook, event: DepthUpdate) -> bool:
        """Whether the book is in step and changed; with the first event it is brought into step. Events that come
        meanwhile wait in the socket."""
        if book.take(event):
            return True
        if book.is_synced:
            return False
        for _ in range(SNAPSHOTS_MAX):
            snapshot = await self._client.send(public_calls.depth(book.symbol))
            if book.begin(snapshot):
                return True
            await self._sleep(SNAPSHOT_AGAIN_S)
        raise StreamBroken("old_snapshot")

    def _take_book(self, prices: LivePrices, book: LiveBook) -> None:
        at, best = self._clock(), book.best()
        if best is not None:
            prices.take_best(*best, at=at)
            self._take_middle(prices, *best)

        def snapshot() -> BookSnapshot:
            return prices.snapshot(*book.top(BOOK_LEVELS), at=at)

        self._tell(prices.quote())
        self._tell_book(prices.symbol, snapshot)

    def _take_best(self, prices: LivePrices, book: LiveBook, told: BookTicker) -> None:
        """Best prices that are ahead of the book. The quote stays as old as the book is."""
        if book.update_id is not None and told.update_id > book.update_id and told.bid < told.ask:
            prices.improve_best(told.bid, told.ask)
            self._take_middle(prices, told.bid, told.ask)
            self._tell(prices.quote())

    def _take_middle(self, prices: LivePrices, bid: Decimal, ask: Decimal) -> None:
        middle, at = (bid + ask) / 2, self._clock()
        prices.take_mark(middle, at=at)
        prices.take_index(middle, at=at)

    def _take_trade(self, prices: LivePrices, trade: Trade) -> None:
        made_at = from_ms(trade.at_ms)
        if from_ms(trade.told_ms) - made_at > PAST_TRADE:
            return
        tick = prices.take_trade(
            trade.id,
            side="sell" if trade.buyer_rested else "buy",
            price=trade.price,
            quantity=trade.quantity,
            made_at=made_at,
            at=self._clock(),
        )
        self._tell(tick, prices.quote())
