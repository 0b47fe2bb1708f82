"""The markets of the emulated exchange: the catalogue's Extended ones, with the settlement's view of each.

The catalogue has BTC-USD's published ids. Those of the other markets are made by the rule the exchange follows (ASCII
`<ASSET>-<decimals>`, padded to 15 bytes; extended-api.md §5), with one decimal more than the market's step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from astrade.emulators.markets import info_of
from astrade.venues.extended.signing import L2Config
from marketdata.catalogue import LISTINGS, Listing
from marketdata.models import Venue
from marketdata.selectors import MarketInfo

COLLATERAL, COLLATERAL_ID, COLLATERAL_RESOLUTION, COLLATERAL_DECIMALS = "USD", 1, 1_000_000, 6
ASSET_ID_BYTES = 15
OPEN_ORDERS_MAX = 200  # of an account in a market
LIMIT_VALUE_SHARE, MARKET_VALUE_SHARE = 4, 20  # BTC-USD's published maxima as parts of its largest position
RISK_STEPS = ((15, 1), (3, 2), (1, 4))  # (part of the largest position, times the lowest initial-margin rate)


@dataclass(frozen=True, slots=True)
class Bracket:
    """Up to this position value this initial-margin rate applies; its reciprocal is the largest leverage."""

    upper_bound: Decimal
    risk_factor: Decimal

    @property
    def max_leverage(self) -> Decimal:
        return Decimal(1) / self.risk_factor


@dataclass(frozen=True, slots=True)
class Instrument:
    """A market with its rules. Values are in the collateral, quantities in base units, rates fractions."""

    rules: MarketInfo
    l2: L2Config
    number: int

    @property
    def name(self) -> str:
        return self.rules.symbol

    @property
    def base(self) -> str:
        return self.rules.base

    @property
    def max_position_value(self) -> Decimal:
        """Largest position at any leverage."""
        value = self.rules.max_position_notional
        assert value is not None  # every Extended listing has one
        return value

    @property
    def max_limit_value(self) -> Decimal:
        """Largest value of a limit order."""
        return self.max_position_value / LIMIT_VALUE_SHARE

    @property
    def max_market_value(self) -> Decimal:
        """Largest value of a market order."""
        return self.max_position_value / MARKET_VALUE_SHARE

    @property
    def brackets(self) -> Sequence[Bracket]:
        """The margin schedule, from the smallest position up."""
        rate = Decimal(1) / self.rules.max_leverage
        return [Bracket(self.max_position_value / part, rate * times) for part, times in RISK_STEPS]

    def max_value_at(self, leverage: Decimal) -> Decimal:
        """Largest position at `leverage`."""
        return max((b.upper_bound for b in self.brackets if b.max_leverage >= leverage), default=Decimal(0))


def instruments(symbols: Sequence[str] | None = None) -> Mapping[str, Instrument]:
    """The exchange's markets by name, or only those named; each keeps its number whichever are chosen."""
    listed = [listing for listing in LISTINGS if listing.venue is Venue.EXTENDED]
    made = {listing.symbol: _instrument(listing, number) for number, listing in enumerate(listed, start=1)}
    return made if symbols is None else {symbol: made[symbol] for symbol in symbols}


def decimals_of(step: Decimal) -> int:
    """Decimals of a tick or step."""
    return max(0, -step.normalize().as_tuple().exponent)  # type: ignore[operator]  # a step is a finite number


def _instrument(listing: Listing, number: int) -> Instrument:
    decimals = decimals_of(listing.rules["step_size"]) + 1
    made_id = int.from_bytes(f"{listing.base}-{decimals}".encode().ljust(ASSET_ID_BYTES, b"\0"))
    known = listing.signing
    l2 = L2Config(
        int(known["synthetic_asset_id"], 16) if known else made_id,
        known["synthetic_resolution"] if known else 10**decimals,
        COLLATERAL_ID,
        COLLATERAL_RESOLUTION,
    )
    rules = info_of(
        listing,
        number,
        synthetic_asset_id=hex(l2.synthetic_id),
        synthetic_resolution=l2.synthetic_resolution,
        collateral_asset_id=hex(l2.collateral_id),
        collateral_resolution=l2.collateral_resolution,
    )
    return Instrument(rules, l2, number)
