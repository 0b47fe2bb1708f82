"""Names of what market data keeps in Redis and of the channels it publishes on.

md:quotes             hash: symbol → prices (frames.quote_value)
md:book:<SYMBOL>      the book as its snapshot frame
md:trades:<SYMBOL>    list, newest first, at most TRADES_KEPT public trades
md:stats:<SYMBOL>     24 h figures
md:extremes:<SYMBOL>  hash: second modulo EXTREMES_KEPT_S → lowest and highest prices of that second
md:candles:<SYMBOL>   hash: kind → the running and the last closed candle of each timeframe
md:replay:<SYMBOL>    which recording is being replayed since when
ticks                 pub/sub, what each market did since its tick before (frames.tick), for the matcher
stream:<name>         pub/sub, the exact bytes for sockets; name as in `ticker:BTC-USD`, `candles:BTC-USD:1m`
"""

from astrade.core.redis import channel_named

QUOTES = "md:quotes"
TICKS = channel_named("ticks")
TRADES_KEPT = 500
EXTREMES_KEPT_S = 120


def book(symbol: str) -> str:
    return f"md:book:{symbol}"


def trades(symbol: str) -> str:
    return f"md:trades:{symbol}"


def stats(symbol: str) -> str:
    return f"md:stats:{symbol}"


def extremes(symbol: str) -> str:
    return f"md:extremes:{symbol}"


def candles(symbol: str) -> str:
    return f"md:candles:{symbol}"


def replay(symbol: str) -> str:
    return f"md:replay:{symbol}"


def stream(name: str) -> str:
    return channel_named(f"stream:{name}")
