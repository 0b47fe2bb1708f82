"""Local stand-ins for venues."""

import asyncio
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from astrade.emulators.extended.exchange import Exchange
from astrade.emulators.extended.faults import UnknownFault
from astrade.emulators.extended.server import BASE, STREAMS, move, served


class Command(BaseCommand):
    help = (
        "Runs a local stand-in for a venue until SIGTERM or Ctrl-C; its state is in memory and follows from the seed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("venue", choices=["extended"])
        parser.add_argument("--port", type=int, default=8600, help="0: a free one")
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--accounts", type=int, default=3, help="how many there are to begin with, 3 at least")
        parser.add_argument("--faults", default="", metavar="SCENARIO", help="name[:share][,name[:share]…]")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO_ALLOWED:
            raise CommandError("An emulator is for demonstration and development, not for production")
        try:
            exchange = Exchange(seed=options["seed"], faults=options["faults"], accounts=options["accounts"])
        except UnknownFault as exc:
            raise CommandError(str(exc)) from exc
        asyncio.run(self._serve(exchange, host=options["host"], port=options["port"]))

    async def _serve(self, exchange: Exchange, *, host: str, port: int) -> None:
        stop = asyncio.Event()
        for signum in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signum, stop.set)
        try:
            async with served(exchange, host=host, port=port) as url:
                self.stdout.write(
                    f"Extended, emulated: {url}{BASE} (streams: {STREAMS}; accounts: {url}/emulator/accounts)"
                )
                self.stdout.flush()
                await move(exchange, stop)
        except OSError as exc:
            raise CommandError(f"Can't listen on {host}:{port}: {exc.strerror}") from exc
