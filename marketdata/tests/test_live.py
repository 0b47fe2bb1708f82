from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest

from astrade.core.clock import system_clock
from astrade.core.errors import MarketDataStale
from astrade.core.messages import TradeTick
from astrade.core.redis import sync_client
from marketdata import live
from marketdata.status import StaleFeed, check_feed_age, observe_feed_age
from marketdata.tape import Tape
from marketdata.tests.factories import MarketFactory, publish, quote_of

AT = datetime(2026, 1, 1, 12, 0, 30, 123_456, tzinfo=UTC)
BIDS, ASKS = (("100", "1"), ("99", "2")), (("101", "1.5"),)


def test_a_view_is_what_was_published_to_the_microsecond() -> None:
    publish("BTC-USD", bids=BIDS, asks=ASKS, at=AT, sequence=9)
    publish("ETH-USD", bids=(("10", "1"),), asks=(("11", "1"),), at=AT)
    view, quotes = live.view_of("BTC-USD")

    assert (view.quote.bid, view.quote.ask, view.quote.mark, view.quote.at) == (
        Decimal(100),
        Decimal(101),
        Decimal("100.5"),
        AT,
    )
    assert (view.book.sequence, view.book.bids) == (9, ((Decimal(100), Decimal(1)), (Decimal(99), Decimal(2))))
    assert view.funding_rate == 0
    assert set(quotes) == {"BTC-USD", "ETH-USD"} and quotes["ETH-USD"].bid == 10 and len(quotes) == 2
    with pytest.raises(KeyError):
        quotes["NOPE"]


def test_a_market_without_prices_has_no_view() -> None:
    with pytest.raises(MarketDataStale):
        live.view_of("BTC-USD")


def test_without_redis_there_is_no_view(settings: Any) -> None:
    url = settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    sync_client.cache_clear()
    try:
        for ask in (lambda: live.view_of("X"), live.quotes, lambda: live.ticker_of("X", now=AT)):
            with pytest.raises(MarketDataStale):
                ask()
    finally:
        settings.REDIS_URL = url
        sync_client.cache_clear()


def test_a_price_is_stale_only_beyond_the_limit(settings: Any) -> None:
    quote, limit = quote_of("X", at=AT), timedelta(seconds=settings.FEED_STALE_AFTER_S)
    live.ensure_fresh(quote, now=AT + limit)
    assert live.age_of(AT, now=AT - limit) == timedelta(0)
    with pytest.raises(MarketDataStale):
        live.ensure_fresh(quote, now=AT + limit + timedelta(milliseconds=1))


def test_a_trade_between_two_quotes_counts_as_an_extreme() -> None:
    tape, now_ms = Tape("X"), int(AT.timestamp()) * 1000
    tape.take(TradeTick("X", 1, "sell", Decimal(80), Decimal(1), AT), now_ms=now_ms)
    tape.take(quote_of("X", "100", at=AT), now_ms=now_ms)
    pipe = sync_client().pipeline(transaction=False)
    tape.queue(pipe, now_ms=now_ms)
    pipe.execute()

    (second,) = live.extremes_since("X", since=AT)
    assert (second.last, second.mark) == ((Decimal(80), Decimal(100)), (Decimal(100), Decimal(100)))


def test_extremes_hold_every_price_of_their_second() -> None:
    tape, base_ms = Tape("X"), int(AT.timestamp()) * 1000
    for offset_ms, price in ((0, "100"), (200, "90"), (400, "110"), (1_100, "105")):
        tape.take(quote_of("X", price, at=AT), now_ms=base_ms + offset_ms)
        if offset_ms in (400, 1_100):
            pipe = sync_client().pipeline(transaction=False)
            tape.queue(pipe, now_ms=base_ms + offset_ms)
            pipe.execute()

    first, second = live.extremes_since("X", since=AT)
    assert first.at == AT.replace(microsecond=0)
    assert first.last == first.mark == first.bid == (Decimal(90), Decimal(110))
    assert second.last == (Decimal(105), Decimal(105))
    assert live.extremes_since("X", since=AT + timedelta(seconds=1)) == [second]


def test_subscribers_begin_with_the_book_or_the_ticker() -> None:
    publish("BTC-USD", bids=BIDS, asks=ASKS, at=AT, sequence=9)
    book, ticker = (live.opening_frame(f"{kind}:BTC-USD", now=AT) for kind in ("orderbook", "ticker"))

    assert book is not None and ticker is not None
    assert (orjson.loads(book)["type"], orjson.loads(book)["sequence"]) == ("orderbook_snapshot", 9)
    assert (orjson.loads(ticker)["type"], orjson.loads(ticker)["bid"]) == ("ticker", "100")
    assert live.opening_frame("trades:BTC-USD", now=AT) is None


@pytest.mark.django_db
def test_health_names_markets_without_fresh_prices() -> None:
    first, second = MarketFactory.create_batch(2)
    MarketFactory(status="delisted")
    publish(first.symbol, bids=BIDS, asks=ASKS)
    with pytest.raises(StaleFeed, match=f"1 of 2 markets: {second.symbol}"):
        check_feed_age()
    publish(second.symbol, bids=BIDS, asks=ASKS, at=system_clock() - timedelta(seconds=5))
    figures = check_feed_age()
    assert figures["markets"] == 2 and 5 <= figures["age_s_max"] < 10
    observe_feed_age()
