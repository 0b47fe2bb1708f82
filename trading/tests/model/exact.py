"""Exact arithmetic on fractions, and the few places where the contract rounds."""

from fractions import Fraction
from math import ceil, floor

ZERO = Fraction(0)
CASH_UNITS = 10**6  # cash is booked at six decimals
SHOWN_UNITS = 10**8  # derived figures are shown at eight


def number(text: str | None) -> Fraction | None:
    """A number of a script."""
    return None if text is None else Fraction(text)


def cash_up(value: Fraction) -> Fraction:
    """As fees round."""
    return Fraction(ceil(value * CASH_UNITS), CASH_UNITS)


def cash_down(value: Fraction) -> Fraction:
    """As released entry notional and funding round."""
    return Fraction(floor(value * CASH_UNITS), CASH_UNITS)


def shown(value: Fraction) -> Fraction:
    """As figures that are never booked round: half to even."""
    return Fraction(round(value * SHOWN_UNITS), SHOWN_UNITS)


def up_to(step: Fraction, value: Fraction) -> Fraction:
    """Smallest multiple of `step` not below `value`."""
    return ceil(value / step) * step


def down_to(step: Fraction, value: Fraction) -> Fraction:
    """Largest multiple of `step` not above `value`."""
    return floor(value / step) * step


def fits(step: Fraction, value: Fraction) -> bool:
    """Whether `value` is a whole number of steps."""
    return (value / step).denominator == 1
