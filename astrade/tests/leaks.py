"""Everything that leaves a running server or is kept by it, to be searched for what must not be there."""

import base64
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from celery.signals import before_task_publish, task_prerun
from django.conf import settings
from django.db import connection
from django.http import HttpRequest
from django.http.response import HttpResponse
from redis import Redis

from accounts.stark import KEY_BYTES
from astrade.core.logging import JsonFormatter

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
END = "the end of what is monitored"


class Surfaces:
    """What was seen, by where it was seen."""

    def __init__(self) -> None:
        self.seen: dict[str, bytearray] = {}

    def note(self, where: str, what: object) -> None:
        self.seen.setdefault(where, bytearray()).extend(what if isinstance(what, bytes) else str(what).encode() + b"\n")

    def note_tables(self) -> None:
        """Every row of every table as PostgreSQL writes it, bytes in hexadecimal."""
        with connection.cursor() as cursor:
            cursor.execute(TABLES)
            for (table,) in cursor.fetchall():
                with cursor.copy(f'COPY (SELECT t::text FROM "{table}" t) TO STDOUT') as rows:
                    for row in rows:
                        self.note("table", bytes(row))

    def places_of(self, secret: "int | str") -> list[str]:
        """Where a key, or a text, was seen in any of its spellings."""
        spelled = spellings(secret) if isinstance(secret, int) else [secret.encode()]
        return [
            where
            for where, what in self.seen.items()
            if any(one in what or one.lower() in bytes(what).lower() for one in spelled)
        ]


def spellings(key: int) -> list[bytes]:
    """How a key might be written: hexadecimal in any case, decimal, base64, bytes, and those as Python shows them."""
    raw = key.to_bytes(KEY_BYTES)
    short = raw.lstrip(b"\0")
    encoded = [base64.b64encode(raw), base64.urlsafe_b64encode(raw), base64.b64encode(short)]
    return [f"{key:x}".encode(), str(key).encode(), *(one.rstrip(b"=") for one in encoded), raw, repr(raw).encode()]


class Handler(logging.Handler):
    """Notes every record twice: as the server writes it, and with nothing blanked."""

    def __init__(self, surfaces: Surfaces) -> None:
        super().__init__(logging.DEBUG)
        self._surfaces, self._lines = surfaces, JsonFormatter()

    def emit(self, record: logging.LogRecord) -> None:
        self._surfaces.note("log", self._lines.format(record))
        self._surfaces.note("log", f"{record.getMessage()} {vars(record)}")


class Recorder:
    """Middleware that notes every answer; `into` is where."""

    into = Surfaces()

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        self.into.note("answer", dict(response.headers))
        self.into.note("answer", bytes(response.content))
        return response


@contextmanager
def watched(configured: Any) -> Iterator[Surfaces]:
    """Notes logs, answers, tasks and Redis commands of the block; `configured` is the settings fixture."""
    surfaces = Recorder.into = Surfaces()
    configured.MIDDLEWARE = [f"{__name__}.Recorder", *settings.MIDDLEWARE]

    def on_task(**message: Any) -> None:
        surfaces.note("task", message)

    handler, root = Handler(surfaces), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    task_prerun.connect(on_task), before_task_publish.connect(on_task)
    try:
        with monitored(surfaces):
            yield surfaces
    finally:
        task_prerun.disconnect(on_task), before_task_publish.disconnect(on_task)
        root.removeHandler(handler)
        root.setLevel(level)


@contextmanager
def monitored(surfaces: Surfaces) -> Iterator[None]:
    """Notes all commands that the server's own Redis database gets."""
    ready = threading.Event()

    def listen() -> None:
        patient = Redis.from_url(settings.REDIS_URL, socket_timeout=None)  # nothing may come for long
        with patient as listener, listener.monitor() as monitor:
            ready.set()
            own = listener.connection_pool.connection_kwargs["db"]
            while END not in (heard := monitor.next_command())["command"]:
                if heard["db"] == own:
                    surfaces.note("redis", heard["command"])

    thread = threading.Thread(target=listen)
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        with Redis.from_url(settings.REDIS_URL) as client:
            client.echo(END)
        thread.join(10)
