"""Markets as Binance lists symbols: letters and digits only, rules as filters, amounts with eight decimals at least
(binance-api.md §6).
"""

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings

from astrade.core.clock import to_ms
from astrade.core.errors import UnknownMarket
from astrade.core.money import ZERO, plain
from astrade.core.throttling import Limit
from marketdata.selectors import MarketInfo, all_markets, market_by_symbol
from trading.api.binance.words import TYPE_WORDS
from trading.domain.admission import SPOT

Json = dict[str, Any]
SPELLING = re.compile(r"[A-Z0-9]+")
PRECISION = 8
DECIMALS = 8
STATUS_WORDS: Mapping[str, str] = {"active": "TRADING", "reduce_only": "CANCEL_ONLY"}
CASH = "USDT"  # what USD and USDT, one cash asset here, are called


def spelling_of(market: MarketInfo) -> str | None:
    """A market's Binance symbol: of its names the one without separators; None for a market that has none."""
    return next((name for name in (market.symbol, *market.aliases) if SPELLING.fullmatch(name)), None)


def listed_markets() -> list[tuple[str, MarketInfo]]:
    """Every market with a Binance symbol, and that."""
    named = ((spelling_of(market), market) for market in all_markets())
    return [(name, market) for name, market in named if name is not None]


def listed_market(text: str) -> MarketInfo:
    """The market of a symbol; raises UnknownMarket for one that has no Binance symbol, too."""
    market = market_by_symbol(text)
    if spelling_of(market) is None:
        raise UnknownMarket(details={"symbol": text[:64]})
    return market


def symbol_of(market: MarketInfo) -> str:
    """Of a market that is listed."""
    name = spelling_of(market)
    assert name is not None
    return name


def amount(value: Decimal | None) -> str:
    """With eight decimals, or as many more as it has; nothing is zero."""
    text = plain(value or ZERO)
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.ljust(DECIMALS, '0')}"


def filters_of(market: MarketInfo) -> list[Json]:
    """The market's rules. No smallest value of an order is demanded but that of the smallest quantity at the lowest
    price.
    """
    tick, minimum = market.tick_size, market.min_quantity
    notional = {"minNotional": amount(tick * minimum), "applyMinToMarket": True, "avgPriceMins": 0}
    if market.max_position_notional is not None:
        notional |= {"maxNotional": amount(market.max_position_notional), "applyMaxToMarket": True}
    return [
        {"filterType": "PRICE_FILTER", "minPrice": amount(tick), "maxPrice": amount(ZERO), "tickSize": amount(tick)},
        {
            "filterType": "LOT_SIZE",
            "minQty": amount(minimum),
            "maxQty": amount(market.max_quantity),
            "stepSize": amount(market.step_size),
        },
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": plain(1 + market.price_band),
            "multiplierDown": plain(1 - market.price_band),
            "avgPriceMins": 0,
        },
        {"filterType": "NOTIONAL", **notional},
    ]


def symbol_body(name: str, market: MarketInfo) -> Json:
    """As `exchangeInfo` has it; what isn't offered isn't allowed."""
    return {
        "symbol": name,
        "status": STATUS_WORDS.get(market.status, "HALT"),
        "baseAsset": market.base,
        "baseAssetPrecision": PRECISION,
        "quoteAsset": market.quote,
        "quotePrecision": PRECISION,
        "quoteAssetPrecision": PRECISION,
        "baseCommissionPrecision": PRECISION,
        "quoteCommissionPrecision": PRECISION,
        "orderTypes": list(TYPE_WORDS),
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "amendAllowed": False,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": market.type == SPOT,
        "isMarginTradingAllowed": False,
        "filters": filters_of(market),
        "permissions": [],
        "permissionSets": [["SPOT"]] if market.type == SPOT else [],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_MAKER"],
    }


def exchange_info(markets: list[MarketInfo] | None, *, requests: Limit, at_most: int, now: datetime) -> Json:
    """All listed markets, or some; `requests` is the caller's limit, with `at_most` what it allows in its window."""
    listed = listed_markets() if markets is None else [(symbol_of(market), market) for market in markets]
    return {
        "timezone": "UTC",
        "serverTime": to_ms(now),
        "rateLimits": [
            {
                "rateLimitType": "RAW_REQUESTS",
                "interval": "MINUTE",
                "intervalNum": requests.window_s // 60,
                "limit": at_most,
            }
        ],
        "exchangeFilters": [
            {"filterType": "EXCHANGE_MAX_NUM_ORDERS", "maxNumOrders": settings.MAX_OPEN_ORDERS},
        ],
        "symbols": [symbol_body(name, market) for name, market in listed],
    }
