import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from astrade import processes
from astrade.management.supervisor import ChildFailed, Supervisor

pytestmark = pytest.mark.processes
ROOT = Path(__file__).resolve().parents[2]
SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
PARENT = """
import os, sys
from astrade.management.supervisor import Stopped, Supervisor, stopped_by_signals
try:
    with stopped_by_signals(), Supervisor(env=dict(os.environ)) as supervisor:
        child = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
        supervisor.start("child", [sys.executable, "-c", child])
        supervisor.watch()
except Stopped:
    print("stopped in order", flush=True)
"""


def supervisor_on(output: io.StringIO) -> Supervisor:
    return Supervisor(env=dict(os.environ), output=output)


def is_gone(pid: int) -> bool:
    """Whether the process ends within a moment."""
    deadline = time.monotonic() + 10
    while processes.is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not processes.is_alive(pid)


def test_lines_are_prefixed_with_the_name_of_their_process() -> None:
    output = io.StringIO()
    with supervisor_on(output) as supervisor:
        supervisor.run("step", [sys.executable, "-c", "print('one'); print('two')"])
    assert output.getvalue() == "step    | one\nstep    | two\n"


def test_a_failed_step_ends_the_set_up_with_its_status() -> None:
    with supervisor_on(io.StringIO()) as supervisor, pytest.raises(ChildFailed, match="migrate ended with status 3"):
        supervisor.run("migrate", [sys.executable, "-c", "raise SystemExit(3)"])


def test_the_first_child_that_ends_ends_all() -> None:
    with supervisor_on(io.StringIO()) as supervisor:
        supervisor.start("web", SLEEP)
        supervisor.start("worker", SLEEP)
        supervisor.watched["worker"].kill()
        with pytest.raises(ChildFailed, match="worker was killed by SIGKILL"):
            supervisor.watch()
    assert supervisor.watched["web"].returncode == -signal.SIGTERM


def test_grandchildren_go_too() -> None:
    output = io.StringIO()
    spawn = f"import subprocess, sys; p = subprocess.Popen({SLEEP!r}); print(p.pid, flush=True); p.wait()"
    with supervisor_on(output) as supervisor:
        supervisor.start("parent", [sys.executable, "-c", spawn])
        while "up" not in output.getvalue():
            time.sleep(0.02)
    pid = next(int(word) for word in output.getvalue().split() if word.isdigit())
    assert is_gone(pid)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_children_end_with_their_supervisor_however_it_ends(signum: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as output:
        child = int(output.readline().rpartition(" ")[2])
        parent.send_signal(signum)
        rest = output.read()
    status = parent.wait(30)
    assert rest == ("" if signum == signal.SIGKILL else "stopped in order\n")
    assert status == (-signal.SIGKILL if signum == signal.SIGKILL else 0)
    assert is_gone(child)


def test_marked_processes_are_found() -> None:
    mark = f"ASTRADE_SUPERVISED=/tmp/test-{os.getpid()}"
    name, _, value = mark.partition("=")
    child = processes.spawn(SLEEP, env={**os.environ, name: value}, stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout as output:
        output.readline()  # it runs its program
        assert processes.with_mark(mark) == [child.pid]
        processes.end([child.pid], signal.SIGTERM, within_s=10)
    assert child.wait(10) == -signal.SIGTERM
    assert processes.with_mark(mark) == []
