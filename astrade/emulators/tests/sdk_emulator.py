"""Servers of ours in processes of their own, for checks that run on a Python without the project's packages."""

import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
STOPS_WITHIN_S = 30


@contextlib.asynccontextmanager
async def served(project_python: str, *command: str) -> AsyncIterator[str]:
    """The address that a server prints once it listens, and that it has meanwhile."""
    process = subprocess.Popen(
        [project_python, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://" in line, "the server did not start"
        yield "http://" + line.split("http://")[1].split("/")[0].strip()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=STOPS_WITHIN_S) == 0, "the server did not stop cleanly"


@contextlib.asynccontextmanager
async def emulator(venue: str, project_python: str) -> AsyncIterator[str]:
    """The address of a venue's emulator that runs meanwhile."""
    async with served(project_python, "manage.py", "emulate", venue, "--port", "0", "--seed", "7") as base:
        yield base
