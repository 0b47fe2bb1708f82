"""A live market's trading rules as its venue has them now (extended-api.md §5, binance-api.md §6), by the names that
`marketdata.models.RULE_FIELDS` have. What a venue doesn't tell, such as fees, isn't among them."""

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal

from astrade.venues.binance import public_calls as binance_calls
from astrade.venues.binance.client import AsyncClient as BinanceClient
from astrade.venues.extended import public_calls as extended_calls
from astrade.venues.extended.aio import AsyncClient as ExtendedClient

REFRESHED_EVERY_S = 600.0
Rules = Mapping[str, Decimal | int]
ChangeRules = Callable[[int, Rules], Awaitable[None]]  # gets a market's row key


async def extended_rules(client: ExtendedClient, symbol: str) -> Rules:
    """Raises as `client.send`."""
    (market,) = await client.send(extended_calls.markets(symbol))
    config = market.trading_config
    return {
        "tick_size": config.min_price_change,
        "step_size": config.min_order_size_change,
        "min_quantity": config.min_order_size,
        "max_leverage": int(config.max_leverage),
        "max_position_notional": config.max_position_value,
        "price_band": config.limit_price_cap,
    }


async def binance_rules(client: BinanceClient, symbol: str) -> Rules:
    """Raises as `client.send`. A part that the venue has disabled (0) is left out."""
    (listed,) = (await client.send(binance_calls.exchange_info(symbol))).symbols
    filters = {found.filter_type: found for found in listed.filters}
    price, lot = filters.get("PRICE_FILTER"), filters.get("LOT_SIZE")
    told = {
        "tick_size": price and price.tick_size,
        "step_size": lot and lot.step_size,
        "min_quantity": lot and lot.min_qty,
        "max_quantity": lot and lot.max_qty,
    }
    return {name: value for name, value in told.items() if value}
