"""An emulator in a process of its own, for checks that run on a Python without the project's packages."""

import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
STOPS_WITHIN_S = 10


@contextlib.asynccontextmanager
async def emulator(venue: str, project_python: str) -> AsyncIterator[str]:
    """The address of a venue's emulator that runs meanwhile."""
    command = [project_python, "manage.py", "emulate", venue, "--port", "0", "--seed", "7"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ})
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://" in line, "the emulator did not start"
        yield "http://" + line.split("http://")[1].split("/")[0]
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=STOPS_WITHIN_S) == 0, "the emulator did not stop cleanly"
