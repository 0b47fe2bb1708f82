"""Processes of ours that begin with everything imported, as a parent forks them which has imported it once.

    nursery = Nursery(env=…, log=path)
    pid = nursery.fork([sys.executable, "-m", "celery", …], env=…, log=path)
    nursery.close()

Most of a process's start is imports, and tests of kills start dozens. What is forked is otherwise like any other: the
leader of a session of its own, with its own log and connections, and it dies with the parent, which dies with us.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import django

from astrade import processes

LOADED = (
    "astrade.asgi",
    "astrade.urls",
    "astrade.celery",
    "astrade.management.commands.emulate",
    "astrade.management.commands.streams",
    "celery.bin.celery",
    "celery.apps.worker",
    "celery.apps.beat",
    "celery.concurrency.prefork",
    "uvicorn.__main__",
)


class Nursery:
    """The parent, seen by whoever has it fork; `env` is that of the children too, but for what they are given."""

    def __init__(self, *, env: Mapping[str, str], log: Path) -> None:
        command = [sys.executable, "-m", __name__]
        with log.open("ab") as errors:
            self._parent = processes.spawn(
                command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )

    def fork(self, command: Sequence[str], *, env: Mapping[str, str], log: Path) -> int:
        """Begin `command` (`python -m module …` or `python file …`) with `env` added; returns its process id."""
        stdin, stdout = self._parent.stdin, self._parent.stdout
        assert stdin and stdout
        stdin.write(json.dumps({"command": command[1:], "env": env, "log": str(log)}).encode() + b"\n")
        stdin.flush()
        return int(stdout.readline())

    def close(self) -> None:
        """End the parent, and with it whatever it forked."""
        with self._parent:  # closes its input, which it takes for the end, and waits
            pass


def main() -> None:
    """Fork for each line of the input; in a child, be what the line says."""
    django.setup()
    for name in LOADED:
        import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them: they leave no zombies
    parent = os.getpid()
    while line := sys.stdin.readline():
        assert threading.active_count() == 1, "a thread would be missing in the child"
        pid = os.fork()
        if not pid:
            be(json.loads(line), parent=parent)
            return
        print(pid, flush=True)


def be(child: dict[str, Any], *, parent: int) -> None:
    """Become the child and run to its end."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if processes.LIBC is not None:
        processes.LIBC.prctl(processes.PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died in between
            return
    log = os.open(child["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.update(child["env"])
    match child["command"]:
        case ["-m", module, *arguments]:
            sys.argv = [module, *arguments]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case [file, *_] as arguments:
            sys.argv = arguments
            runpy.run_path(file, run_name="__main__")


if __name__ == "__main__":
    main()
