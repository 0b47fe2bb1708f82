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
from astrade.emulators.faults import UnknownFault
from astrade.emulators.feeds import RecordedFeed
from astrade.emulators.published import PublishedFeed
from astrade.emulators.serving import move
from astrade.management.emulated import VENUES, Emulated, Exchange
from marketdata.feeds.base import SteppedFeed
from marketdata.feeds.recordings import UnreadableRecording

KEPT_EVERY_S = 1.0


class Command(BaseCommand):
    help = (
        "Runs a local stand-in for a venue until SIGTERM or Ctrl-C. Its accounts follow from the seed; what becomes of "
        "them is in memory, and with --state also in a file."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("venue", choices=list(VENUES))
        parser.add_argument("--port", type=int, help="the venue's own unless given; 0: a free one")
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--accounts", type=int, default=3, help="how many there are to begin with, 3 at least")
        parser.add_argument("--faults", default="", metavar="SCENARIO", help="name[:share][,name[:share]…]")
        prices = "of its own making, or those that AsTrade publishes at REDIS_URL"
        parser.add_argument("--prices", choices=["synthetic", "published"], default="synthetic", help=prices)
        replay = "a file or folder of recorded market data, played round after round"
        parser.add_argument("--replay", type=Path, metavar="FILE", help=replay)
        state = "begin with what it holds, and write it every second and at the end"
        parser.add_argument("--state", type=Path, metavar="FILE", help=state)

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO_ALLOWED:
            raise CommandError("An emulator is for demonstration and development, not for production")
        venue = VENUES[options["venue"]]
        feed = self._feed(venue, options)
        try:
            exchange = venue.exchange(
                seed=options["seed"],
                faults=options["faults"],
                accounts=options["accounts"],
                last_prices=feed.first_prices() if feed else {},
            )
        except UnknownFault as exc:
            raise CommandError(str(exc)) from exc
        if options["state"] is not None:
            self._take_up(venue, exchange, options["state"])
        asyncio.run(self._serve(venue, exchange, feed or exchange.feed, options))

    def _feed(self, venue: Emulated, options: dict[str, Any]) -> SteppedFeed | None:
        """None for the venue's own."""
        now_us, markets = to_us(system_clock()), venue.markets()
        if options["replay"] is not None:
            if options["prices"] == "published":
                raise CommandError("Prices are either replayed or those that AsTrade publishes")
            try:
                return RecordedFeed(options["replay"], markets, now_us=now_us, seed=options["seed"])
            except (UnreadableRecording, OSError, UnicodeDecodeError) as exc:
                raise CommandError(f"--replay: {exc}") from exc
        if options["prices"] != "published":
            return None
        feed = PublishedFeed([market.symbol for market in markets])
        feed.step(now_us)
        return feed

    def _take_up(self, venue: Emulated, exchange: Exchange, file: Path) -> None:
        if not file.exists():
            return
        try:
            venue.take_up(exchange, file.read_text())
        except ValueError as exc:
            raise CommandError(f"{file} can't be read ({exc}): remove it to begin anew") from exc

    async def _serve(self, venue: Emulated, exchange: Exchange, feed: SteppedFeed, options: dict[str, Any]) -> None:
        stop = asyncio.Event()
        for signum in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signum, stop.set)
        host, port = options["host"], venue.port if options["port"] is None else options["port"]
        async with contextlib.AsyncExitStack() as stack:
            try:
                url = await stack.enter_async_context(venue.served(exchange, host=host, port=port))
            except OSError as exc:
                raise CommandError(f"Can't listen on {host}:{port}: {exc.strerror}") from exc
            self.stdout.write(venue.line.format(url=url))
            self.stdout.flush()
            await asyncio.gather(move(exchange, stop, feed=feed), _keep(venue, exchange, options["state"], stop))
        if options["state"] is not None:
            write_private(options["state"], venue.remembered(exchange))


async def _keep(venue: Emulated, exchange: Exchange, file: Path | None, stop: asyncio.Event) -> None:
    """Write down what has changed, once a second."""
    kept = exchange.changes
    while file is not None and not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), KEPT_EVERY_S)
        if exchange.changes != kept:
            kept = exchange.changes
            write_private(file, venue.remembered(exchange))
