"""The process that follows markets and events: feeds in, frames out, orders filled, margin watched, game counted."""

from typing import Any

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from prometheus_client import start_http_server

from astrade.core.memory import settle
from astrade.core.runners import RunnerFailed, supervise
from gamification.reader import game_runners
from marketdata.feeds.runner import feed_runners
from trading.account_streams import account_stream_runners
from trading.margin_watch import margin_watch_runners
from trading.matcher import matcher_runners
from trading.timekeeper import timekeeper_runners


class Command(BaseCommand):
    help = "Runs feeds, matcher, margin watch and game until SIGTERM or Ctrl-C; a failure ends it with status 1."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.METRICS_PORT:
            start_http_server(settings.METRICS_PORT)
        settle()
        try:
            uvloop.run(
                supervise(
                    [
                        *feed_runners(),
                        *matcher_runners(),
                        *margin_watch_runners(),
                        *timekeeper_runners(),
                        *account_stream_runners(),
                        *game_runners(),
                    ]
                )
            )
        except RunnerFailed as exc:
            raise CommandError(str(exc)) from exc
