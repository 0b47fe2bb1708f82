import sys
import time
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction
from rich.console import Console

from trading.verification import CHECKS, posting_count, verify_ledger


class Command(BaseCommand):
    help = "Check the ledger: hashes, chains, sums and balances. Exit code 1 if anything is wrong; it names what."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run every check on one snapshot and print what it finds."""
        console, wrong, begun = Console(stderr=True), 0, time.monotonic()
        with transaction.atomic(), console.status("reading the ledger") as status:
            checks = verify_ledger()
            for done in range(len(CHECKS)):
                status.update(f"check {done + 1} of {len(CHECKS)}: {list(CHECKS)[done]}")
                name, findings = next(checks)
                wrong += len(findings)
                for finding in findings:
                    self.stdout.write(self.style.ERROR(f"{name}: {finding.where}"))
                if not findings:
                    self.stdout.write(f"{name}: ok")
            postings = posting_count()
        elapsed = time.monotonic() - begun
        self.stdout.write(f"{postings} postings in {elapsed:.2f} s")
        if wrong:
            self.stdout.write(self.style.ERROR(f"{wrong} findings"))
            sys.exit(1)
        self.stdout.write(self.style.SUCCESS("the ledger is whole"))
