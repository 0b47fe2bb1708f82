"""Local stand-ins for venues."""

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from astrade.core.clock import system_clock, to_us
from astrade.core.files import write_private
from astrade.emulators.extended import memory
from astrade.emulators.extended.exchange import Exchange
from astrade.emulators.extended.faults import UnknownFault
from astrade.emulators.extended.markets import instruments
from astrade.emulators.extended.published import PublishedFeed
from astrade.emulators.extended.server import BASE, STREAMS, move, served

KEPT_EVERY_S = 1.0


class Command(BaseCommand):
    help = (
        "Runs a local stand-in for a venue until SIGTERM or Ctrl-C. Its accounts follow from the seed; what becomes of "
        "them is in memory, and with --state also in a file."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("venue", choices=["extended"])
        parser.add_argument("--port", type=int, default=8600, help="0: a free one")
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--accounts", type=int, default=3, help="how many there are to begin with, 3 at least")
        parser.add_argument("--faults", default="", metavar="SCENARIO", help="name[:share][,name[:share]…]")
        prices = "of its own making, or those that AsTrade publishes at REDIS_URL"
        parser.add_argument("--prices", choices=["synthetic", "published"], default="synthetic", help=prices)
        state = "begin with what it holds, and write it every second and at the end"
        parser.add_argument("--state", type=Path, metavar="FILE", help=state)

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO_ALLOWED:
            raise CommandError("An emulator is for demonstration and development, not for production")
        feed = PublishedFeed(list(instruments())) if options["prices"] == "published" else None
        if feed is not None:
            feed.step(to_us(system_clock()))
        try:
            exchange = Exchange(
                seed=options["seed"],
                faults=options["faults"],
                accounts=options["accounts"],
                last_prices=feed.first_prices() if feed else {},
            )
        except UnknownFault as exc:
            raise CommandError(str(exc)) from exc
        if options["state"] is not None:
            self._take_up(exchange, options["state"])
        asyncio.run(self._serve(exchange, feed, options))

    def _take_up(self, exchange: Exchange, file: Path) -> None:
        if not file.exists():
            return
        try:
            memory.take_up(exchange, file.read_text())
        except ValueError as exc:
            raise CommandError(f"{file} can't be read ({exc}): remove it to begin anew") from exc

    async def _serve(self, exchange: Exchange, feed: PublishedFeed | None, options: dict[str, Any]) -> None:
        stop = asyncio.Event()
        for signum in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signum, stop.set)
        host, port = options["host"], options["port"]
        async with contextlib.AsyncExitStack() as stack:
            try:
                url = await stack.enter_async_context(served(exchange, host=host, port=port))
            except OSError as exc:
                raise CommandError(f"Can't listen on {host}:{port}: {exc.strerror}") from exc
            self.stdout.write(
                f"Extended, emulated: {url}{BASE} (streams: {STREAMS}; accounts: {url}/emulator/accounts)"
            )
            self.stdout.flush()
            await asyncio.gather(move(exchange, stop, feed=feed), _keep(exchange, options["state"], stop))
        if options["state"] is not None:
            write_private(options["state"], memory.remembered(exchange))


async def _keep(exchange: Exchange, file: Path | None, stop: asyncio.Event) -> None:
    """Write down what has changed, once a second."""
    kept = exchange.changes
    while file is not None and not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), KEPT_EVERY_S)
        if exchange.changes != kept:
            kept = exchange.changes
            write_private(file, memory.remembered(exchange))
