"""What Extended tells everyone (extended-api.md §5, §9); see `wire` for how it is read."""

from decimal import Decimal

import msgspec

from astrade.venues.extended.signing import L2Config
from astrade.venues.extended.wire import Side, TradeType
from astrade.venues.wire import Wire, WireEnum


class MarketStatus(WireEnum):
    ACTIVE = "ACTIVE"
    REDUCE_ONLY = "REDUCE_ONLY"
    DELISTED = "DELISTED"
    PRELISTED = "PRELISTED"
    DISABLED = "DISABLED"
    UNKNOWN = "UNKNOWN"


class CandleType(WireEnum):
    TRADES = "trades"
    MARK = "mark-prices"
    INDEX = "index-prices"
    UNKNOWN = "UNKNOWN"


class Stats(Wire, frozen=True, kw_only=True):
    """`funding_rate` is the present hour's estimate, `next_funding_rate` the time it is applied."""

    last_price: Decimal
    ask_price: Decimal
    bid_price: Decimal
    mark_price: Decimal
    index_price: Decimal
    funding_rate: Decimal
    next_funding_rate: int
    daily_volume: Decimal
    daily_volume_base: Decimal
    daily_price_change: Decimal
    daily_low: Decimal
    daily_high: Decimal
    open_interest: Decimal
    open_interest_base: Decimal
    daily_price_change_percentage: Decimal | None = None


class RiskFactor(Wire, frozen=True, kw_only=True):
    """Initial margin's rate for position values up to `upper_bound`."""

    upper_bound: Decimal
    risk_factor: Decimal


class TradingConfig(Wire, frozen=True, kw_only=True):
    """A market's rules; caps and floors are fractions of the mark price."""

    min_order_size: Decimal
    min_order_size_change: Decimal
    min_price_change: Decimal
    max_market_order_value: Decimal
    max_limit_order_value: Decimal
    max_position_value: Decimal
    max_leverage: Decimal
    max_num_orders: int
    limit_price_cap: Decimal
    limit_price_floor: Decimal
    risk_factor_config: list[RiskFactor] = msgspec.field(default_factory=list)


class L2(Wire, frozen=True, kw_only=True):
    """The market's assets in the settlement; ids are hexadecimal."""

    collateral_id: str
    collateral_resolution: int
    synthetic_id: str
    synthetic_resolution: int

    def __post_init__(self) -> None:
        int(self.synthetic_id, 16), int(self.collateral_id, 16)

    @property
    def config(self) -> L2Config:
        """As signatures need it."""
        return L2Config(
            int(self.synthetic_id, 16),
            self.synthetic_resolution,
            int(self.collateral_id, 16),
            self.collateral_resolution,
        )


class Market(Wire, frozen=True, kw_only=True):
    name: str
    asset_name: str
    asset_precision: int
    collateral_asset_name: str
    collateral_asset_precision: int
    active: bool
    market_stats: Stats
    trading_config: TradingConfig
    l2_config: L2
    status: MarketStatus = MarketStatus.UNKNOWN
    is_rfq: bool = False
    is_off_hours: bool = False
    ui_name: str | None = None
    category: str | None = None
    description: str | None = None
    trading_hours: str | None = None


class BookLevel(Wire, frozen=True, kw_only=True):
    price: Decimal
    qty: Decimal


class OrderBook(Wire, frozen=True, kw_only=True):
    """Bids fall, asks rise."""

    market: str
    bid: list[BookLevel]
    ask: list[BookLevel]


class PublicTrade(Wire, frozen=True, kw_only=True, rename=None):
    """One execution; `side` is the taker's."""

    id: int = msgspec.field(name="i")
    market: str = msgspec.field(name="m")
    side: Side = msgspec.field(name="S")
    type: TradeType = msgspec.field(name="tT", default=TradeType.UNKNOWN)
    at_ms: int = msgspec.field(name="T")
    price: Decimal = msgspec.field(name="p")
    quantity: Decimal = msgspec.field(name="q")


class Candle(Wire, frozen=True, kw_only=True, rename=None):
    """`at_ms` is its start; only candles of trades have a volume."""

    open: Decimal = msgspec.field(name="o")
    high: Decimal = msgspec.field(name="h")
    low: Decimal = msgspec.field(name="l")
    close: Decimal = msgspec.field(name="c")
    at_ms: int = msgspec.field(name="T")
    volume: Decimal | None = msgspec.field(name="v", default=None)


class FundingRate(Wire, frozen=True, kw_only=True, rename=None):
    """The rate that was applied at `at_ms`."""

    market: str = msgspec.field(name="m")
    at_ms: int = msgspec.field(name="T")
    rate: Decimal = msgspec.field(name="f")
