"""The process that follows markets, accounts and events: feeds in, frames out, orders filled, margin watched, game
counted. Everything in it runs under leases, so that any number of such processes may run, each with all parts or some.
"""

from collections.abc import Callable, Mapping
from typing import Any

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from prometheus_client import start_http_server

from astrade.core.memory import settle
from astrade.core.runners import Runner, RunnerFailed, supervise
from gamification.reader import game_runners
from marketdata.feeds.runner import feed_runners
from trading.account_streams import account_stream_runners
from trading.margin_watch import margin_watch_runners
from trading.matcher import matcher_runners
from trading.timekeeper import timekeeper_runners

PARTS: Mapping[str, Callable[[], list[Runner]]] = {
    "feeds": feed_runners,
    "matcher": matcher_runners,
    "margin": margin_watch_runners,
    "timekeepers": timekeeper_runners,
    "accounts": account_stream_runners,
    "game": game_runners,
}


class Command(BaseCommand):
    help = "Runs all that follows markets, accounts and events until SIGTERM; a failure ends it with status 1."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("parts", nargs="*", metavar="part", help=f"only these of {', '.join(PARTS)}")

    def handle(self, *args: Any, parts: list[str], **options: Any) -> None:
        if unknown := sorted(set(parts) - PARTS.keys()):
            raise CommandError(f"No such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
        if settings.METRICS_PORT:
            start_http_server(settings.METRICS_PORT)
        settle()
        chosen = [runner for name, make in PARTS.items() if not parts or name in parts for runner in make()]
        try:
            uvloop.run(supervise(chosen))
        except RunnerFailed as exc:
            raise CommandError(str(exc)) from exc
