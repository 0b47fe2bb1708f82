from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.db.models import QuerySet
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trading.models import TradingAccount
from trading.replaying import replay_fills
from trading.verification import one_snapshot

SHOWN_AT_MOST = 50  # differences of one account


class Command(BaseCommand):
    help = (
        "Decide every fill of a practice account again, from its order, seed, book state and fee rates, and compare. "
        "Changes nothing. Exit code 1 when anything differs; it names what."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--account", type=UUID, help="the account's id")
        which.add_argument("--all", action="store_true", help="every practice account")

    def handle(self, *args: Any, **options: Any) -> None:
        """Replay account after account."""
        accounts = TradingAccount.objects.filter(venue=TradingAccount.Venue.PRACTICE)
        if options["account"]:
            accounts = accounts.filter(uuid=options["account"])
            if not accounts.exists():
                raise CommandError(f"{options['account']}: no practice account", returncode=2)
        fills, wrong = self._replay(accounts)
        self.stdout.write(f"{fills} fills computed again")
        if wrong:
            raise CommandError(f"{wrong} differences", returncode=1)
        self.stdout.write(self.style.SUCCESS("every fill is what it has to be"))

    def _replay(self, accounts: QuerySet[TradingAccount]) -> tuple[int, int]:
        fills = wrong = 0
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            for account_id in accounts.order_by("id").values_list("pk", flat=True):
                with transaction.atomic():
                    one_snapshot()
                    account = TradingAccount.objects.get(pk=account_id)
                    task = bar.add_task(str(account.uuid), total=account.fill_count)
                    found = 0
                    for differences in replay_fills(account):
                        bar.advance(task)
                        for difference in differences:
                            found += 1
                            if found <= SHOWN_AT_MOST:
                                self.stdout.write(self.style.ERROR(f"account {account.uuid} {difference}"))
                fills, wrong = fills + account.fill_count, wrong + found
                bar.remove_task(task)
        return fills, wrong
