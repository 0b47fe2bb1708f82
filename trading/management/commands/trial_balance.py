import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console

from astrade.core.money import plain
from trading.trial_balance import trial_balance


def moment(text: str) -> datetime:
    """An ISO date or time, UTC unless it says otherwise."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ArgumentTypeError(f"{text} is no ISO date or time") from exc
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


class Command(BaseCommand):
    help = "Sum the ledger by asset and ledger account. Exit code 1 if anything is off; it names what."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--at"""
        parser.add_argument("--at", type=moment, help="what was booked before this moment (ISO, UTC); now unless said")

    def handle(self, *args: Any, at: datetime | None = None, **options: Any) -> None:
        """Sum, print, and say what is off."""
        begun = time.monotonic()
        with Console(stderr=True).status("summing the ledger"):
            balance = trial_balance(at=at)
        for holding in balance.holdings:
            self.stdout.write(
                f"{holding.asset:8} {holding.ledger_account:12} {plain(holding.amount):>40} {holding.postings:>12}"
            )
        for asset, total in balance.totals.items():
            line = f"{asset:8} {'total':12} {plain(total):>40}"
            self.stdout.write(self.style.ERROR(f"{line}  is not zero") if total else line)
        for difference in balance.differences:
            self.stdout.write(self.style.ERROR(difference))
        postings = sum(holding.postings for holding in balance.holdings)
        self.stdout.write(f"{postings} postings in {time.monotonic() - begun:.2f} s")
        if not balance.is_sound:
            sys.exit(1)
        self.stdout.write(self.style.SUCCESS("everything sums to zero, and every balance is the sum of its postings"))
