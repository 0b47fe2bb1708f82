"""Running candles equal what brute force makes of all prices."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from marketdata.candles import Bar, CandleSeries, first_bar
from marketdata.day import DayWindow
from marketdata.timeframes import DAY_MS, LENGTH_MS, MINUTE_MS, PART_OF, TIMEFRAMES, open_time_ms

START_MS = 1_767_225_600_000 - 3 * MINUTE_MS  # three minutes before a day begins
TICKS = st.lists(st.tuples(st.integers(0, 400_000), st.integers(1, 50)), min_size=1, max_size=60)


def brute(points: list[tuple[int, Decimal]], timeframe: str) -> dict[int, tuple[Decimal, ...]]:
    bars: dict[int, list[Decimal]] = {}
    for at_ms, price in points:
        bars.setdefault(open_time_ms(at_ms, timeframe=timeframe), []).append(price)
    return {at: (p[0], max(p), min(p), p[-1], Decimal(len(p))) for at, p in bars.items()}


def figures(bar: Bar) -> tuple[Decimal, ...]:
    return (bar.open, bar.high, bar.low, bar.close, bar.volume)


@given(TICKS)
def test_every_timeframe_equals_brute_force(ticks: list[tuple[int, int]]) -> None:
    at_ms, points, series = START_MS, list[tuple[int, Decimal]](), CandleSeries("X-USD", "trades")
    minutes: list[Bar] = []
    for pause_ms, price in ticks:
        at_ms += pause_ms
        points.append((at_ms, Decimal(price)))
        minutes += series.add(Decimal(price), at_ms=at_ms, quantity=Decimal(1), trades=1)

    assert {bar.open_ms: figures(bar) for bar in [*minutes, series.minute] if bar} == brute(points, "1m")
    for timeframe in TIMEFRAMES:
        running = series.running(timeframe)
        assert running is not None
        assert figures(running) == brute(points, timeframe)[running.open_ms]
        assert running.trades == running.volume


def test_a_minute_closes_by_the_clock_alone() -> None:
    series = CandleSeries("X-USD", "mark")
    series.add(Decimal(5), at_ms=START_MS)

    assert series.roll(START_MS + MINUTE_MS - 1) == []
    assert series.roll(START_MS + MINUTE_MS) == [first_bar(Decimal(5), open_ms=START_MS)]
    assert series.running("1m") is None


def test_every_timeframe_is_whole_parts_of_another() -> None:
    for longer, part in PART_OF.items():
        assert LENGTH_MS[longer] % LENGTH_MS[part] == 0
        begin = open_time_ms(START_MS, timeframe=longer)
        assert open_time_ms(begin, timeframe=part) == begin


def test_weeks_begin_on_monday() -> None:
    monday_ms = 1_768_176_000_000  # 2026-01-12
    assert open_time_ms(monday_ms + 6 * DAY_MS, timeframe="1w") == monday_ms
    assert open_time_ms(monday_ms - 1, timeframe="1w") == monday_ms - 7 * DAY_MS


def flat_bar(open_ms: int, *, price: Decimal, volume: Decimal) -> Bar:
    return Bar(open_ms, price, price, price, price, volume, 1)


def test_day_figures_hold_24_hours() -> None:
    day = DayWindow()
    for number, price in enumerate((100, 50, 110)):
        day.add(flat_bar(number * DAY_MS // 2, price=Decimal(price), volume=Decimal(2)))

    shown = day.figures(flat_bar(DAY_MS + MINUTE_MS, price=Decimal(75), volume=Decimal(1)))

    assert shown == {
        "change_24h": "0.5",  # from 50 to 75
        "high_24h": "110",
        "low_24h": "50",
        "volume_24h": "5",
        "open_interest": None,
    }


def test_without_prices_there_are_no_day_figures() -> None:
    assert set(DayWindow().figures(None).values()) == {None}
