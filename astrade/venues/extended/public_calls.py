"""What needs no key (extended-api.md §5)."""

from astrade.venues.extended import public_wire as wire
from astrade.venues.extended.calls import Call, one, page, query_of, quoted, rows
from astrade.venues.extended.wire import Page


def markets(*names: str) -> Call[list[wire.Market]]:
    """All markets, or those named."""
    return Call(
        name="markets", path="/info/markets", read=rows(wire.Market), query=query_of(market=names), is_private=False
    )


def stats(market: str) -> Call[wire.Stats]:
    """Prices, funding rate and the last 24 hours."""
    return Call(name="stats", path=f"/info/markets/{quoted(market)}/stats", read=one(wire.Stats), is_private=False)


def order_book(market: str) -> Call[wire.OrderBook]:
    """The whole book as it is now."""
    path = f"/info/markets/{quoted(market)}/orderbook"
    return Call(name="order_book", path=path, read=one(wire.OrderBook), is_private=False)


def public_trades(market: str) -> Call[list[wire.PublicTrade]]:
    """The latest executions of everybody."""
    path = f"/info/markets/{quoted(market)}/trades"
    return Call(name="public_trades", path=path, read=rows(wire.PublicTrade), is_private=False)


def candles(
    market: str, type: wire.CandleType, *, interval: str, limit: int, end_ms: int | None = None
) -> Call[list[wire.Candle]]:
    """Newest first, at most 10,000; `interval` as the venue has it: PT1M … PT24H, P7D, P30D."""
    return Call(
        name="candles",
        path=f"/info/candles/{quoted(market)}/{type}",
        read=rows(wire.Candle),
        query=query_of(interval=interval, limit=limit, endTime=end_ms),
        is_private=False,
    )


def funding_rates(
    market: str, *, start_ms: int, end_ms: int, cursor: int | None = None, limit: int | None = None
) -> Call[Page[wire.FundingRate]]:
    """The hourly rates that were applied, newest first."""
    return Call(
        name="funding_rates",
        path=f"/info/{quoted(market)}/funding",
        read=page(wire.FundingRate),
        query=query_of(startTime=start_ms, endTime=end_ms, cursor=cursor, limit=limit),
        is_private=False,
    )
