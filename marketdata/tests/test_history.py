"""Stored timeframes equal what brute force makes of the minutes, however often they are stored."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import pytest

from astrade.core.clock import from_ms, to_ms
from astrade.core.messages import CandleUpdate, FundingApplied
from marketdata import history
from marketdata.models import Candle, FundingRate, PriceSource
from marketdata.selectors import MarketInfo
from marketdata.tests.factories import CandleFactory, market_info
from marketdata.timeframes import MINUTE_MS, PART_OF, open_time_ms

pytestmark = pytest.mark.django_db
START = datetime(2026, 1, 4, 22, 17, tzinfo=UTC)  # a Sunday: a new week begins within the minutes below


def minutes_of(market: MarketInfo, count: int, *, kind: str = "trades") -> list[CandleUpdate]:
    random, candles = Random(5), []
    for number in range(count):
        if number % 7 == 3:
            continue  # holes are no reason for wrong sums
        prices = [Decimal(random.randrange(50, 150)) for _ in range(4)]
        candles.append(
            CandleUpdate(
                symbol=market.symbol,
                timeframe="1m",
                kind=kind,
                open_time=START + timedelta(minutes=number),
                open=prices[0],
                high=max(prices),
                low=min(prices),
                close=prices[3],
                volume=Decimal(number),
                trades=number,
                closed=True,
            )
        )
    return candles


def brute(candles: list[CandleUpdate], timeframe: str) -> dict[datetime, tuple[object, ...]]:
    groups: dict[int, list[CandleUpdate]] = {}
    for candle in candles:
        groups.setdefault(open_time_ms(to_ms(candle.open_time), timeframe=timeframe), []).append(candle)
    return {
        from_ms(at): (
            part[0].open,
            max(c.high for c in part),
            min(c.low for c in part),
            part[-1].close,
            sum(c.volume for c in part),
            sum(c.trades for c in part),
        )
        for at, part in groups.items()
    }


def stored(market: MarketInfo, timeframe: str) -> dict[datetime, tuple[object, ...]]:
    rows = Candle.objects.filter(market_id=market.id, timeframe=timeframe)
    return {r[0]: r[1:] for r in rows.values_list("open_time", "open", "high", "low", "close", "volume", "trades")}


@pytest.mark.parametrize("batch", [1, 7, 400])
def test_roll_ups_equal_brute_force_and_repeat_safely(batch: int) -> None:
    market = market_info()
    candles = minutes_of(market, 200)
    for _ in range(2 if batch > 1 else 1):
        for first in range(0, len(candles), batch):
            part = candles[first : first + batch]
            history.store_candles(part, ids={market.symbol: market.id}, source=PriceSource.LIVE)

    for timeframe in PART_OF:
        assert stored(market, timeframe) == brute(candles, timeframe), timeframe


def test_an_imported_candle_is_not_replaced_by_a_sum() -> None:
    market = market_info()
    CandleFactory(market_id=market.id, market=None, timeframe="5m", open_time=from_ms(0), source=PriceSource.IMPORT)
    minute = minutes_of(market, 1)[0]
    minute = CandleUpdate(**{f: getattr(minute, f) for f in minute.__slots__} | {"open_time": from_ms(0)})
    history.store_candles([minute], ids={market.symbol: market.id}, source=PriceSource.LIVE)

    assert Candle.objects.get(timeframe="5m").close == 100
    assert Candle.objects.get(timeframe="15m").close == 100


def test_a_sum_of_mixed_sources_names_the_least_trustworthy() -> None:
    market = market_info()
    ids = {market.symbol: market.id}
    first, second = minutes_of(market, 2)
    history.store_candles([first], ids=ids, source=PriceSource.SYNTHETIC)
    history.store_candles([second], ids=ids, source=PriceSource.LIVE)

    assert Candle.objects.get(timeframe="1h").source == "synthetic"
    assert set(Candle.objects.filter(timeframe="1m").values_list("source", flat=True)) == {"synthetic", "live"}


def test_what_a_restart_needs_is_read_back() -> None:
    market = market_info()
    candles = minutes_of(market, 100)
    history.store_candles(candles, ids={market.symbol: market.id}, source=PriceSource.LIVE)
    now_ms = to_ms(candles[-1].open_time) + MINUTE_MS

    assert history.markets_with_history() == {market.id}
    assert history.last_closes() == {market.id: candles[-1].close}
    day = history.minutes_of_last_day(now_ms=now_ms)[market.id]
    assert [bar.close for bar in day] == [candle.close for candle in candles]
    part = history.parts_in_progress(now_ms=now_ms)[market.id, "trades"]["1h"]
    hour = brute(candles, "1h")[from_ms(part.open_ms)]
    assert (part.open, part.high, part.low, part.close, part.volume, part.trades) == hour


def test_a_funding_hour_is_kept_once() -> None:
    market = market_info()
    applied = [FundingApplied(market.symbol, Decimal("0.0001"), from_ms(0))]
    for _ in range(2):
        history.store_funding(applied, ids={market.symbol: market.id}, source=PriceSource.LIVE)

    assert FundingRate.objects.get().rate == Decimal("0.0001")


def test_a_venues_own_minute_replaces_what_was_made_up_and_no_import() -> None:
    market = market_info(symbol="BTC-USD")
    ids = {market.symbol: market.id}
    for source, price, expected in (
        (PriceSource.SYNTHETIC, 100, 100),
        (PriceSource.LIVE, 50, 50),
        (PriceSource.LIVE, 60, 60),
    ):
        prices = dict.fromkeys(("open", "high", "low", "close"), Decimal(price))
        minute = replace(minutes_of(market, 1)[0], **prices, volume=Decimal(1), trades=0)  # type: ignore[arg-type]
        history.store_candles([minute], ids=ids, source=source)
        kept = Candle.objects.get(market_id=market.id, timeframe="1m")
        assert (kept.open, kept.high, kept.low, kept.close, kept.source) == (*[expected] * 4, source)
        hour = Candle.objects.get(market_id=market.id, timeframe="1h")
        assert (hour.high, hour.source) == (expected, source)
    Candle.objects.filter(market_id=market.id, timeframe="1m").update(source=PriceSource.IMPORT, close=60)
    history.store_candles([minutes_of(market, 1)[0]], ids=ids, source=PriceSource.LIVE)
    assert Candle.objects.get(market_id=market.id, timeframe="1m").close == 60
    assert history.last_told_minutes() == {}
