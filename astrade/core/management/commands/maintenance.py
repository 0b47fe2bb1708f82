from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from astrade.core import maintenance


class Command(BaseCommand):
    help = (
        "Begin or end maintenance: writes are answered 503, reads and cancels go on. Takes effect within two seconds."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`on`, `off` or `status`."""
        parser.add_argument("state", choices=["on", "off", "status"])

    def handle(self, *args: Any, state: str, **options: Any) -> None:
        """Switch, or tell."""
        if state != "status":
            maintenance.switch(state == "on")
        self.stdout.write("on" if maintenance.is_on() else "off")
