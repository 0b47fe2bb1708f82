"""The markets that `seed_markets` makes: trading rules as the venues list them, and where a synthetic price starts.

Extended's BTC-USD is its published configuration; its other markets follow the same schedule of sizes and leverage. The
fees are Extended's flat ones (taker 0.025 %, maker 0 %). Binance lists ticks and steps; its fee is the standard 0.1 %.
Values may drift at the venue: a venue feed brings them up to date through `services.change_rules`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from marketdata.models import MarketType, Venue


@dataclass(frozen=True, slots=True)
class Listing:
    """One market to seed: identity, aliases, rules and what the venue needs for signing."""

    symbol: str
    venue: Venue
    type: MarketType
    name: str
    base: str
    quote: str
    rules: Mapping[str, Any]
    reference_price: Decimal
    aliases: tuple[str, ...] = ()
    signing: Mapping[str, Any] = field(default_factory=dict)


_EXTENDED_FEES = {"maker_fee_rate": Decimal(0), "taker_fee_rate": Decimal("0.00025")}
_BINANCE_FEES = {"maker_fee_rate": Decimal("0.001"), "taker_fee_rate": Decimal("0.001")}
_PRACTICE_FEES = {"maker_fee_rate": Decimal("0.0002"), "taker_fee_rate": Decimal("0.0002")}
_BTC_SIGNING = {
    "synthetic_asset_id": "0x4254432d3600000000000000000000",
    "synthetic_resolution": 1_000_000,
    "collateral_asset_id": "0x1",
    "collateral_resolution": 1_000_000,
}


def _rules(
    sizes: str, *, leverage: int, fees: Mapping[str, Decimal], spread: str, slippage: str = "1", band: str = "0.05"
) -> dict[str, Any]:
    """`sizes` is "tick step minimum maximum"; maintenance margin is half of the initial margin at full leverage."""
    tick, step, minimum, maximum = (Decimal(text) for text in sizes.split())
    return {
        "tick_size": tick,
        "step_size": step,
        "min_quantity": minimum,
        "max_quantity": maximum,
        "max_leverage": leverage,
        "maintenance_margin_rate": (Decimal(1) / (2 * leverage)).quantize(Decimal("0.0001"))
        if leverage > 1
        else Decimal(0),
        "spread": Decimal(spread),
        "slippage_factor": Decimal(slippage),
        "price_band": Decimal(band),
        **fees,
    }


def _extended(
    base: str, name: str, price: str, sizes: str, *, leverage: int, signing: Mapping[str, Any] | None = None
) -> Listing:
    return Listing(
        symbol=f"{base}-USD",
        venue=Venue.EXTENDED,
        type=MarketType.PERPETUAL,
        name=f"{name} / US Dollar",
        base=base,
        quote="USD",
        rules=_rules(sizes, leverage=leverage, fees=_EXTENDED_FEES, spread="0.00005")
        | {"max_position_notional": Decimal(60_000_000 if base == "BTC" else 10_000_000)},
        reference_price=Decimal(price),
        aliases=(f"{base}/USD", f"{base}USD"),
        signing=signing or {},
    )


def _binance(base: str, name: str, price: str, sizes: str) -> Listing:
    return Listing(
        symbol=f"{base}USDT",
        venue=Venue.BINANCE,
        type=MarketType.SPOT,
        name=f"{name} / Tether",
        base=base,
        quote="USDT",
        rules=_rules(sizes, leverage=1, fees=_BINANCE_FEES, spread="0.0001", band="0.2"),
        reference_price=Decimal(price),
        aliases=(f"{base}/USDT", f"{base}-USDT"),
    )


LISTINGS: tuple[Listing, ...] = (
    _extended("BTC", "Bitcoin", "77259", "1 0.00001 0.0001 1000", leverage=50, signing=_BTC_SIGNING),
    _extended("ETH", "Ethereum", "2310.5", "0.1 0.001 0.01 10000", leverage=50),
    _extended("SOL", "Solana", "148.20", "0.01 0.01 0.1 100000", leverage=25),
    _extended("XRP", "XRP", "1.9532", "0.0001 1 10 5000000", leverage=25),
    _extended("DOGE", "Dogecoin", "0.14870", "0.00001 10 100 20000000", leverage=20),
    _extended("BNB", "BNB", "861.40", "0.01 0.001 0.01 5000", leverage=20),
    _extended("SUI", "Sui", "1.6240", "0.0001 1 10 1000000", leverage=20),
    _extended("LINK", "Chainlink", "13.420", "0.001 0.1 1 200000", leverage=20),
    _binance("BTC", "Bitcoin", "77259.01", "0.01 0.00001 0.00001 9000"),
    _binance("ETH", "Ethereum", "2310.51", "0.01 0.0001 0.0001 9000"),
    _binance("XRP", "XRP", "1.9532", "0.0001 0.1 0.1 9000000"),
    Listing(
        symbol="BTC-FUT",
        venue=Venue.PRACTICE,
        type=MarketType.FUTURE,
        name="Bitcoin Futures",
        base="BTC",
        quote="USD",
        rules=_rules("0.5 0.001 0.001 500", leverage=50, fees=_PRACTICE_FEES, spread="0.0002"),
        reference_price=Decimal("77410.5"),
        aliases=("BTCFUT", "BTC/FUT"),
    ),
    Listing(
        symbol="SPX-FUT",
        venue=Venue.PRACTICE,
        type=MarketType.FUTURE,
        name="S&P 500 Futures",
        base="SPX",
        quote="USD",
        rules=_rules("0.25 0.01 0.01 2000", leverage=20, fees=_PRACTICE_FEES, spread="0.0001", slippage="0.5"),
        reference_price=Decimal("6632.50"),
        aliases=("SPXFUT", "SPX/FUT"),
    ),
    Listing(
        symbol="EURUSD",
        venue=Venue.PRACTICE,
        type=MarketType.FX,
        name="Euro / US Dollar",
        base="EUR",
        quote="USD",
        rules=_rules("0.00001 1 1 10000000", leverage=100, fees=_PRACTICE_FEES, spread="0.0001", slippage="0.1"),
        reference_price=Decimal("1.15120"),
        aliases=("EUR/USD", "EUR-USD"),
    ),
)
