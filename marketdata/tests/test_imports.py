from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from astrade.core.clock import from_ms
from marketdata.imports import NotACandleFile, Outcome, Target, import_candles
from marketdata.models import Candle
from marketdata.selectors import market_by_symbol
from marketdata.tests.factories import CandleFactory, market_info

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEADER = "open_time_ms,open,high,low,close,volume\n"
ROW = "1672531200000,10,12,9,11,5\n"


def run(path: Path, text: str, symbol: str = "") -> Outcome:
    market = market_by_symbol(symbol) if symbol else market_info()
    path.write_text(text)
    seen: list[int] = []
    outcome = import_candles(path, Target(market, "5m", "trades"), now=NOW, progress=seen.append)
    assert sum(seen) == len(text.encode())
    return outcome


def test_rows_become_candles_and_longer_timeframes(tmp_path: Path) -> None:
    outcome = run(tmp_path / "f.csv", HEADER + ROW + "1672531500000,11,20,10,15,5\n")

    assert (outcome.stored, outcome.duplicates, outcome.faults) == (2, 0, [])
    hour = Candle.objects.get(timeframe="1h")
    assert (hour.open, hour.high, hour.low, hour.close, hour.volume) == (10, 20, 9, 15, 10)
    assert (hour.source, hour.is_derived) == ("import", True)


def test_an_exact_repeat_is_ignored_and_a_contradiction_reported(tmp_path: Path) -> None:
    symbol = market_info().symbol
    run(tmp_path / "f.csv", HEADER + ROW, symbol)
    again = run(tmp_path / "f.csv", HEADER + ROW + ROW + ROW.replace(",11,", ",10,"), symbol)

    assert (again.stored, again.duplicates) == (0, 2)
    assert [line for line, _ in again.faults] == [4]
    assert Candle.objects.get(timeframe="5m").close == 11


def test_a_contradiction_of_an_earlier_import_leaves_it(tmp_path: Path) -> None:
    symbol = market_info().symbol
    run(tmp_path / "f.csv", HEADER + ROW, symbol)
    other = run(tmp_path / "f.csv", HEADER + ROW.replace(",11,", ",10,"), symbol)

    assert (other.stored, [line for line, _ in other.faults]) == (0, [2])
    assert Candle.objects.get(timeframe="5m").close == 11


@pytest.mark.parametrize(
    "row",
    [
        "x,10,12,9,11,5",
        "1672531200000,10,12,9",
        "1672531200000,NaN,12,9,11,5",
        "1672531200000,10,Infinity,9,11,5",
        "1672531200000,10,12,9,1e400,5",
        "1672531200001,10,12,9,11,5",
        "1672531200000,10,9,12,11,5",
        "1672531200000,10,12,9,13,5",
        "1672531200000,10,12,0,11,5",
        "1672531200000,10,12,9,11,-5",
        "4102444800000,10,12,9,11,5",
        "999999999999999,10,12,9,11,5",
        "-300000,10,12,9,11,5",
    ],
)
def test_a_bad_row_is_named_and_the_others_stored(tmp_path: Path, row: str) -> None:
    outcome = run(tmp_path / "f.csv", f"{HEADER}{row}\n1672531500000,10,12,9,11,5\n")

    assert [line for line, _ in outcome.faults] == [2]
    assert outcome.stored == Candle.objects.filter(timeframe="5m").count() == 1


def test_float_noise_is_rounded_to_the_step_and_counted(tmp_path: Path) -> None:
    outcome = run(tmp_path / "f.csv", HEADER + ROW.replace(",5\n", ",0.031035000000000004\n"))

    assert outcome.rounded == 1
    assert Candle.objects.get(timeframe="5m").volume == Decimal("0.03104")


def test_an_import_replaces_what_was_made_up(tmp_path: Path) -> None:
    market = market_info()
    CandleFactory(
        market=None,
        market_id=market.id,
        timeframe="5m",
        open_time=from_ms(1672531200000),
        source="synthetic",
        close=100,
    )
    outcome = run(tmp_path / "f.csv", HEADER + ROW, market.symbol)

    assert outcome.stored == 1
    assert Candle.objects.get(timeframe="5m").close == 11


def test_a_file_without_the_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotACandleFile):
        run(tmp_path / "f.csv", "a,b\n1,2\n")


def test_the_command_speaks_by_its_exit_code(tmp_path: Path) -> None:
    symbol, path, out = market_info().symbol, tmp_path / "f.csv", StringIO()
    path.write_text(HEADER + ROW + "broken\n")
    with pytest.raises(CommandError) as refused:
        call_command("import_candles", path, market=symbol, timeframe="5m", stdout=out, stderr=StringIO())
    assert refused.value.returncode == 1
    assert "1 stored, 0 were there, 1 refused" in out.getvalue()

    path.write_text(HEADER + ROW)
    call_command("import_candles", path, market=symbol, timeframe="5m", stdout=out, stderr=StringIO())
    assert "0 stored, 1 were there, 0 refused" in out.getvalue()

    for wrong in ({"market": "NOPE"}, {"file": tmp_path / "none.csv"}):
        options = {"file": path, "market": symbol} | wrong
        with pytest.raises(CommandError) as unusable:
            call_command("import_candles", options["file"], market=options["market"], timeframe="5m", stderr=StringIO())
        assert unusable.value.returncode == 2


@pytest.mark.parametrize(("name", "rows"), [("btcusdt-5m-2023-01.csv", 10_999), ("xrpusdt-perp-5m-2021-11.csv", 1_999)])
def test_recorded_candles_import_and_import_again(recorded: Path, name: str, rows: int) -> None:
    target = Target(market_info(), "5m", "trades")
    first, second = (import_candles(recorded / name, target, now=NOW, progress=lambda _: None) for _ in range(2))

    assert (first.stored, first.duplicates, first.faults) == (rows, 0, [])
    assert (second.stored, second.duplicates, second.faults) == (0, rows, [])
    assert Candle.objects.filter(timeframe="5m", is_derived=False).count() == rows
