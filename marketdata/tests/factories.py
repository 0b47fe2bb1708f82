"""The smallest valid markets, candles and prices for tests; this app's and those above it."""

import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from factory.declarations import LazyAttribute, Sequence, SubFactory
from factory.django import DjangoModelFactory
from factory.helpers import post_generation

from astrade.core.clock import system_clock
from astrade.core.messages import BookSnapshot, Quote
from astrade.core.redis import sync_client
from marketdata.models import RULE_FIELDS, Candle, FundingRate, Market, MarketRules, MarketType, PriceSource, Venue
from marketdata.selectors import MarketInfo, forget_markets, market_by_symbol
from marketdata.tape import Tape

LISTED_AT = datetime(2026, 1, 1, tzinfo=UTC)


class MarketFactory(DjangoModelFactory[Market]):
    """A perpetual market with tick 1 and step 0.00001, as Extended's BTC-USD, and its first rules."""

    class Meta:
        model = Market
        skip_postgeneration_save = True

    symbol = Sequence("COIN{}-USD".format)
    venue = Venue.EXTENDED
    type = MarketType.PERPETUAL
    name = LazyAttribute(lambda market: f"{market.symbol} market")
    base = LazyAttribute(lambda market: market.symbol.split("-")[0])
    quote = "USD"
    reference_price = Decimal(50_000)
    tick_size = Decimal(1)
    step_size = Decimal("0.00001")
    min_quantity = Decimal("0.0001")
    max_quantity = Decimal(1_000)
    max_leverage = 50
    maker_fee_rate = Decimal(0)
    taker_fee_rate = Decimal("0.00025")
    maintenance_margin_rate = Decimal("0.01")
    spread = Decimal("0.00005")
    slippage_factor = Decimal(1)
    price_band = Decimal("0.05")

    @post_generation
    def rules(self: Market, create: bool, extracted: Any, **kwargs: Any) -> None:
        """The rules in force from `LISTED_AT` on."""
        values = {name: getattr(self, name) for name in RULE_FIELDS}
        MarketRules.objects.create(market=self, number=1, effective_at=LISTED_AT, **values)
        forget_markets()


class CandleFactory(DjangoModelFactory[Candle]):
    class Meta:
        model = Candle

    market = SubFactory(MarketFactory)
    kind = "trades"
    timeframe = "1m"
    open_time = LISTED_AT
    open = high = low = close = Decimal(100)
    volume = Decimal(1)
    trades = 1
    source = PriceSource.LIVE


class FundingRateFactory(DjangoModelFactory[FundingRate]):
    class Meta:
        model = FundingRate

    market = SubFactory(MarketFactory)
    at = LISTED_AT
    rate = Decimal("0.0001")
    source = PriceSource.LIVE


def market_info(**fields: Any) -> MarketInfo:
    """A market made by `MarketFactory`, as the rest of the platform sees it."""
    return market_by_symbol(MarketFactory.create(**fields).symbol)


def recorded_folder() -> Path:
    """Folder with real recorded data; skips the test where there is none."""
    folder = Path(os.environ.get("ASTRADE_DATA", settings.BASE_DIR.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no recorded market data here")
    return folder


def quote_of(symbol: str, price: str = "100", *, at: datetime | None = None, **prices: str) -> Quote:
    """A quote in which everything is `price` unless said."""
    names = ("last", "mark", "index", "bid", "ask")
    values = {name: Decimal(prices.get(name, price)) for name in names}
    return Quote(symbol=symbol, at=at or system_clock(), **values)


def levels(*pairs: tuple[str, str]) -> tuple[tuple[Decimal, Decimal], ...]:
    """Levels of a book from texts."""
    return tuple((Decimal(price), Decimal(quantity)) for price, quantity in pairs)


def publish(
    symbol: str,
    *,
    bids: tuple[tuple[str, str], ...],
    asks: tuple[tuple[str, str], ...],
    at: datetime | None = None,
    sequence: int = 1,
    mark: str | None = None,
) -> None:
    """Put a market's book, and the quote that follows from it, into Redis as a feed would."""
    at = at or system_clock()
    mid = str((Decimal(bids[0][0]) + Decimal(asks[0][0])) / 2)
    tape = Tape(symbol)
    now_ms = int(at.timestamp() * 1000)
    quote = quote_of(symbol, mark or mid, at=at, bid=bids[0][0], ask=asks[0][0])
    tape.take(quote, now_ms=now_ms)
    tape.take(BookSnapshot(symbol, sequence, levels(*bids), levels(*asks), at), now_ms=now_ms)
    pipe = sync_client().pipeline(transaction=False)
    tape.queue(pipe, now_ms=now_ms)
    pipe.execute()
