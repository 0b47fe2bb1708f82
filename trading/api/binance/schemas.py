"""The Binance-named calls of `/api/v1` for the OpenAPI document: parameters, and what `data` is."""

from typing import Any

from rest_framework import serializers

from astrade.core.api.fields import Amount
from trading.api.binance.words import ResponseType, SideWord, TimeInForceWord, TypeWord
from trading.api.schemas import choice

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer", "format": "int64"}
OBJECT: Schema = {"type": "object", "additionalProperties": True}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _body(texts: str, numbers: str = "", **more: Schema) -> Schema:
    properties = dict.fromkeys(texts.split(), TEXT) | dict.fromkeys(numbers.split(), NUMBER) | more
    return {"type": "object", "properties": properties, "required": list(properties)}


def _one_or_list(of: Schema) -> Schema:
    return {"oneOf": [of, _list(of)], "description": "A list where no `symbol` is named."}


PRICE_TICKER = _one_or_list(_body("symbol price"))
DAY_TICKER = _one_or_list(
    _body(
        "symbol priceChange priceChangePercent weightedAvgPrice prevClosePrice lastPrice lastQty openPrice highPrice"
        " lowPrice volume quoteVolume bidPrice bidQty askPrice askQty",
        "openTime closeTime firstId lastId count",
    )
)
DEPTH = _body("", "lastUpdateId", bids=_list(_list(TEXT)), asks=_list(_list(TEXT)))
KLINES = _list({"type": "array", "items": {"type": ["string", "integer"]}, "minItems": 12, "maxItems": 12})
EXCHANGE_INFO = _body(
    "timezone", "serverTime", rateLimits=_list(OBJECT), exchangeFilters=_list(OBJECT), symbols=_list(OBJECT)
)
_RESULT = "price origQty executedQty origQuoteOrderQty cummulativeQuoteQty status timeInForce type side"
_RESULT += " selfTradePreventionMode"
_HEAD = "symbol clientOrderId"
_HEAD_NUMBERS = "orderId orderListId transactTime"
PLACED = _body(_HEAD, _HEAD_NUMBERS) | {
    "description": "With `newOrderRespType=ACK` that is all; else status and figures, with FULL the `fills` too.",
    "additionalProperties": True,
}
CANCELLED = _body(f"{_HEAD} origClientOrderId {_RESULT}", f"{_HEAD_NUMBERS} workingTime")
ORDER = _body(
    f"{_HEAD} {_RESULT} stopPrice icebergQty",
    "orderId orderListId time updateTime workingTime",
    isWorking={"type": "boolean"},
)


class SymbolQuery(serializers.Serializer[Any]):
    symbol = serializers.CharField(help_text="BTCUSDT, or another spelling of the market")


class SymbolsQuery(serializers.Serializer[Any]):
    symbol = serializers.CharField(required=False)
    symbols = serializers.CharField(required=False, help_text='["BTCUSDT","ETHUSDT"]')


class DayTickerQuery(SymbolsQuery):
    type = serializers.ChoiceField(choices=["FULL", "MINI"], required=False)


class DepthQuery(SymbolQuery):
    limit = serializers.IntegerField(required=False, min_value=1, help_text="100 unless said")


class KlinesQuery(SymbolQuery):
    interval = serializers.CharField(help_text="1m 5m 15m 30m 1h 2h 4h 8h 12h 1d 1w")
    startTime = serializers.IntegerField(required=False, min_value=0)
    endTime = serializers.IntegerField(required=False, min_value=0)
    limit = serializers.IntegerField(required=False, min_value=1, help_text="500 unless said, at most 1,000")


class NamedOrderQuery(SymbolQuery):
    orderId = serializers.IntegerField(required=False, help_text="The order's `number`")
    origClientOrderId = serializers.CharField(required=False)


class CancelOrderQuery(NamedOrderQuery):
    newClientOrderId = serializers.CharField(required=False, help_text="A name for the cancel itself")


class BinanceOrderForm(serializers.Serializer[Any]):
    symbol = serializers.CharField()
    side = choice(SideWord)
    type = choice(TypeWord)
    timeInForce = choice(TimeInForceWord, required=False)
    quantity = Amount(required=False, positive=True)
    quoteOrderQty = Amount(required=False, positive=True, help_text="Of a market order, instead of quantity")
    price = Amount(required=False, positive=True)
    stopPrice = Amount(required=False, positive=True)
    newClientOrderId = serializers.RegexField(r"^[a-zA-Z0-9_-]{1,36}$", required=False)
    newOrderRespType = choice(ResponseType, required=False)
