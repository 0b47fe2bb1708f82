"""Exact arithmetic: every rounding of money has a name, a direction and a reason, and lives here."""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from functools import lru_cache

SCALE = 18  # decimals of every amount column
ASSET_SCALE = 6  # decimals at which cash is booked: USD and USDT, as Extended's collateral (extended-api.md, "Asset")
ZERO = Decimal(0)
_CASH = Decimal(1).scaleb(-ASSET_SCALE)


def is_multiple(value: Decimal, *, of: Decimal) -> bool:
    """Whether `value` is a whole number of `of`; exact."""
    return value % of == 0


def floor_to_step(value: Decimal, *, step: Decimal) -> Decimal:
    """Largest multiple of `step` not above `value`; for quantities, so that nobody sells what they lack."""
    return (value / step).to_integral_value(ROUND_FLOOR) * step


def ceil_to_step(value: Decimal, *, step: Decimal) -> Decimal:
    """Smallest multiple of `step` not below `value`; for prices a buyer pays."""
    return (value / step).to_integral_value(ROUND_CEILING) * step


def ceil_cash(value: Decimal) -> Decimal:
    """Up at the asset's scale; for fees, which never round in the payer's favour."""
    return value.quantize(_CASH, ROUND_CEILING)


def floor_cash(value: Decimal) -> Decimal:
    """Down at the asset's scale; for released entry notional, free margin and funding (signed: a debt grows)."""
    return value.quantize(_CASH, ROUND_FLOOR)


def round_display(value: Decimal, *, scale: int) -> Decimal:
    """Half-even at `scale` decimals; for derived figures that are shown and never booked."""
    return value.quantize(_unit(scale), ROUND_HALF_EVEN)


@lru_cache
def _unit(scale: int) -> Decimal:
    return Decimal(1).scaleb(-scale)


def plain(value: Decimal) -> str:
    """Shortest decimal text without exponent: `1E+2` is `100`, `0.500` is `0.5`, a negative zero is `0`."""
    if not value:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
