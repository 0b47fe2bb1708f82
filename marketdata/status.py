"""How old the prices are, for health and metrics."""

from collections.abc import Mapping
from typing import Any

from astrade.core import metrics
from astrade.core.clock import system_clock
from marketdata import live
from marketdata.selectors import all_markets

FEED_AGE = metrics.gauge("astrade_feed_age_seconds", "Age of a market's prices", ["symbol"])


class StaleFeed(Exception):
    """Markets without fresh prices; the message names them."""


class NoPrices(Exception):
    """No market has ever had a price here: nothing could be traded."""


def check_feed_age() -> Mapping[str, Any]:
    """Age of the oldest active market's price; raises StaleFeed if any is stale or missing."""
    now, quotes = system_clock(), live.quotes()
    ages = {symbol: live.age_of(quotes[symbol].at, now=now).total_seconds() for symbol in quotes}
    active = [market.symbol for market in all_markets() if market.is_tradable]
    late = [symbol for symbol in active if symbol not in quotes or live.is_stale(quotes[symbol].at, now=now)]
    if late:
        raise StaleFeed(f"{len(late)} of {len(active)} markets: {', '.join(late[:5])}")
    return {"markets": len(active), "age_s_max": round(max((ages[symbol] for symbol in active), default=0.0), 3)}


def check_prices() -> Mapping[str, Any]:
    """How many active markets have a price, however old; raises NoPrices before the first one has come."""
    quotes = live.quotes()
    priced = sum(market.symbol in quotes for market in all_markets() if market.is_tradable)
    if not priced:
        raise NoPrices
    return {"markets": priced}


def observe_feed_age() -> None:
    """Set the gauges."""
    now = system_clock()
    for symbol, quote in live.quotes().items():
        FEED_AGE.labels(symbol).set(live.age_of(quote.at, now=now).total_seconds())
