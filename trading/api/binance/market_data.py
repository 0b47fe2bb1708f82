"""Public market data in Binance's bodies (binance-api.md §6), from Redis and the stored candles.

What no feed tells here (quote and taker volumes, counts and ids of a day's trades, the last trade's size) is zero, ids
are -1. These bodies have no word for a price's age, so one that is stale is refused, and left out of lists.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from astrade.core.api.fields import MAX_MS
from astrade.core.clock import to_ms
from astrade.core.errors import MarketDataStale
from astrade.core.money import ZERO, round_display
from marketdata import live
from marketdata.charts import candles_of
from marketdata.models import PriceKind
from marketdata.selectors import MarketInfo
from marketdata.timeframes import DAY_MS, LENGTH_MS
from trading.api.binance.errors import Code, ParameterFault
from trading.api.binance.parameters import Parameters
from trading.api.binance.symbols import DECIMALS, Json, amount, listed_markets, symbol_of

NONE_TEXT = amount(ZERO)
NO_ID = -1
DEPTH_DEFAULT, DEPTH_MAX = 100, 5000
ROWS_DEFAULT, ROWS_MAX = 500, 1000
PERCENT_SCALE = 3
Read = Callable[[MarketInfo, datetime], Json]


def server_time(now: datetime) -> Json:
    """The present instant."""
    return {"serverTime": to_ms(now)}


def price_tickers(sent: Parameters, now: datetime) -> Json | list[Json]:
    """Of one symbol an object, of several or all a list, as of the other tickers. Raises MarketDataStale for one."""
    return _each(sent, price_ticker, now=now)


def book_tickers(sent: Parameters, now: datetime) -> Json | list[Json]:
    """The best price and quantity of each side."""
    return _each(sent, book_ticker, now=now)


def day_tickers(sent: Parameters, now: datetime) -> Json | list[Json]:
    """The last 24 hours; `type=MINI` is the short form."""
    mini = (sent.text("type") or "").upper() == "MINI"
    return _each(sent, lambda market, at: day_ticker(market, at, mini=mini), now=now)


def price_ticker(market: MarketInfo, now: datetime) -> Json:
    """The last price; raises MarketDataStale, as all below."""
    return {"symbol": symbol_of(market), "price": _text(_ticker(market, now)["last"])}


def book_ticker(market: MarketInfo, now: datetime) -> Json:
    """The top of the book; an empty side is zero."""
    return {"symbol": symbol_of(market), **_best(_book(market, depth=1, now=now))}


def day_ticker(market: MarketInfo, now: datetime, *, mini: bool) -> Json:
    """The price 24 hours ago follows from the change, which has six decimals."""
    ticker = _ticker(market, now)
    last, change = Decimal(ticker["last"]), Decimal(ticker["change_24h"] or 0)
    opened = round_display(last / (1 + change), scale=DECIMALS) if change > -1 else ZERO
    body: Json = {
        "symbol": symbol_of(market),
        "openPrice": amount(opened),
        "highPrice": _text(ticker["high_24h"] or ticker["last"]),
        "lowPrice": _text(ticker["low_24h"] or ticker["last"]),
        "lastPrice": amount(last),
        "volume": _text(ticker["volume_24h"]),
        "quoteVolume": NONE_TEXT,
        "openTime": ticker["at"] - DAY_MS,
        "closeTime": ticker["at"],
        "firstId": NO_ID,
        "lastId": NO_ID,
        "count": 0,
    }
    if mini:
        return body
    return body | {
        "priceChange": amount(last - opened),
        "priceChangePercent": f"{round_display(100 * change, scale=PERCENT_SCALE):f}",
        "weightedAvgPrice": NONE_TEXT,
        "prevClosePrice": amount(opened),
        "lastQty": NONE_TEXT,
        **_best(_book(market, depth=1, now=now)),
    }


def depth(sent: Parameters, now: datetime) -> Json:
    """The best levels of each side, as many as are kept; more than 5,000 is cut."""
    market = sent.market()
    book = _book(market, depth=sent.limit(default=DEPTH_DEFAULT, most=DEPTH_MAX), now=now)
    sides = {side: [[_text(price), _text(quantity)] for price, quantity, *_ in book[side]] for side in ("bids", "asks")}
    return {"lastUpdateId": book["sequence"], **sides}


def trades(sent: Parameters, now: datetime) -> list[Json]:
    """The latest public trades, oldest first."""
    market = sent.market()
    found = live.trades_of(market.symbol, limit=sent.limit(default=ROWS_DEFAULT, most=ROWS_MAX))
    return [_trade(orjson.loads(value)) for value in reversed(found)]


def aggregate_trades(sent: Parameters, now: datetime) -> list[Json]:
    """The same as aggregates, each of one trade: of those that are kept, from `fromId` and within the times."""
    first, start, end = (sent.number(name) for name in ("fromId", "startTime", "endTime"))
    kept = live.trades_of(sent.market().symbol, limit=ROWS_MAX)
    limit = sent.limit(default=ROWS_DEFAULT, most=ROWS_MAX)
    wanted = [
        trade
        for trade in map(orjson.loads, reversed(kept))
        if trade["trade_id"] >= (first or 0) and (start or 0) <= trade["at"] <= (MAX_MS if end is None else end)
    ]
    rows = [_aggregate(trade) for trade in wanted]
    return rows[-limit:] if first is None and start is None else rows[:limit]


def klines(sent: Parameters, now: datetime) -> list[list[Any]]:
    """Candles, oldest first, the unfinished one last; holes are left out. Raises ParameterFault -1120."""
    market, interval = sent.market(), sent.needed("interval")
    if interval not in LENGTH_MS:
        raise ParameterFault("interval", Code.BAD_INTERVAL, "Invalid interval.")
    found = candles_of(
        market,
        timeframe=interval,
        kind=PriceKind.TRADES,
        start=sent.instant("startTime"),
        end=sent.instant("endTime"),
        limit=sent.limit(default=ROWS_DEFAULT, most=ROWS_MAX),
        now=now,
    )
    return [_kline(candle, length_ms=LENGTH_MS[interval]) for candle in found if "gap" not in candle]


def _kline(candle: Json, *, length_ms: int) -> list[Any]:
    """Twelve items, the last of them unused."""
    return [
        candle["open_time"],
        *(_text(candle[name]) for name in ("open", "high", "low", "close", "volume")),
        candle["open_time"] + length_ms - 1,
        NONE_TEXT,
        candle["trades"],
        NONE_TEXT,
        NONE_TEXT,
        "0",
    ]


def _trade(trade: Json) -> Json:
    price, quantity = Decimal(trade["price"]), Decimal(trade["quantity"])
    return {
        "id": trade["trade_id"],
        "price": amount(price),
        "qty": amount(quantity),
        "quoteQty": amount(price * quantity),
        "time": trade["at"],
        "isBuyerMaker": trade["side"] == "sell",
        "isBestMatch": True,
    }


def _aggregate(trade: Json) -> Json:
    number = trade["trade_id"]
    return {
        "a": number,
        "p": _text(trade["price"]),
        "q": _text(trade["quantity"]),
        "f": number,
        "l": number,
        "T": trade["at"],
        "m": trade["side"] == "sell",
        "M": True,
    }


def _each(sent: Parameters, read: Read, *, now: datetime) -> Json | list[Json]:
    markets = sent.markets()
    if "symbol" in sent and markets:
        return read(markets[0], now)
    listed: Sequence[MarketInfo] = [market for _, market in listed_markets()] if markets is None else markets
    found = []
    for market in listed:
        try:
            found.append(read(market, now))
        except MarketDataStale:
            continue
    return found


def _ticker(market: MarketInfo, now: datetime) -> Json:
    ticker = live.ticker_of(market.symbol, now=now)
    if ticker is None or ticker["stale"]:
        raise MarketDataStale(details={"symbol": market.symbol})
    return ticker


def _book(market: MarketInfo, *, depth: int, now: datetime) -> Json:
    book = live.book_body(market.symbol, depth=depth, now=now)
    if book is None or book["stale"]:
        raise MarketDataStale(details={"symbol": market.symbol})
    return book


def _best(book: Json) -> Json:
    (bid, bids), (ask, asks) = ((book[side] or [("0", "0")])[0][:2] for side in ("bids", "asks"))
    return {"bidPrice": _text(bid), "bidQty": _text(bids), "askPrice": _text(ask), "askQty": _text(asks)}


def _text(value: str | None) -> str:
    return amount(None if value is None else Decimal(value))
