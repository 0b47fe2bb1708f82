"""Servers for a single command: those the environment names, those of a running demo, else embedded ones of its own."""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import environ

from astrade import embedded

BASE_DIR = Path(__file__).resolve().parents[1]
WITHOUT_SERVERS = frozenset(
    {"check", "collectstatic", "demo", "emulate", "help", "makemigrations", "spectacular", "version"}
)


@contextlib.contextmanager
def servers_for(argv: Sequence[str]) -> Iterator[None]:
    """Name, for the time of the command, the servers that the environment doesn't; production names all of its own."""
    environ.Env.read_env(BASE_DIR / ".env")
    command = argv[1] if len(argv) > 1 else "help"
    missing = embedded.missing_urls()
    in_production = os.environ.get("DJANGO_SETTINGS_MODULE") == "astrade.settings.production"
    if not missing or in_production or command in WITHOUT_SERVERS or {"-h", "--help", "--version"} & {*argv}:
        yield
        return
    home = embedded.home_of(BASE_DIR)
    try:
        if urls := embedded.running(home):
            os.environ.update({name: urls[name] for name in missing})
            yield
            return
        with embedded.servers(home, wanted=missing) as servers:
            os.environ.update(servers.urls)
            yield
    except (embedded.AlreadyRunning, embedded.ServerFailed) as exc:
        sys.exit(str(exc))
