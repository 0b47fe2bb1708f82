"""A handful of child processes as one: their lines prefixed, the first that ends ends all, none outlives us."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from types import FrameType
from typing import NoReturn, TextIO

from astrade import processes
from astrade.processes import Process

STOP_WITHIN_S = 15.0
WATCH_EVERY_S = 0.1
COLOURS = ("36", "33", "35", "32", "34", "96")
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stopped(BaseException):
    """Somebody asked us to end; not an Exception, so that nothing on the way takes it for a fault."""


class ChildFailed(Exception):
    """A child ended that should not have; the message names it and how."""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise Stopped in the main thread at the first SIGTERM, SIGINT or SIGHUP; later ones don't disturb the end."""

    def ignore(signum: int, frame: FrameType | None) -> None:
        return None

    def stop(signum: int, frame: FrameType | None) -> NoReturn:
        for number in SIGNALS:
            signal.signal(number, ignore)  # not SIG_IGN, which children would inherit
        raise Stopped

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Supervisor:
    """Starts children with one environment and one output; use as a context manager, which stops them at its end."""

    def __init__(self, *, env: Mapping[str, str], output: TextIO = sys.stdout) -> None:
        self.env = env
        self.output = output
        self.watched: dict[str, Process] = {}
        self._owned: list[Process] = []
        self._colours = cycle(COLOURS)
        self._readers: list[threading.Thread] = []
        self._writing = threading.Lock()

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def say(self, text: str = "") -> None:
        """A line of our own."""
        with self._writing:
            print(text, file=self.output, flush=True)

    def run(self, name: str, command: Sequence[str]) -> None:
        """Run a step of the set-up to its end; raises ChildFailed unless it succeeds."""
        child = self._spawn(name, command, {})
        try:
            status = child.wait()
        finally:
            processes.stop([child], signal.SIGTERM, within_s=STOP_WITHIN_S)
            self._drain()
        if status != 0:
            raise ChildFailed(f"{name} {_ending(status)}")

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Start a child that must run until we stop it."""
        self.watched[name] = child = self._spawn(name, command, env or {})
        self._owned.append(child)

    def check(self) -> None:
        """Raise ChildFailed when a child has ended."""
        for name, child in self.watched.items():
            if (status := child.poll()) is not None:
                self._drain()
                raise ChildFailed(f"{name} {_ending(status)}")

    def watch(self) -> NoReturn:
        """Wait until a child ends, which raises ChildFailed, or a signal comes."""
        while True:
            self.check()
            time.sleep(WATCH_EVERY_S)

    def stop(self) -> None:
        """End all children in order: SIGTERM, and SIGKILL for what is left after a while."""
        processes.stop(self._owned, signal.SIGTERM, within_s=STOP_WITHIN_S)
        self._drain()

    def _spawn(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> Process:
        child = processes.spawn(command, env={**self.env, **env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        prefix = self._prefix(name)
        reader = threading.Thread(target=self._forward, args=(child, prefix), name=f"log-{name}", daemon=True)
        reader.start()
        self._readers.append(reader)
        return child

    def _prefix(self, name: str) -> str:
        text = f"{name:<8}|"
        return f"\x1b[{next(self._colours)}m{text}\x1b[0m" if self.output.isatty() else text

    def _forward(self, child: Process, prefix: str) -> None:
        assert child.stdout is not None
        with child.stdout as lines:
            for line in lines:
                self.say(f"{prefix} {line.decode(errors='replace').rstrip()}")

    def _drain(self) -> None:
        for reader in self._readers:
            reader.join(timeout=1.0)
        self._readers = [reader for reader in self._readers if reader.is_alive()]


def _ending(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"
