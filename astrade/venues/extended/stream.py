"""Extended's WebSocket streams, one a connection (extended-api.md §9).

    async with account_stream(profile, access) as stream:
        async for told in stream:                       the subscription stands once the first one has come
            told.data.orders, told.data.trades …

Opening raises Refused (5001) for a key that isn't one, Throttled, or Unavailable; reading never ends but by raising
StreamGap, StreamSilent, Refused, or StreamBroken for all else. Reconnecting is the caller's: after `reconnect_wait_s`,
and since nothing is replayed, with a look at what was missed.
"""

from urllib.parse import urlencode

from astrade.venues.extended.book import LiveBook
from astrade.venues.extended.calls import Access, quoted
from astrade.venues.extended.connection import Stream, Told, one_of
from astrade.venues.extended.profiles import Profile
from astrade.venues.extended.public_wire import Candle, CandleType, FundingRate, PublicTrade
from astrade.venues.extended.stream_wire import AccountNews, BookUpdate, PriceUpdate, StreamEnvelope
from astrade.venues.reconnecting import reconnect_wait_s as reconnect_wait_s
from astrade.venues.sockets import Watch

ACCOUNT = Watch()
BOOK = Watch(message_s=75)  # a snapshot comes each minute, whatever happens
CANDLES = Watch(message_s=75)
PRICES = Watch(first_message_s=75, message_s=75)
RARE = Watch(first_message_s=None)  # trades and funding come when there are some


def account_stream(profile: Profile, access: Access, *, watch: Watch = ACCOUNT) -> Stream[Told[AccountNews]]:
    """Balance, positions and open orders at first, then what changes in them, and trades. Any of it may come twice."""
    return Stream(profile, "/account", one_of(AccountNews), watch=watch, access=access)


def book_stream(profile: Profile, market: str, *, watch: Watch = BOOK) -> Stream[LiveBook]:
    """The market's book after each message; it is the same object each time."""
    book, read = LiveBook(market), one_of(BookUpdate)

    def applied(envelope: StreamEnvelope) -> LiveBook:
        told = read(envelope)
        book.apply(told.data, sequence=told.seq, ts_ms=told.ts_ms)
        return book

    return Stream(profile, f"/orderbooks/{quoted(market)}", applied, watch=watch)


def trade_stream(
    profile: Profile, market: str | None = None, *, watch: Watch = RARE
) -> Stream[Told[list[PublicTrade]]]:
    """Trades of a market, or of all."""
    path = _path("/publicTrades", market)
    return Stream(profile, path, one_of(list[PublicTrade]), watch=watch, is_numbered=market is not None)


def mark_price_stream(
    profile: Profile, market: str | None = None, *, watch: Watch = PRICES
) -> Stream[Told[PriceUpdate]]:
    """Mark prices of a market, or of all."""
    path = _path("/prices/mark", market)
    return Stream(profile, path, one_of(PriceUpdate), watch=watch, is_numbered=market is not None)


def index_price_stream(
    profile: Profile, market: str | None = None, *, watch: Watch = PRICES
) -> Stream[Told[PriceUpdate]]:
    """Index prices of a market, or of all."""
    path = _path("/prices/index", market)
    return Stream(profile, path, one_of(PriceUpdate), watch=watch, is_numbered=market is not None)


def funding_stream(profile: Profile, market: str | None = None, *, watch: Watch = RARE) -> Stream[Told[FundingRate]]:
    """The rates applied each hour to a market, or to all."""
    path = _path("/funding", market)
    return Stream(profile, path, one_of(FundingRate), watch=watch, is_numbered=market is not None)


def candle_stream(
    profile: Profile, market: str, type: CandleType, *, interval: str, watch: Watch = CANDLES
) -> Stream[Told[list[Candle]]]:
    """The running candle of a market."""
    path = f"/candles/{quoted(market)}/{type}?{urlencode({'interval': interval})}"
    return Stream(profile, path, one_of(list[Candle]), watch=watch)


def _path(stream: str, market: str | None) -> str:
    return stream if market is None else f"{stream}/{quoted(market)}"
