"""The market endpoints (binance-api.md §6)."""

import re
from collections.abc import Callable, Sequence
from itertools import islice, takewhile
from typing import Any

from astrade.core.clock import to_ms
from astrade.core.messages import TradeTick
from astrade.emulators.binance import public_answers as answers
from astrade.emulators.binance.calls import Answer, Call, Route, Weight, reading
from astrade.emulators.binance.klines import INTERVALS_MS, Kline
from astrade.emulators.binance.parameters import Parameters
from astrade.emulators.binance.prices import Market
from astrade.emulators.binance.refusals import Code, Refused, invalid
from astrade.emulators.binance.symbols import AVERAGE_MINUTES, amount
from marketdata.timeframes import HOUR_MS, MINUTE_MS

DEPTH_DEFAULT, DEPTH_MAX = 100, 5_000
ROWS_DEFAULT, ROWS_MAX = 500, 1_000
DEPTH_WEIGHTS = ((100, 5), (500, 25), (1_000, 50), (DEPTH_MAX, 250))
SPOT = "SPOT"
ZONE = re.compile(r"^([+-]?)(\d{1,2})(?::(\d{2}))?$")
ZONE_FIRST_MS, ZONE_LAST_MS = -12 * HOUR_MS, 14 * HOUR_MS


def ping(call: Call) -> Answer:
    return Answer({})


def time(call: Call) -> Answer:
    return Answer({"serverTime": call.exchange.now_ms()})


def exchange_info(call: Call) -> Answer:
    exchange, parameters = call.exchange, call.parameters
    parameters.flag("showPermissionSets")
    wanted, status = parameters.text("symbolStatus"), exchange.symbol_status
    markets = _markets(call) or exchange.markets.values()
    if SPOT not in (parameters.text("permissions") or SPOT):
        markets = []
    return Answer(
        {
            "timezone": "UTC",
            "serverTime": exchange.now_ms(),
            "rateLimits": exchange.limits.bodies(),
            "exchangeFilters": [],
            "symbols": [
                answers.symbol_body(market.symbol, status=status) for market in markets if wanted in (None, status)
            ],
        }
    )


def depth(call: Call) -> Answer:
    limit = call.parameters.limit(default=DEPTH_DEFAULT, most=DEPTH_MAX)
    market = _market(call)
    _demand_status(call)
    return Answer(answers.depth_body(market, limit=limit))


def trades(call: Call) -> Answer:
    return Answer([answers.trade_body(trade) for trade in _rows(call, _market(call).trades)])


def aggregate_trades(call: Call) -> Answer:
    parameters = call.parameters
    first, last = parameters.number("startTime"), parameters.number("endTime")
    if "fromId" in parameters and (first is not None or last is not None):
        raise Refused(Code.OPTIONAL_PARAMS_BAD_COMBO, "Combination of optional parameters invalid.")
    known = [
        trade
        for trade in _market(call).trades
        if (first is None or to_ms(trade.at) >= first) and (last is None or to_ms(trade.at) <= last)
    ]
    return Answer([answers.aggregate_body(trade) for trade in _rows(call, known, oldest=first is not None)])


def klines(call: Call) -> Answer:
    parameters, market = call.parameters, _market(call)
    interval, offset_ms = parameters.needed("interval"), _zone_ms(parameters)
    if interval not in INTERVALS_MS:
        raise Refused(Code.BAD_INTERVAL, "Invalid interval.")
    limit = parameters.limit(default=ROWS_DEFAULT, most=ROWS_MAX)
    first, last = parameters.number("startTime"), parameters.number("endTime")

    def is_new_enough(kline: Kline) -> bool:
        return first is None or kline.open_ms >= first

    newest_first = takewhile(is_new_enough, market.klines(interval, offset_ms=offset_ms))
    found = (kline for kline in newest_first if last is None or kline.open_ms <= last)
    rows = list(islice(found, limit) if first is None else found)[::-1][:limit]
    return Answer([answers.kline_row(kline, interval=interval, offset_ms=offset_ms) for kline in rows])


def average_price(call: Call) -> Answer:
    market, now_ms = _market(call), call.exchange.now_ms()
    return Answer({"mins": AVERAGE_MINUTES, "price": amount(market.average_price()), "closeTime": now_ms})


def day_ticker(call: Call) -> Answer:
    kind = call.parameters.text("type") or "FULL"
    if kind not in ("FULL", "MINI"):
        raise invalid("type")
    now_ms = call.exchange.now_ms()
    return _ticker(call, lambda market: answers.day_body(market, now_ms=now_ms, mini=kind == "MINI"))


def price_ticker(call: Call) -> Answer:
    return _ticker(call, lambda market: {"symbol": market.symbol.name, "price": amount(market.last_price)})


def book_ticker(call: Call) -> Answer:
    def body(market: Market) -> dict[str, Any]:
        book = market.view.book
        return {"symbol": market.symbol.name, **answers.best_body(book.bids[0], book.asks[0])}

    return _ticker(call, body)


def _ticker(call: Call, body: Callable[[Market], dict[str, Any]]) -> Answer:
    named, wanted = _markets(call), call.parameters.text("symbolStatus")
    if named and "symbol" in call.parameters:
        _demand_status(call)
        return Answer(body(named[0]))
    markets = call.exchange.markets.values() if named is None else named
    return Answer([body(market) for market in markets if wanted in (None, call.exchange.symbol_status)])


def _market(call: Call) -> Market:
    return call.exchange.market(call.parameters.needed("symbol"))


def _markets(call: Call) -> list[Market] | None:
    """Those named by `symbol` or `symbols`; None where none is named."""
    one, several = call.parameters.text("symbol"), call.parameters.names("symbols")
    if one is not None and several is not None:
        raise Refused(Code.OPTIONAL_PARAMS_BAD_COMBO, "Combination of optional parameters invalid.")
    names = several if one is None else [one]
    return None if names is None else [call.exchange.market(name) for name in names]


def _demand_status(call: Call) -> None:
    if call.parameters.text("symbolStatus") not in (None, call.exchange.symbol_status):
        raise Refused(Code.SYMBOL_DOES_NOT_MATCH_STATUS, "The symbol's status does not match the requested status.")


def _rows(call: Call, known: Sequence[TradeTick], *, oldest: bool = False) -> list[TradeTick]:
    """The newest, or the oldest from an id or a time on; ascending."""
    first = call.parameters.number("fromId")
    limit = call.parameters.limit(default=ROWS_DEFAULT, most=ROWS_MAX)
    found = [trade for trade in known if first is None or trade.trade_id >= first]
    return found[:limit] if oldest or first is not None else found[-limit:]


def _zone_ms(parameters: Parameters) -> int:
    text = parameters.text("timeZone")
    if text is None:
        return 0
    match = ZONE.match(text)
    if match is None:
        raise invalid("timeZone")
    sign, hours, minutes = match.groups()
    offset_ms = int(hours) * HOUR_MS + int(minutes or 0) * MINUTE_MS
    offset_ms = -offset_ms if sign == "-" else offset_ms
    if not ZONE_FIRST_MS <= offset_ms <= ZONE_LAST_MS:
        raise invalid("timeZone")
    return offset_ms


def _depth_weight(parameters: Parameters) -> int:
    limit = parameters.limit(default=DEPTH_DEFAULT, most=DEPTH_MAX)
    return next(weight for most, weight in DEPTH_WEIGHTS if limit <= most)


def _day_weight(parameters: Parameters) -> int:
    names = parameters.names("symbols")
    if "symbol" in parameters or (names is not None and len(names) <= 20):
        return 2
    return 80 if names is None or len(names) > 100 else 40


def _ticker_weight(parameters: Parameters) -> int:
    return 2 if "symbol" in parameters else 4


def _public(path: str, handler: Callable[[Call], Answer], weight: Weight, reads: str = "", rpc: str = "") -> Route:
    return Route(
        method="GET", path=path, handler=handler, weight=weight, reads=reading(*reads.split()), rpc=rpc or None
    )


_KLINES = "symbol interval startTime endTime timeZone limit"
_TICKER = "symbol symbols symbolStatus"
ROUTES = (
    _public("/ping", ping, 1, rpc="ping"),
    _public("/time", time, 1, rpc="time"),
    _public("/exchangeInfo", exchange_info, 20, f"{_TICKER} permissions showPermissionSets", "exchangeInfo"),
    _public("/depth", depth, _depth_weight, "symbol limit symbolStatus", "depth"),
    _public("/trades", trades, 25, "symbol limit", "trades.recent"),
    _public("/historicalTrades", trades, 25, "symbol limit fromId", "trades.historical"),
    _public("/aggTrades", aggregate_trades, 4, "symbol fromId startTime endTime limit", "trades.aggregate"),
    _public("/klines", klines, 2, _KLINES, "klines"),
    _public("/uiKlines", klines, 2, _KLINES, "uiKlines"),
    _public("/avgPrice", average_price, 2, "symbol", "avgPrice"),
    _public("/ticker/24hr", day_ticker, _day_weight, f"{_TICKER} type", "ticker.24hr"),
    _public("/ticker/price", price_ticker, _ticker_weight, _TICKER, "ticker.price"),
    _public("/ticker/bookTicker", book_ticker, _ticker_weight, _TICKER, "ticker.book"),
)
