"""Closed candles outlast a database that is away."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError

from marketdata.feeds.writer import HistoryWriter
from marketdata.history import store_candles
from marketdata.models import Candle, PriceSource
from marketdata.tests.factories import MarketFactory, market_info
from marketdata.tests.test_history import minutes_of

pytestmark = pytest.mark.django_db(transaction=True)


async def test_what_could_not_be_stored_is_stored_later_in_order() -> None:
    market = await sync_to_async(market_info)(symbol="BTC-USD")
    await sync_to_async(MarketFactory.create)()
    failures = [OperationalError("away"), OperationalError("away")]

    def store_or_fail(*args: object, **kwargs: object) -> None:
        if failures:
            raise failures.pop()
        store_candles(*args, **kwargs)  # type: ignore[arg-type]

    writer = HistoryWriter({market.symbol: market.id}, store=store_or_fail, retry_after_s=0.01)
    running = asyncio.create_task(writer.run())
    for candle in minutes_of(market, 3):
        writer.add([candle], [], source=PriceSource.LIVE)
    async with asyncio.timeout(10):
        while await Candle.objects.filter(timeframe="1m").acount() < 3:
            await asyncio.sleep(0.02)
    running.cancel()
    writer.add(minutes_of(market, 5)[-1:], [], source=PriceSource.LIVE)
    await writer.close()

    assert failures == []
    assert await Candle.objects.filter(timeframe="1m").acount() == 4
