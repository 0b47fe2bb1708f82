import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console

from trading.models import BalanceRoot
from trading.services.roots import check_roots


class Command(BaseCommand):
    help = (
        "Make the published balance roots again from the ledger and compare. Exit code 1 if one differs; it names what."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--last"""
        parser.add_argument("--last", type=int, help="only the latest so many roots")

    def handle(self, *args: Any, last: int | None = None, **options: Any) -> None:
        """Check root by root, oldest first."""
        wrong, checked = 0, 0
        roots = BalanceRoot.objects.count()
        wanted = roots if last is None else min(last, roots)
        with Console(stderr=True).status("reading the roots") as status:
            for root, findings in check_roots(last=last):
                checked += 1
                status.update(f"root {checked} of {wanted}")
                wrong += len(findings)
                for finding in findings:
                    self.stdout.write(self.style.ERROR(finding))
                if not findings:
                    self.stdout.write(f"root {root.number} of {root.at:%Y-%m-%d}, {root.accounts} accounts: ok")
        if wrong:
            self.stdout.write(self.style.ERROR(f"{wrong} findings"))
            sys.exit(1)
        self.stdout.write(self.style.SUCCESS(f"{checked} roots are what the ledger gives"))
