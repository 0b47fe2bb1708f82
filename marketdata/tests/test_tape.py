"""What one market publishes of its candles: the running one as it goes, each closed one once."""

import json
from decimal import Decimal
from typing import Any

from marketdata import frames, keys
from marketdata.candles import CandleSeries
from marketdata.tape import Tape
from marketdata.tests.factories import quote_of
from marketdata.timeframes import LENGTH_MS, MINUTE_MS

HOUR_MS = LENGTH_MS["1h"]
BEGIN_MS = 1_767_225_600_000  # a day begins


class Published:
    """A pipeline that only remembers the candles it was given to publish."""

    def __init__(self) -> None:
        self.candles: list[dict[str, Any]] = []

    def publish(self, channel: str, payload: bytes) -> None:
        if ":candles:" in channel:
            candle = json.loads(payload)
            assert channel.endswith(f"X-USD:{candle['timeframe']}")
            self.candles.append(candle)

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


def tick(tape: Tape, price: str, *, at_ms: int, arrives: bool = True) -> list[tuple[str, bool, str]]:
    """One quote and its publication: timeframe, whether closed, and close of each candle published, up to an hour."""
    tape.take(quote_of("X-USD", price), now_ms=at_ms)
    tape.roll(at_ms)
    pipe = Published()
    tape.queue(pipe, now_ms=at_ms)
    (tape.sent if arrives else tape.failed)()
    wanted = ("1m", "5m", "1h")
    return [(c["timeframe"], c["closed"], c["close"]) for c in pipe.candles if c["timeframe"] in wanted]


def test_a_closed_candle_is_published_once_for_each_timeframe_that_closes() -> None:
    tape = Tape("X-USD")
    running = [("1m", False), ("5m", False), ("1h", False)]
    assert [row[:2] for row in tick(tape, "5", at_ms=BEGIN_MS + 4 * MINUTE_MS)] == running
    assert tick(tape, "7", at_ms=BEGIN_MS + 4 * MINUTE_MS + 30_000) == [(*row, "7") for row in running]

    at_ms = BEGIN_MS + 5 * MINUTE_MS
    assert tick(tape, "9", at_ms=at_ms) == [
        ("1m", True, "7"),
        ("1m", False, "9"),
        ("5m", True, "7"),
        ("5m", False, "9"),
        ("1h", False, "9"),
    ]
    assert [row[:2] for row in tick(tape, "9", at_ms=at_ms + 1000)] == running


def test_a_closed_candle_that_did_not_arrive_comes_again() -> None:
    tape = Tape("X-USD")
    tick(tape, "5", at_ms=BEGIN_MS)

    assert ("1m", True, "5") in tick(tape, "6", at_ms=BEGIN_MS + MINUTE_MS, arrives=False)
    assert ("1m", True, "5") in tick(tape, "6", at_ms=BEGIN_MS + MINUTE_MS + 1000)
    assert ("1m", True, "5") not in tick(tape, "6", at_ms=BEGIN_MS + MINUTE_MS + 2000)


def test_an_hour_whose_last_minutes_had_no_price_closes_by_the_clock() -> None:
    series = CandleSeries("X-USD", "trades")
    series.add(Decimal(5), at_ms=BEGIN_MS)
    series.roll(BEGIN_MS + MINUTE_MS)
    assert "1h" not in series.previous

    series.roll(BEGIN_MS + HOUR_MS)

    assert series.previous["1h"].close == 5
    assert "4h" in series.closed_parts


class Ticks(Published):
    """The same of ticks."""

    def __init__(self) -> None:
        super().__init__()
        self.ticks: list[frames.Tick] = []

    def publish(self, channel: str, payload: bytes) -> None:
        if channel == keys.TICKS:
            self.ticks.append(frames.decode_tick(payload))


def test_a_tick_tells_how_far_each_price_went_since_the_one_before() -> None:
    """A spike of the mark between two ticks is not lost, and is told once; without news there is no tick."""
    tape, pipe = Tape("X-USD"), Ticks()
    for mark, index, last in (("100", "50", "9"), ("130", "40", "7"), ("110", "45", "8")):
        tape.take(quote_of("X-USD", "10", mark=mark, index=index, last=last), now_ms=BEGIN_MS)
    for arrives, is_new in ((False, True), (True, True), (True, False), (True, True)):
        if is_new:
            tape.take(quote_of("X-USD", "10", mark="110", index="45", last="8"), now_ms=BEGIN_MS)
        tape.queue(pipe, now_ms=BEGIN_MS)
        (tape.sent if arrives else tape.failed)()

    told = [
        tuple(str(price) for price in span or ()) for tick in pipe.ticks for span in (tick.mark, tick.index, tick.last)
    ]
    widest = [("100", "130", "110"), ("40", "50", "45"), ("7", "9", "8")]
    assert told == widest + widest + [("110", "110", "110"), ("45", "45", "45"), ("8", "8", "8")]
