"""The bodies of the market endpoints (binance-api.md §6)."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from astrade.core.clock import to_ms
from astrade.core.messages import Level, TradeTick
from astrade.emulators.binance import filters
from astrade.emulators.binance.klines import Kline, end_of
from astrade.emulators.binance.orders import SelfTradePrevention, Type
from astrade.emulators.binance.prices import Market
from astrade.emulators.binance.symbols import PRECISION, Symbol, amount
from marketdata.timeframes import DAY_MS

Json = dict[str, Any]
HUNDRED = Decimal(100)


def symbol_body(symbol: Symbol, *, status: str) -> Json:
    """As `exchangeInfo` has it; what the emulator can't do isn't allowed."""
    return {
        "symbol": symbol.name,
        "status": status,
        "baseAsset": symbol.base,
        "baseAssetPrecision": PRECISION,
        "quoteAsset": symbol.quote,
        "quotePrecision": PRECISION,
        "quoteAssetPrecision": PRECISION,
        "baseCommissionPrecision": PRECISION,
        "quoteCommissionPrecision": PRECISION,
        "orderTypes": [kind.value for kind in Type],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": True,
        "amendAllowed": False,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": filters.bodies(symbol),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": SelfTradePrevention.EXPIRE_MAKER.value,
        "allowedSelfTradePreventionModes": [mode.value for mode in SelfTradePrevention],
    }


def levels(side: Iterable[Level]) -> list[list[str]]:
    """Price and quantity of each level."""
    return [[amount(price), amount(quantity)] for price, quantity in side]


def depth_body(market: Market, *, limit: int) -> Json:
    """The best `limit` levels of each side."""
    book = market.view.book
    return {
        "lastUpdateId": market.depth.last_id,
        "bids": levels(book.bids[:limit]),
        "asks": levels(book.asks[:limit]),
    }


def trade_body(trade: TradeTick) -> Json:
    """A public trade."""
    return {
        "id": trade.trade_id,
        "price": amount(trade.price),
        "qty": amount(trade.quantity),
        "quoteQty": amount(trade.price * trade.quantity),
        "time": to_ms(trade.at),
        "isBuyerMaker": trade.side == "sell",
        "isBestMatch": True,
    }


def aggregate_body(trade: TradeTick) -> Json:
    """The same as an aggregate; here each trade is one of its own."""
    return {
        "a": trade.trade_id,
        "p": amount(trade.price),
        "q": amount(trade.quantity),
        "f": trade.trade_id,
        "l": trade.trade_id,
        "T": to_ms(trade.at),
        "m": trade.side == "sell",
        "M": True,
    }


def kline_row(kline: Kline, *, interval: str, offset_ms: int = 0) -> list[Any]:
    """Twelve items, the last of them unused."""
    return [
        kline.open_ms,
        *(amount(price) for price in (kline.open, kline.high, kline.low, kline.close)),
        amount(kline.volume),
        end_of(kline.open_ms, interval=interval, offset_ms=offset_ms),
        amount(kline.value),
        kline.trades,
        amount(kline.bought),
        amount(kline.bought_value),
        "0",
    ]


def day_body(market: Market, *, now_ms: int, mini: bool) -> Json:
    """The last 24 hours."""
    day, book = market.day(), market.view.book
    kline = day.kline
    body: Json = {
        "symbol": market.symbol.name,
        "openPrice": amount(kline.open),
        "highPrice": amount(kline.high),
        "lowPrice": amount(kline.low),
        "lastPrice": amount(kline.close),
        "volume": amount(kline.volume),
        "quoteVolume": amount(kline.value),
        "openTime": now_ms - DAY_MS,
        "closeTime": now_ms,
        "firstId": day.first_trade_id,
        "lastId": day.last_trade_id,
        "count": kline.trades,
    }
    if mini:
        return body
    change = kline.close - kline.open
    return body | {
        "priceChange": amount(change),
        "priceChangePercent": f"{change / kline.open * HUNDRED:.3f}",
        "weightedAvgPrice": amount(kline.value / kline.volume if kline.volume else kline.close),
        "prevClosePrice": amount(day.previous_close),
        "lastQty": amount(last_quantity(market)),
        **best_body(book.bids[0], book.asks[0]),
    }


def best_body(bid: Level, ask: Level) -> Json:
    """The top of the book."""
    return {
        "bidPrice": amount(bid[0]),
        "bidQty": amount(bid[1]),
        "askPrice": amount(ask[0]),
        "askQty": amount(ask[1]),
    }


def last_quantity(market: Market) -> Decimal:
    """Of the last trade; 0 before the first."""
    trades: Sequence[TradeTick] = market.trades
    return trades[-1].quantity if trades else Decimal(0)
