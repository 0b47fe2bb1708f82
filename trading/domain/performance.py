"""How an account did: growth of its units, returns, risk, and what its closed positions came to. Pure.

Figures that are not defined (no trades, no movement, nothing invested) are None, never NaN. Returns and ratios are
shares of one (0.05 is 5 %), money is in quote units.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from astrade.core.money import ZERO, round_display

ONE = Decimal(1)
UNIT_SCALE = 40
# A unit that lost everything stays above zero, so that what comes after is still measured; both ends fit their column.
UNIT_MIN, UNIT_MAX = Decimal(1).scaleb(-30), Decimal(1).scaleb(19)


def grown(unit_value: Decimal, *, before: Decimal, after: Decimal, flow: Decimal) -> Decimal:
    """The value of one unit after a step in which equity went from `before` to `after` while `flow` came in (or, when
    negative, went out).

    Time-weighted return as GIPS links it (Global Investment Performance Standards 2020, "time-weighted return"): money
    in counts from the step's begin, money out to its end. With nothing invested the unit stays as it is.
    """
    invested = before + max(flow, ZERO)
    if invested <= 0:
        return unit_value
    growth = max(ZERO, (after - min(flow, ZERO)) / invested)
    return round_display(min(max(unit_value * growth, UNIT_MIN), UNIT_MAX), scale=UNIT_SCALE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """An account at a moment: cash, equity, all money that came in less what went out, value of one unit."""

    at: datetime
    balance: Decimal
    equity: Decimal
    flows: Decimal
    unit_value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The end of an interval. `worth` was taken at `worth.at`; `bridged` if that was before the interval began, so that
    nothing is known of it and the worth before is carried on.
    """

    at: datetime
    worth: Worth
    net_deposits: Decimal
    pnl: Decimal
    growth: Decimal
    bridged: bool


def points(start: Worth, ends: Iterable[tuple[datetime, datetime, Worth]]) -> list[Point]:
    """Interval after interval from `start`; each is given by its begin, its end and the last worth until then.

    PnL is what equity gained beyond what came in: equity is net deposits and all results (DESIGN §5, 4).
    """
    made, last = [], start
    for begin, end, worth in ends:
        came = worth.flows - last.flows
        made.append(
            Point(
                at=end,
                worth=worth,
                net_deposits=came,
                pnl=worth.equity - last.equity - came,
                growth=worth.unit_value / last.unit_value - ONE,
                bridged=worth.at <= begin,
            )
        )
        last = worth
    return made


def measured_returns(curve: Sequence[Point]) -> list[Decimal]:
    """Returns of the intervals whose begin and end are both known: a bridged one would show a calm that nobody saw."""
    return [point.growth for before, point in pairwise(curve) if not (before.bridged or point.bridged)]


def volatility(returns: Sequence[Decimal], *, periods_a_year: Decimal) -> Decimal | None:
    """Sample standard deviation of the returns, a year's worth: times the root of the periods in a year (Hull, Options,
    Futures, and Other Derivatives, "Estimating volatility from historical data"). None for fewer than two.
    """
    deviation = _deviation(returns)
    return None if deviation is None else deviation * periods_a_year.sqrt()


def sharpe_ratio(returns: Sequence[Decimal], *, periods_a_year: Decimal) -> Decimal | None:
    """Mean return by its standard deviation, a year's worth, over a riskless rate of zero (Sharpe 1994, "The Sharpe
    Ratio"). None for fewer than two returns or where none differs.
    """
    deviation = _deviation(returns)
    return _mean(returns) / deviation * periods_a_year.sqrt() if deviation else None


def max_drawdown(unit_values: Iterable[Decimal]) -> Decimal | None:
    """The deepest fall from a peak before it, as a share of the peak (Magdon-Ismail and Atiya 2004, "Maximum
    Drawdown"); 0 if there is none. None without values.
    """
    peak, deepest = None, ZERO
    for value in unit_values:
        peak = value if peak is None else max(peak, value)
        deepest = max(deepest, (peak - value) / peak)
    return None if peak is None else deepest


def _mean(values: Sequence[Decimal]) -> Decimal:
    return sum(values, ZERO) / len(values)


def _deviation(values: Sequence[Decimal]) -> Decimal | None:
    if len(values) < 2:
        return None
    if min(values) == max(values):
        return ZERO
    mean = _mean(values)
    return (sum(((value - mean) ** 2 for value in values), ZERO) / (len(values) - 1)).sqrt()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Value of the open positions: all of them, longs less shorts, and both by equity."""

    gross: Decimal
    net: Decimal
    gross_leverage: Decimal | None
    net_leverage: Decimal | None


def exposure(values: Iterable[Decimal], *, equity: Decimal) -> Exposure:
    """From the signed values of positions at their marks. Leverage is exposure by equity (CESR/10-788, commitment
    method, for gross and net); None where there is no equity.
    """
    signed = list(values)
    gross, net = sum(map(abs, signed), ZERO), sum(signed, ZERO)
    has_equity = equity > 0
    return Exposure(
        gross=gross,
        net=net,
        gross_leverage=gross / equity if has_equity else None,
        net_leverage=net / equity if has_equity else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeSums:
    """Sums over closed positions by their result: realised PnL less fees, with funding."""

    count: int
    wins: int
    gross_profit: Decimal
    gross_loss: Decimal  # as a positive number
    largest_loss: Decimal | None  # the worst result below zero

    @property
    def win_rate(self) -> Decimal | None:
        """Share of positions that brought more than nothing."""
        return Decimal(self.wins) / self.count if self.count else None

    @property
    def profit_factor(self) -> Decimal | None:
        """Gross profit by gross loss (Van Tharp, Trade Your Way to Financial Freedom); None without a loss."""
        return self.gross_profit / self.gross_loss if self.gross_loss else None

    @property
    def expectancy(self) -> Decimal | None:
        """Mean result of a position: win rate times mean win less loss rate times mean loss (Van Tharp, the same)."""
        return (self.gross_profit - self.gross_loss) / self.count if self.count else None
