"""What needs no key, with its weight (binance-api.md §6)."""

from astrade.venues.binance import public_wire as wire
from astrade.venues.binance.calls import Call, query_of

DEPTH_MAX, KLINES_MAX = 1_000, 1_000


def depth(symbol: str) -> Call[wire.Depth]:
    """The best `DEPTH_MAX` levels of each side."""
    return Call(name="depth", path="/depth", kind=wire.Depth, weight=50, query=query_of(symbol=symbol, limit=DEPTH_MAX))


def klines(symbol: str, *, interval: str, start_ms: int, end_ms: int) -> Call[list[wire.Kline]]:
    """Those that begin from `start_ms` to `end_ms`, oldest first, `KLINES_MAX` at most; the last may be unfinished."""
    query = query_of(symbol=symbol, interval=interval, startTime=start_ms, endTime=end_ms, limit=KLINES_MAX)
    return Call(name="klines", path="/klines", kind=list[wire.Kline], weight=2, query=query)


def last_price(symbol: str) -> Call[wire.PriceTicker]:
    """Price of the last trade."""
    return Call(name="last_price", path="/ticker/price", kind=wire.PriceTicker, weight=2, query=query_of(symbol=symbol))


def exchange_info(symbol: str) -> Call[wire.ExchangeInfo]:
    """The symbol's rules."""
    return Call(
        name="exchange_info", path="/exchangeInfo", kind=wire.ExchangeInfo, weight=20, query=query_of(symbol=symbol)
    )
