"""A developer's machine and the demo: as production where that costs nothing, open where it would be in the way."""

from astrade.settings.base import *

for name in ("celery.worker.strategy", "celery.app.trace", "celery.beat"):  # a line for every task drowns the rest
    LOGGING["loggers"][name] = {"level": "WARNING"}
