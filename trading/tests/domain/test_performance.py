"""Growth, risk and trade figures: by example, and against a naive reckoning."""

import statistics
from datetime import timedelta
from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.performance import (
    UNIT_MAX,
    UNIT_MIN,
    TradeSums,
    Worth,
    exposure,
    grown,
    max_drawdown,
    measured_returns,
    points,
    sharpe_ratio,
    volatility,
)
from trading.tests.factories import AT, D

HOUR = timedelta(hours=1)
ONE = D(1)
shares = st.decimals("-0.9", "3", places=6)
values = st.decimals("0.01", "1000000", places=4)
money = st.decimals("-1000000", "1000000", places=2)


def near(value: Decimal | None, expected: float) -> bool:
    """Equal but for what floats can't tell."""
    return value is not None and float(value) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("before", "after", "flow", "growth"),
    [
        ("100", "110", "0", "1.1"),
        ("100", "90", "0", "0.9"),
        ("0", "1000", "1000", "1"),  # the opening deposit is no gain
        ("0", "1100", "1000", "1.1"),
        ("100", "210", "100", "1.05"),  # money in works from the begin
        ("200", "110", "-100", "1.05"),  # money out works to the end
        ("200", "0", "-200", "1"),
        ("0", "0", "0", "1"),
        ("-5", "10", "0", "1"),  # nothing was invested
        ("-50", "55", "100", "1.1"),
    ],
)
def test_flows_are_taken_out_of_growth(before: str, after: str, flow: str, growth: str) -> None:
    assert grown(D(2), before=D(before), after=D(after), flow=D(flow)) == 2 * D(growth)


def test_a_unit_fits_its_column_and_survives_a_total_loss() -> None:
    lost = grown(ONE, before=D(100), after=D(-3), flow=D(0))

    assert lost == UNIT_MIN > 0
    assert grown(lost, before=D(100), after=D(150), flow=D(0)) == lost * D("1.5")
    assert grown(UNIT_MAX, before=D("0.000001"), after=D(10**12), flow=D(0)) == UNIT_MAX
    assert UNIT_MAX.adjusted() < 20  # numeric(60, 40)


@given(steps=st.lists(st.tuples(shares, money), min_size=1, max_size=20))
def test_growth_does_not_depend_on_when_money_comes_in(steps: list[tuple[Decimal, Decimal]]) -> None:
    """An account that gets money between steps grows as one that never does."""
    unit, equity, alone = ONE, D(1000), D(1)
    for share, flow in steps:
        came = max(flow, -equity / 2)
        invested = equity + max(came, D(0))
        after = invested * (1 + share) + min(came, D(0))
        unit, equity, alone = grown(unit, before=equity, after=after, flow=came), after, alone * (1 + share)
        if equity <= 0:
            return
    assert near(unit, float(alone))


def worth(hour: int, *, equity: str, flows: str = "0", unit: str = "1") -> Worth:
    """At an hour."""
    return Worth(at=AT + hour * HOUR, balance=D(equity), equity=D(equity), flows=D(flows), unit_value=D(unit))


def test_points_tell_pnl_from_deposits_and_what_is_bridged() -> None:
    start = worth(0, equity="100", flows="100")
    first = worth(1, equity="260", flows="250", unit="1.04")
    last = worth(3, equity="130", flows="150", unit="0.91")
    ends = [(AT + n * HOUR, AT + (n + 1) * HOUR, taken) for n, taken in enumerate((first, first, last))]

    curve = points(start, ends)

    assert [point.net_deposits for point in curve] == [150, 0, -100]
    assert [point.pnl for point in curve] == [10, 0, -30]
    assert [point.growth for point in curve] == [D("0.04"), 0, D("-0.125")]
    assert [point.bridged for point in curve] == [False, True, False]
    assert measured_returns(curve) == []
    assert measured_returns(points(start, [(AT - HOUR, AT, start), ends[0]])) == [D("0.04")]


@given(returns=st.lists(shares, min_size=2, max_size=40))
def test_volatility_and_sharpe_against_statistics(returns: list[Decimal]) -> None:
    floats = [float(value) for value in returns]
    deviation = statistics.stdev(floats)
    periods = D(365)

    assert near(volatility(returns, periods_a_year=periods), deviation * 365**0.5)
    sharpe = sharpe_ratio(returns, periods_a_year=periods)
    if len(set(returns)) == 1:
        assert sharpe is None
    else:
        assert near(sharpe, statistics.fmean(floats) / deviation * 365**0.5)


def test_what_is_not_defined_is_none() -> None:
    for returns in ([], [D("0.1")]):
        assert volatility(returns, periods_a_year=D(365)) is None
        assert sharpe_ratio(returns, periods_a_year=D(365)) is None
    assert volatility([D("0.1")] * 3, periods_a_year=D(365)) == 0
    assert sharpe_ratio([D("0.1")] * 3, periods_a_year=D(365)) is None
    assert max_drawdown([]) is None


@given(curve=st.lists(values, min_size=1, max_size=25))
def test_drawdown_is_the_worst_of_all_pairs(curve: list[Decimal]) -> None:
    falls = [(earlier - later) / earlier for earlier, later in combinations(curve, 2)]

    assert max_drawdown(curve) == max([D(0), *falls])


@given(held=st.lists(money, max_size=8), equity=money)
def test_exposure_against_sums_of_each_side(held: list[Decimal], equity: Decimal) -> None:
    longs = sum((value for value in held if value > 0), D(0))
    shorts = sum((-value for value in held if value < 0), D(0))

    now = exposure(held, equity=equity)

    assert (now.gross, now.net) == (longs + shorts, longs - shorts)
    expected = ((longs + shorts) / equity, (longs - shorts) / equity) if equity > 0 else (None, None)
    assert (now.gross_leverage, now.net_leverage) == expected


def sums_of(results: list[Decimal]) -> TradeSums:
    """As the database adds them up."""
    wins, losses = [r for r in results if r > 0], [r for r in results if r < 0]
    return TradeSums(
        count=len(results),
        wins=len(wins),
        gross_profit=sum(wins, D(0)),
        gross_loss=-sum(losses, D(0)),
        largest_loss=min(losses, default=None),
    )


@given(results=st.lists(money, max_size=30))
def test_trade_figures_against_a_naive_reckoning(results: list[Decimal]) -> None:
    sums, floats = sums_of(results), [float(result) for result in results]
    wins, losses = [r for r in floats if r > 0], [r for r in floats if r < 0]

    if not results:
        assert (sums.win_rate, sums.profit_factor, sums.expectancy) == (None, None, None)
        return
    assert near(sums.win_rate, len(wins) / len(floats))
    assert near(sums.expectancy, statistics.fmean(floats))
    assert sums.profit_factor is None if not losses else near(sums.profit_factor, sum(wins) / -sum(losses))
