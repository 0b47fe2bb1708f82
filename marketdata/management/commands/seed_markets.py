from typing import Any

from django.core.management.base import BaseCommand

from astrade.core.clock import system_clock
from marketdata.catalogue import LISTINGS
from marketdata.services import list_market


class Command(BaseCommand):
    help = "Lists the markets AsTrade knows; may be run any number of times, existing markets stay as they are."

    def handle(self, *args: Any, **options: Any) -> None:
        made = sum(created for _, created in (list_market(listing, at=system_clock()) for listing in LISTINGS))
        self.stdout.write(f"{made} markets listed, {len(LISTINGS) - made} were there")
