from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from astrade.core.clock import system_clock
from marketdata.retention import expired, prune


class Command(BaseCommand):
    help = (
        "Deletes candles shorter than an hour and funding rates that are older than CANDLES_KEPT_DAYS and "
        "FUNDING_RATES_KEPT_DAYS. May be interrupted and run again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        try:
            with Progress(*columns, console=Console(stderr=True)) as bar:
                for name, rows in expired(now=system_clock()).items():
                    task = bar.add_task(name, total=rows.count())
                    deleted = prune(rows, progress=lambda done, task=task: bar.advance(task, done))  # type: ignore[misc]
                    self.stdout.write(f"{deleted} {name} deleted")
        except KeyboardInterrupt as exc:
            raise CommandError("Interrupted; run the same command again to go on", returncode=130) from exc
