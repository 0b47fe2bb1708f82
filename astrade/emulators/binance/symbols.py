"""The symbols of the emulated exchange, with the rules that `exchangeInfo` publishes (binance-api.md §6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from astrade.emulators.markets import info_of
from marketdata.catalogue import LISTINGS
from marketdata.models import Venue
from marketdata.selectors import MarketInfo

PRECISION = 8  # decimals of every amount
UNIT = Decimal(1).scaleb(-PRECISION)
FEE_RATE = Decimal("0.001")  # of what is received, on every symbol
MIN_NOTIONAL, MAX_NOTIONAL = Decimal(5), Decimal(9_000_000)
PRICE_MAX_TICKS = 100_000_000
MULTIPLIER_UP, MULTIPLIER_DOWN = Decimal(5), Decimal("0.2")
AVERAGE_MINUTES = 5
ORDERS_MAX, STOP_ORDERS_MAX = 200, 5
MARKET_QUANTITY_SHARE = 75  # part of the largest quantity that a market order may have


@dataclass(frozen=True, slots=True)
class Symbol:
    """A pair and its rules. Prices are quote per base, quantities base units."""

    rules: MarketInfo

    @property
    def name(self) -> str:
        return self.rules.symbol

    @property
    def base(self) -> str:
        return self.rules.base

    @property
    def quote(self) -> str:
        return self.rules.quote

    @property
    def max_price(self) -> Decimal:
        return self.rules.tick_size * PRICE_MAX_TICKS

    @property
    def max_market_quantity(self) -> Decimal:
        return self.rules.max_quantity / MARKET_QUANTITY_SHARE


def symbols(names: Sequence[str] | None = None) -> Mapping[str, Symbol]:
    """The exchange's symbols by name, those of the catalogue, or only those named."""
    listed = [listing for listing in LISTINGS if listing.venue is Venue.BINANCE]
    made = {listing.symbol: Symbol(info_of(listing, number)) for number, listing in enumerate(listed, start=1)}
    return made if names is None else {name: made[name] for name in names}


def amount(value: Decimal) -> str:
    """As the exchange writes an amount: eight decimals."""
    return f"{value:.8f}"
