"""The exchange's wire forms of markets and prices (extended-api.md §5)."""

from decimal import Decimal
from typing import Any

from astrade.core.clock import to_ms
from astrade.core.messages import BookSnapshot, TradeTick
from astrade.core.money import plain, round_display
from astrade.emulators.extended.markets import (
    COLLATERAL,
    COLLATERAL_DECIMALS,
    COLLATERAL_ID,
    COLLATERAL_RESOLUTION,
    OPEN_ORDERS_MAX,
    Instrument,
    decimals_of,
)
from astrade.emulators.extended.prices import AppliedRate, Market
from marketdata.candles import Bar
from marketdata.day import CHANGE_SCALE
from marketdata.feeds.funding import HOURLY_CAP

Json = dict[str, Any]
VALUE_SCALE = 6
PERCENT = 100


def asset_body(name: str, *, number: int, decimals: int, starkex_id: int, resolution: int, is_collateral: bool) -> Json:
    return {
        "id": number,
        "name": name,
        "symbol": name,
        "description": name,
        "precision": decimals,
        "isActive": True,
        "isCollateral": is_collateral,
        "starkexId": hex(starkex_id),
        "starkexResolution": resolution,
        "l1Id": hex(number),
        "l1Resolution": resolution,
        "version": 1,
        "type": "SPOT" if is_collateral else "PERPETUAL",
        "canBeUsedAsCollateral": is_collateral,
        "riskFactors": [],
        "availableForTradeFactors": [],
    }


def collateral_body() -> Json:
    return asset_body(
        COLLATERAL,
        number=COLLATERAL_ID,
        decimals=COLLATERAL_DECIMALS,
        starkex_id=COLLATERAL_ID,
        resolution=COLLATERAL_RESOLUTION,
        is_collateral=True,
    )


def synthetic_body(instrument: Instrument) -> Json:
    return asset_body(
        instrument.base,
        number=COLLATERAL_ID + instrument.number,
        decimals=decimals_of(instrument.rules.step_size),
        starkex_id=instrument.l2.synthetic_id,
        resolution=instrument.l2.synthetic_resolution,
        is_collateral=False,
    )


def market_body(market: Market, *, interest: Decimal, is_reduce_only: bool) -> Json:
    instrument = market.instrument
    return {
        "name": instrument.name,
        "type": "PERPETUAL",
        "uiName": instrument.name,
        "description": instrument.rules.name,
        "assetName": instrument.base,
        "assetPrecision": decimals_of(instrument.rules.step_size),
        "collateralAssetName": COLLATERAL,
        "collateralAssetPrecision": COLLATERAL_DECIMALS,
        "active": True,
        "status": "REDUCE_ONLY" if is_reduce_only else "ACTIVE",
        "isRfq": False,
        "isOffHours": False,
        "tradingHours": "CONTINUOUS",
        "visibleOnUi": True,
        "marketStats": stats_body(market, interest=interest),
        "tradingConfig": _config_body(instrument),
        "l2Config": {
            "type": "STARKX",
            "collateralId": hex(instrument.l2.collateral_id),
            "collateralResolution": instrument.l2.collateral_resolution,
            "syntheticId": hex(instrument.l2.synthetic_id),
            "syntheticResolution": instrument.l2.synthetic_resolution,
        },
    }


def stats_body(market: Market, *, interest: Decimal) -> Json:
    """A market's figures; `interest` is the quantity that the emulated accounts hold long and short, halved."""
    view, day = market.view, market.day()
    quote, funding = view.quote, market.funding
    assert funding is not None
    return {
        "dailyVolume": plain(day.value),
        "dailyVolumeBase": plain(day.volume),
        "dailyPriceChange": plain(quote.last - day.open),
        "dailyPriceChangePercentage": plain(round_display(quote.last / day.open - 1, scale=CHANGE_SCALE)),
        "dailyLow": plain(min(day.low, quote.last)),
        "dailyHigh": plain(max(day.high, quote.last)),
        "lastPrice": plain(quote.last),
        "askPrice": plain(quote.ask),
        "bidPrice": plain(quote.bid),
        "markPrice": plain(quote.mark),
        "indexPrice": plain(quote.index),
        "fundingRate": plain(funding.rate),
        "nextFundingRate": to_ms(funding.next_at),
        "openInterest": plain(round_display(interest * quote.mark, scale=VALUE_SCALE)),
        "openInterestBase": plain(interest),
        "deleverageLevels": {"shortPositions": [], "longPositions": []},
    }


def book_body(book: BookSnapshot) -> Json:
    """As REST has it: long names, and singular `bid` and `ask`."""
    sides = {"bid": book.bids, "ask": book.asks}
    return {"market": book.symbol} | {
        name: [{"qty": plain(quantity), "price": plain(price)} for price, quantity in levels]
        for name, levels in sides.items()
    }


def public_trade_body(trade: TradeTick) -> Json:
    return {
        "i": trade.trade_id,
        "m": trade.symbol,
        "S": trade.side.upper(),
        "tT": "TRADE",
        "T": to_ms(trade.at),
        "p": plain(trade.price),
        "q": plain(trade.quantity),
    }


def candle_body(bar: Bar, *, with_volume: bool) -> Json:
    body: Json = {
        "o": plain(bar.open),
        "l": plain(bar.low),
        "h": plain(bar.high),
        "c": plain(bar.close),
        "T": bar.open_ms,
    }
    return body | {"v": plain(bar.volume)} if with_volume else body


def rate_body(market: str, rate: AppliedRate) -> Json:
    return {"m": market, "T": rate.at_ms, "f": plain(rate.rate)}


def _config_body(instrument: Instrument) -> Json:
    rules = instrument.rules
    return {
        "minOrderSize": plain(rules.min_quantity),
        "minOrderSizeChange": plain(rules.step_size),
        "minPriceChange": plain(rules.tick_size),
        "maxMarketOrderValue": plain(instrument.max_market_value),
        "maxLimitOrderValue": plain(instrument.max_limit_value),
        "maxPositionValue": plain(instrument.max_position_value),
        "maxLeverage": f"{rules.max_leverage:.2f}",
        "hourlyFundingRateCap": plain(HOURLY_CAP * PERCENT),
        "maxNumOrders": str(OPEN_ORDERS_MAX),
        "limitPriceCap": plain(rules.price_band),
        "limitPriceFloor": plain(rules.price_band),
        "riskFactorConfig": [
            {
                "upperBound": plain(round_display(bracket.upper_bound, scale=VALUE_SCALE)),
                "riskFactor": plain(bracket.risk_factor),
                "isAvailableForUsers": True,
            }
            for bracket in instrument.brackets
        ],
    }
