"""Real server processes, what they cost, and the load client beside them."""

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from astrade.processes import spawn, stop
from benchmarks.load import Plan, Result

ROOT = Path(__file__).resolve().parents[1]
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_TIMEOUT_S = 60
STOP_WITHIN_S = 15.0


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


class Server:
    """One child process that answers HTTP on `port`; its output goes to `log`."""

    def __init__(self, name: str, command: Sequence[str], *, port: int, env: Mapping[str, str], ready: str) -> None:
        self.name, self.port, self.ready = name, port, ready
        self.log = ROOT / ".astrade" / "benchmarks" / f"{name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as output:
            self.process = spawn(command, env={**os.environ, **env}, stdout=output, stderr=output)

    def wait_ready(self) -> "Server":
        """Wait for 200 on the `ready` path; raises RuntimeError with the end of the log."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            address = f"http://127.0.0.1:{self.port}{self.ready}"
            with suppress(OSError), urllib.request.urlopen(address, timeout=5):
                return self
            time.sleep(0.2)
        self.stop()
        raise RuntimeError(f"{self.name} did not start:\n{self.log.read_text()[-3000:]}")

    def cpu_s(self) -> float:
        """CPU seconds so far."""
        return cpu_seconds(self.process.pid)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that doesn't end."""
        stop([self.process], signal.SIGTERM, within_s=STOP_WITHIN_S)


def uvicorn_command(python: str, application: str, *, port: int) -> list[str]:
    """One worker on uvloop and httptools, without an access log: the same for every contender."""
    options = ["--host", "127.0.0.1", "--port", str(port), "--loop", "uvloop", "--http", "httptools"]
    return [
        python,
        "-m",
        "uvicorn",
        application,
        *options,
        "--no-access-log",
        "--no-proxy-headers",
        "--log-level",
        "warning",
    ]


def run_load(plan: Plan) -> Result:
    """Run the load client in a process of its own; raises RuntimeError when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        cwd=ROOT,
        input=json.dumps(asdict(plan)),
        capture_output=True,
        text=True,
        timeout=plan.seconds + 120,
    )
    if done.returncode:
        raise RuntimeError(f"the load client failed:\n{done.stderr[-3000:]}")
    return Result(**json.loads(done.stdout))


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest-rank percentile; NaN for no values."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """The middle value; NaN for none."""
    return statistics.median(values) if values else float("nan")


def machine() -> str:
    """Processor, cores and Python of this machine, for the head of a report."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "unknown processor")
    return f"{model}, {os.cpu_count()} cores, Python {sys.version.split()[0]}"
