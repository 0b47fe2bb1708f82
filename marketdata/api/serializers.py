"""Shapes of market data: what queries may say, and what API.md's bodies hold."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from astrade.core.api.fields import Amount, Choice, Millis, Text
from astrade.core.api.pagination import DEFAULT_LIMIT, MAX_LIMIT
from marketdata.feeds.depth import LEVELS
from marketdata.models import MarketStatus, MarketType, PriceKind, Venue
from marketdata.timeframes import BASE, TIMEFRAMES

CANDLES_DEFAULT = 500


class MarketsQuery(serializers.Serializer[Any]):
    """Filters of the list of markets."""

    symbol = Text(required=False, max_length=64, help_text="Symbol, alias or id of one market")
    type = Choice(MarketType.choices, required=False)
    status = Choice(MarketStatus.choices, required=False)
    venue = Choice(Venue.choices, required=False)


class BookQuery(serializers.Serializer[Any]):
    depth = serializers.IntegerField(default=LEVELS, min_value=1, max_value=MAX_LIMIT)


class TradesQuery(serializers.Serializer[Any]):
    limit = serializers.IntegerField(default=DEFAULT_LIMIT, min_value=1, max_value=MAX_LIMIT)


class RangeQuery(serializers.Serializer[Any]):
    """`?from=&to=` in milliseconds, both included."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """`from` is a word of Python's own, so it can't be an attribute."""
        return {"from": Millis(required=False), "to": Millis(required=False), **super().get_fields()}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A range that ends before it begins is a mistake."""
        if "from" in attrs and "to" in attrs and attrs["from"] > attrs["to"]:
            raise serializers.ValidationError({"to": "Must not be before from."})
        return attrs


class CandlesQuery(RangeQuery):
    timeframe = serializers.ChoiceField([(name, name) for name in TIMEFRAMES], default=BASE)
    type = Choice(PriceKind.choices, default=PriceKind.TRADES)
    limit = serializers.IntegerField(default=CANDLES_DEFAULT, min_value=1, max_value=MAX_LIMIT)


class FundingQuery(RangeQuery):
    cursor = Millis(required=False)
    limit = serializers.IntegerField(default=DEFAULT_LIMIT, min_value=1, max_value=MAX_LIMIT)


class MarketBody(serializers.Serializer[Any]):
    """One market and its trading rules; rates, spread and price band are fractions."""

    id = serializers.UUIDField(source="uuid")
    symbol = serializers.CharField()
    aliases = serializers.ListField(child=serializers.CharField())
    name = serializers.CharField()
    base = serializers.CharField()
    quote = serializers.CharField()
    type = serializers.ChoiceField(MarketType.choices)
    venue = serializers.ChoiceField(Venue.choices)
    status = serializers.ChoiceField(MarketStatus.choices)
    tick_size = Amount()
    step_size = Amount()
    min_quantity = Amount()
    max_quantity = Amount()
    max_leverage = serializers.IntegerField()
    maker_fee_rate = Amount()
    taker_fee_rate = Amount()
    maintenance_margin_rate = Amount()
    spread = Amount()
    slippage_factor = Amount()
    price_band = Amount()


class TickerBody(serializers.Serializer[Any]):
    """Prices of a market; `stale` when they are too old to take risk on. `change_24h` is a fraction of the price 24 h
    ago."""

    symbol = serializers.CharField()
    last = Amount()
    mark = Amount()
    index = Amount()
    bid = Amount()
    ask = Amount()
    change_24h = Amount(allow_null=True)
    high_24h = Amount(allow_null=True)
    low_24h = Amount(allow_null=True)
    volume_24h = Amount(allow_null=True, help_text="Base units")
    open_interest = Amount(allow_null=True, help_text="Base units; null where the feed doesn't tell it")
    funding_rate = Amount(help_text="Fraction per hour that applies next; positive: longs pay")
    next_funding_at = Millis(allow_null=True)
    at = Millis()
    age_ms = serializers.IntegerField()
    stale = serializers.BooleanField()


@extend_schema_field({"type": "array", "items": {"type": "string", "format": "decimal"}, "minItems": 2, "maxItems": 3})
class LevelField(serializers.ListField):
    """Price, quantity, and the number of orders where the venue tells it."""


class BookBody(serializers.Serializer[Any]):
    """The visible book: bids fall, asks rise."""

    symbol = serializers.CharField()
    sequence = serializers.IntegerField()
    bids = serializers.ListField(child=LevelField())
    asks = serializers.ListField(child=LevelField())
    at = Millis()
    stale = serializers.BooleanField()


class PublicTradeBody(serializers.Serializer[Any]):
    """One public trade; `side` is the taker's."""

    trade_id = serializers.IntegerField()
    side = serializers.ChoiceField([("buy", "buy"), ("sell", "sell")])
    price = Amount()
    quantity = Amount()
    at = Millis()


class CandleBody(serializers.Serializer[Any]):
    """A candle, or with `gap` true a hole before the next one: then only `open_time`, `gap` and `missing` are there."""

    open_time = Millis()
    open = Amount(required=False)
    high = Amount(required=False)
    low = Amount(required=False)
    close = Amount(required=False)
    volume = Amount(required=False)
    trades = serializers.IntegerField(required=False)
    closed = serializers.BooleanField(required=False)
    gap = serializers.BooleanField(required=False)
    missing = serializers.IntegerField(required=False, help_text="How many candles are missing")


class FundingBody(serializers.Serializer[Any]):
    """A funding rate that was applied."""

    at = Millis()
    rate = Amount()
