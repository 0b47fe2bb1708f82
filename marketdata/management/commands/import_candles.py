from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from astrade.core.clock import system_clock
from astrade.core.errors import UnknownMarket
from marketdata.imports import NotACandleFile, Outcome, Target, import_candles
from marketdata.models import PriceKind
from marketdata.selectors import market_by_symbol
from marketdata.timeframes import TIMEFRAMES

FAULTS_SHOWN = 50


class Command(BaseCommand):
    help = (
        "Imports candles from a CSV file (open_time_ms,open,high,low,close,volume). May be interrupted and run again. "
        "Exit code 1 when a row was bad or contradicts what is stored; the other rows are stored all the same."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--market", required=True, help="symbol or alias, such as BTC-USD")
        parser.add_argument("--timeframe", required=True, choices=TIMEFRAMES)
        parser.add_argument("--type", default=PriceKind.TRADES, choices=PriceKind.values, dest="kind")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            target = Target(market_by_symbol(options["market"]), options["timeframe"], options["kind"])
            size = path.stat().st_size
            outcome = self._import(path, target, size=size)
        except UnknownMarket as exc:
            raise CommandError(f"{options['market']}: unknown market", returncode=2) from exc
        except (OSError, NotACandleFile, UnicodeDecodeError) as exc:
            raise CommandError(f"{path}: {exc}", returncode=2) from exc
        except KeyboardInterrupt as exc:
            raise CommandError("Interrupted; run the same command again to go on", returncode=130) from exc
        self._tell(outcome, target)

    def _import(self, path: Path, target: Target, *, size: int) -> Outcome:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(f"{target.market.symbol} {target.timeframe}", total=size)
            return import_candles(path, target, now=system_clock(), progress=lambda done: bar.advance(task, done))

    def _tell(self, outcome: Outcome, target: Target) -> None:
        for line, reason in outcome.faults[:FAULTS_SHOWN]:
            self.stderr.write(f"line {line}: {reason}")
        if len(outcome.faults) > FAULTS_SHOWN:
            self.stderr.write(f"… and {len(outcome.faults) - FAULTS_SHOWN} more")
        if outcome.rounded:
            step = target.market.step_size
            self.stderr.write(f"{outcome.rounded} volumes were rounded to the market's step of {step:f}")
        self.stdout.write(f"{outcome.stored} stored, {outcome.duplicates} were there, {len(outcome.faults)} refused")
        if outcome.faults:
            raise CommandError("Not every row could be stored", returncode=1)
