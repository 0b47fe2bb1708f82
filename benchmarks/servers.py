"""The servers that benchmarks use: the ones that are named, else embedded ones with data of their own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from astrade import embedded
from benchmarks.contenders import Servers
from benchmarks.processes import ROOT


@contextmanager
def servers() -> Iterator[Servers]:
    """PostgreSQL and Redis of `DATABASE_URL` and `REDIS_URL`, or started here where one isn't named."""
    wanted = embedded.missing_urls()
    if not wanted:
        yield Servers(os.environ["DATABASE_URL"], os.environ["REDIS_URL"])
        return
    with embedded.servers(embedded.home_of(ROOT) / "benchmarks", wanted=wanted) as started:
        urls = {**os.environ, **started.urls}
        yield Servers(urls["DATABASE_URL"], urls["REDIS_URL"])
