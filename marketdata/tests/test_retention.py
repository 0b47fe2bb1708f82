"""What history is let go of, and that what is left adds up."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from astrade.core.clock import system_clock
from marketdata import retention
from marketdata.models import Candle, FundingRate
from marketdata.tests.factories import CandleFactory, FundingRateFactory, MarketFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 22, 13, 7, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC)  # two days are kept


def test_whole_days_of_short_candles_go_and_long_ones_stay(settings: Any) -> None:
    settings.CANDLES_KEPT_DAYS, settings.FUNDING_RATES_KEPT_DAYS = 2, 2
    market = MarketFactory.create()
    for timeframe in ("1m", "30m", "1h", "1d"):
        for age_m in (1, 0, -1):
            CandleFactory.create(market=market, timeframe=timeframe, open_time=MIDNIGHT - timedelta(minutes=age_m))
    for age_m in (1, 0):
        FundingRateFactory.create(market=market, at=MIDNIGHT - timedelta(minutes=age_m))
    told: list[int] = []
    deleted = {
        name: retention.prune(rows, progress=told.append, batch=1) for name, rows in retention.expired(now=NOW).items()
    }

    assert deleted == {"candles": 2, "funding rates": 1} and told == [1, 1, 1]
    assert Candle.objects.filter(timeframe__in=("1m", "30m"), open_time__lt=MIDNIGHT).count() == 0
    assert Candle.objects.count() == 10 and FundingRate.objects.get().at == MIDNIGHT
    assert all(not rows.exists() for rows in retention.expired(now=NOW).values())


def test_the_command_may_be_run_again(settings: Any) -> None:
    settings.CANDLES_KEPT_DAYS = 30
    CandleFactory.create(timeframe="1m", open_time=system_clock() - timedelta(days=40))
    for expected in ("1 candles deleted", "0 candles deleted"):
        out = StringIO()
        call_command("prune_market_data", stdout=out)
        assert expected in out.getvalue()
