"""Markets with their trading rules, and the history of their prices.

A market's rules stand twice: on `Market` as they are now, and as one `MarketRules` row for each change, so that an
order can name the rules it was admitted under. `marketdata.services` writes both together.
"""

from collections.abc import Sequence

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Func, IntegerField, Q
from django.db.models.functions import Upper

from astrade.core.fields import AmountField, public_id
from astrade.core.money import SCALE


class Venue(models.TextChoices):
    """Whose market it is; `practice` markets have prices made here."""

    EXTENDED = "extended"
    BINANCE = "binance"
    PRACTICE = "practice"


class MarketType(models.TextChoices):
    SPOT = "spot"
    PERPETUAL = "perpetual"
    FUTURE = "future"
    FX = "fx"
    INDEX = "index"


class MarketStatus(models.TextChoices):
    """Orders are taken on an active market only; a reduce-only one takes what reduces a position."""

    PRELISTED = "prelisted"
    ACTIVE = "active"
    REDUCE_ONLY = "reduce_only"
    HALTED = "halted"
    DELISTED = "delisted"


class PriceKind(models.TextChoices):
    TRADES = "trades"
    MARK = "mark"
    INDEX = "index"


class PriceSource(models.TextChoices):
    """Where a stored price comes from."""

    LIVE = "live"
    REPLAY = "replay"
    SYNTHETIC = "synthetic"
    IMPORT = "import"


def _decimals_of(field: str) -> Func:
    """SQL for the number of significant decimals of a numeric column."""
    return Func(Func(F(field), function="trim_scale"), function="scale", output_field=IntegerField())


class TradingRules(models.Model):
    """What an order on a market is checked against; prices in quote per base, quantities in base units, rates as
    fractions."""

    tick_size = AmountField()
    step_size = AmountField()
    min_quantity = AmountField()
    max_quantity = AmountField()
    max_leverage = models.PositiveSmallIntegerField()
    maker_fee_rate = AmountField()
    taker_fee_rate = AmountField()
    maintenance_margin_rate = AmountField()
    spread = AmountField(help_text="Fraction of the price between bid and ask where no book is known")
    slippage_factor = AmountField(help_text="Weight of this market in the classic slippage formula")
    price_band = AmountField(help_text="Largest allowed distance of a limit price from mark, as a fraction")
    max_position_notional = AmountField(
        null=True, blank=True, help_text="Largest position an account may reach, in quote units at mark; empty: any"
    )

    class Meta:
        abstract = True


RULE_FIELDS: Sequence[str] = tuple(field.name for field in TradingRules._meta.local_fields)


def _rule_constraints(prefix: str) -> list[models.CheckConstraint]:
    return [
        models.CheckConstraint(
            name=f"{prefix}_sizes_positive",
            condition=Q(tick_size__gt=0, step_size__gt=0, min_quantity__gt=0, max_quantity__gte=F("min_quantity")),
        ),
        models.CheckConstraint(
            name=f"{prefix}_rates_sane",
            condition=Q(
                max_leverage__gte=1,
                maker_fee_rate__gt=-1,
                maker_fee_rate__lt=1,
                taker_fee_rate__gte=0,
                taker_fee_rate__lt=1,
                maintenance_margin_rate__gte=0,
                maintenance_margin_rate__lt=1,
                spread__gte=0,
                spread__lt=1,
                slippage_factor__gte=0,
                price_band__gt=0,
            ),
        ),
        models.CheckConstraint(
            name=f"{prefix}_position_limit_positive",
            condition=Q(max_position_notional__isnull=True) | Q(max_position_notional__gt=0),
        ),
        models.CheckConstraint(
            name=f"{prefix}_decimals_fit",  # price × quantity is then exact in an amount column
            condition=models.lookups.LessThanOrEqual(_decimals_of("tick_size") + _decimals_of("step_size"), SCALE),
        ),
    ]


class Market(TradingRules):
    """What can be traded. `symbol` is its one name; other spellings are `MarketAlias` rows."""

    id = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(default=public_id, unique=True, editable=False)
    venue = models.CharField(max_length=16, choices=Venue.choices)
    symbol = models.CharField(max_length=32, unique=True)
    name = models.CharField(max_length=80)
    base = models.CharField(max_length=16)
    quote = models.CharField(max_length=16)
    type = models.CharField(max_length=16, choices=MarketType.choices)
    status = models.CharField(max_length=16, choices=MarketStatus.choices, default=MarketStatus.ACTIVE)
    reference_price = AmountField(help_text="Where a synthetic feed starts when no price was ever known")
    synthetic_asset_id = models.CharField(max_length=66, null=True, blank=True)  # noqa: DJ001 - unknown isn't empty
    synthetic_resolution = models.BigIntegerField(null=True, blank=True)
    collateral_asset_id = models.CharField(max_length=66, null=True, blank=True)  # noqa: DJ001
    collateral_resolution = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["symbol"]
        constraints = [
            *_rule_constraints("market"),
            models.CheckConstraint(
                name="market_symbol_upper_case", condition=Q(symbol=Upper("symbol")) & ~Q(symbol="")
            ),
            models.CheckConstraint(name="market_reference_price_positive", condition=Q(reference_price__gt=0)),
        ]

    def __str__(self) -> str:
        return self.symbol


class MarketAlias(models.Model):
    """Another spelling of a market's symbol, upper case."""

    id = models.BigAutoField(primary_key=True)
    market = models.ForeignKey(Market, on_delete=models.CASCADE, related_name="alias_rows")
    spelling = models.CharField(max_length=32, unique=True)

    class Meta:
        ordering = ["spelling"]
        verbose_name_plural = "market aliases"
        constraints = [
            models.CheckConstraint(name="alias_upper_case", condition=Q(spelling=Upper("spelling")) & ~Q(spelling="")),
        ]

    def __str__(self) -> str:
        return self.spelling


class MarketRules(TradingRules):
    """The rules of a market from one moment on; never changed, a new row replaces it."""

    id = models.BigAutoField(primary_key=True)
    market = models.ForeignKey(Market, on_delete=models.PROTECT, related_name="rules_rows")
    number = models.PositiveIntegerField(help_text="1, 2, 3 … for each market")
    effective_at = models.DateTimeField()

    class Meta:
        ordering = ["market_id", "-number"]
        verbose_name_plural = "market rules"
        constraints = [
            *_rule_constraints("rules"),
            models.UniqueConstraint(fields=["market", "number"], name="rules_number_once"),
        ]

    def __str__(self) -> str:
        return f"{self.market_id}#{self.number}"


class Candle(models.Model):
    """Open, high, low, close and volume of one interval; `is_derived` when it was added up from a shorter timeframe."""

    id = models.BigAutoField(primary_key=True)
    market = models.ForeignKey(Market, on_delete=models.PROTECT, related_name="candles", db_index=False)
    kind = models.CharField(max_length=8, choices=PriceKind.choices)
    timeframe = models.CharField(max_length=4)
    open_time = models.DateTimeField()
    open = AmountField()
    high = AmountField()
    low = AmountField()
    close = AmountField()
    volume = AmountField(default=0)
    trades = models.PositiveIntegerField(default=0)
    source = models.CharField(max_length=12, choices=PriceSource.choices)
    is_derived = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["market", "kind", "timeframe", "open_time"], name="candle_once"),
            models.CheckConstraint(
                name="candle_range_holds_open_and_close",
                condition=Q(low__gt=0, low__lte=F("open"), high__gte=F("open"))
                & Q(low__lte=F("close"), high__gte=F("close"), volume__gte=0),
            ),
        ]
        indexes = [BrinIndex(fields=["open_time"], name="candle_open_time_brin")]

    def __str__(self) -> str:
        return f"{self.market_id} {self.kind} {self.timeframe} {self.open_time:%Y-%m-%d %H:%M}"


class FundingRate(models.Model):
    """A funding rate that was applied; a fraction of notional, positive when longs pay."""

    id = models.BigAutoField(primary_key=True)
    market = models.ForeignKey(Market, on_delete=models.PROTECT, related_name="funding_rates", db_index=False)
    at = models.DateTimeField()
    rate = AmountField()
    source = models.CharField(max_length=12, choices=PriceSource.choices)

    class Meta:
        ordering = ["-at"]
        constraints = [models.UniqueConstraint(fields=["market", "at"], name="funding_once")]

    def __str__(self) -> str:
        return f"{self.market_id} {self.at:%Y-%m-%d %H:%M} {self.rate}"
