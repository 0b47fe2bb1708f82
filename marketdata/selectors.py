"""Markets as the rest of the platform sees them: small frozen values, looked up without a query on the hot path.

The whole list is read in one query, kept for `MARKETS_TTL_S` in each process and replaced by the first call after that;
other threads go on with the old list meanwhile. A change is therefore seen everywhere within about a second.
"""

import threading
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from time import monotonic
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import OuterRef, Q, Subquery, Value

from astrade.core.errors import UnknownMarket
from marketdata.models import RULE_FIELDS, Candle, Market, MarketRules, PriceKind
from marketdata.timeframes import BASE

MARKETS_TTL_S = 1.0


@dataclass(frozen=True, slots=True)
class MarketInfo:
    """One market with the rules in force. Prices are quote per base, quantities base units, rates fractions."""

    id: int
    rules_id: int
    uuid: uuid.UUID
    venue: str
    symbol: str
    aliases: tuple[str, ...]
    name: str
    base: str
    quote: str
    type: str
    status: str
    tick_size: Decimal
    step_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    max_leverage: int
    maker_fee_rate: Decimal
    taker_fee_rate: Decimal
    maintenance_margin_rate: Decimal
    spread: Decimal
    slippage_factor: Decimal
    price_band: Decimal
    max_position_notional: Decimal | None
    reference_price: Decimal
    synthetic_asset_id: str | None
    synthetic_resolution: int | None
    collateral_asset_id: str | None
    collateral_resolution: int | None

    @property
    def is_active(self) -> bool:
        """Whether orders that raise risk are taken."""
        return self.status == "active"

    @property
    def is_tradable(self) -> bool:
        """Whether any order is taken, be it a reducing one only."""
        return self.status in ("active", "reduce_only")


@dataclass(frozen=True, slots=True)
class _Registry:
    by_name: Mapping[str, MarketInfo]
    by_id: Mapping[int, MarketInfo]
    read_at: float

    @property
    def is_fresh(self) -> bool:
        return monotonic() - self.read_at < MARKETS_TTL_S


_lock = threading.Lock()
_registry: _Registry | None = None


def market_by_symbol(text: str) -> MarketInfo:
    """The market that `text` names: its symbol, an alias (both in any case) or its UUID; raises UnknownMarket."""
    registry = _current()
    market = registry.by_name.get(text) or registry.by_name.get(text.strip().upper())
    if market is None:
        raise UnknownMarket(details={"symbol": text[:64]})
    return market


def markets_by_id() -> Mapping[int, MarketInfo]:
    """Every market by row key, in order of symbol."""
    return _current().by_id


def all_markets() -> tuple[MarketInfo, ...]:
    """Every market, in order of symbol."""
    return tuple(_current().by_id.values())


def marks_before(at: datetime, *, market_ids: Iterable[int]) -> dict[int, Decimal]:
    """The last mark of each market in a minute that closed by `at`, from its candles; a market without one is left
    out."""
    candles = Candle.objects.filter(kind=PriceKind.MARK, timeframe=BASE, open_time__lt=at).order_by("-open_time")
    newest = ((pk, candles.filter(market_id=pk).values_list("close", flat=True).first()) for pk in market_ids)
    return {pk: close for pk, close in newest if close is not None}


def forget_markets() -> None:
    """Read the list again at the next call; for those who changed it and for tests."""
    global _registry
    _registry = None


def _current() -> _Registry:
    global _registry
    known = _registry
    if known is not None and known.is_fresh:
        return known
    if not _lock.acquire(blocking=known is None) and known is not None:
        return known  # another thread is reading the list
    try:
        latest = _registry
        if latest is None or not latest.is_fresh:
            _registry = latest = _read()
        return latest
    finally:
        _lock.release()


def _read() -> _Registry:
    markets = [_info(row) for row in Market.objects.raw(*_listing())]
    names = {name: market for market in markets for name in _names_of(market)}
    return _Registry(by_name=names, by_id={market.id: market for market in markets}, read_at=monotonic())


@cache
def _listing() -> tuple[str, tuple[Any, ...]]:
    """The query with its parameters; to compile it takes longer than to run it."""
    newest = MarketRules.objects.filter(market=OuterRef("pk")).order_by("-number").values("pk")[:1]
    spellings = ArrayAgg(
        "alias_rows__spelling",
        filter=Q(alias_rows__isnull=False),
        order_by="alias_rows__spelling",
        default=Value([]),
    )
    listed = Market.objects.annotate(spellings=spellings, rules_id=Subquery(newest)).order_by("symbol")
    sql, parameters = listed.query.sql_with_params()
    return sql, tuple(parameters)


def _names_of(market: MarketInfo) -> tuple[str, ...]:
    return (*market.aliases, market.symbol, str(market.uuid), str(market.uuid).upper())


def _info(row: Market) -> MarketInfo:
    return MarketInfo(
        id=row.pk,
        rules_id=row.rules_id,  # type: ignore[attr-defined]
        uuid=row.uuid,
        venue=row.venue,
        symbol=row.symbol,
        aliases=tuple(row.spellings),  # type: ignore[attr-defined]
        name=row.name,
        base=row.base,
        quote=row.quote,
        type=row.type,
        status=row.status,
        reference_price=row.reference_price.normalize(),
        synthetic_asset_id=row.synthetic_asset_id,
        synthetic_resolution=row.synthetic_resolution,
        collateral_asset_id=row.collateral_asset_id,
        collateral_resolution=row.collateral_resolution,
        **_rules_of(row),
    )


def _rules_of(row: Market) -> dict[str, Any]:
    return {name: _trimmed(getattr(row, name)) for name in RULE_FIELDS}


def _trimmed(value: Decimal | int | None) -> Decimal | int | None:
    """Without trailing zeros, so that its exponent says the scale; `1E+1` becomes `10`."""
    if value is None or isinstance(value, int):
        return value
    value = value.normalize()
    return value.quantize(Decimal(1)) if value == value.to_integral_value() else value
