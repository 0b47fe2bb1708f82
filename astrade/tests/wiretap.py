"""A relay in front of a local server that notes every byte sent to it."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


def nothing() -> None:
    """What is done before bytes are passed on, unless something is."""


@dataclass
class Wiretap:
    """Stands at `url`; `first` is called before anything is passed on to the server."""

    url: str
    first: Callable[[], None] = nothing
    sent: bytearray = field(default_factory=bytearray)


@contextmanager
def wiretap(url: str) -> Iterator[Wiretap]:
    """Relays to the server at `url` from a port of its own."""
    server = urlsplit(url)
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as door:
        tap = Wiretap(f"http://127.0.0.1:{door.getsockname()[1]}")

        def welcome() -> None:
            with suppress(OSError):  # the door was closed
                while True:
                    caller, _ = door.accept()
                    answerer = socket.create_connection((server.hostname, server.port))
                    for source, sink, note in ((caller, answerer, tap), (answerer, caller, None)):
                        threads.append(threading.Thread(target=relay, args=(source, sink, note)))
                        threads[-1].start()

        threads.append(threading.Thread(target=welcome))
        threads[0].start()
        try:
            yield tap
        finally:
            with suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()


def relay(source: socket.socket, sink: socket.socket, tap: Wiretap | None) -> None:
    """Everything from one end to the other, until either is closed."""
    with suppress(OSError):
        while data := source.recv(65_536):
            if tap is not None:
                tap.sent += data
                tap.first()
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    source.close()
