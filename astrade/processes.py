"""Child processes that don't outlive their parent, on Linux and as plain children elsewhere."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

Process = subprocess.Popen[bytes]
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def spawn(
    command: Sequence[str | Path],
    *,
    death_signal: signal.Signals = signal.SIGTERM,
    prepare: Callable[[], None] | None = None,
    env: Mapping[str, str] | None = None,
    stdin: IO[Any] | int = subprocess.DEVNULL,
    stdout: IO[Any] | int | None = None,
    stderr: IO[Any] | int | None = None,
) -> Process:
    """Start `command` in a session of its own (Ctrl-C reaches only us); it gets `death_signal` when we die.

    `prepare` runs in the child before the program, to become another user. Call from the main thread: to the
    kernel the parent is the thread that forked.
    """
    parent = os.getpid()

    def before_exec() -> None:
        if prepare:
            prepare()
        if LIBC is not None:
            LIBC.prctl(PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != parent:  # the parent died in between
                os._exit(1)

    return subprocess.Popen(
        [str(part) for part in command],
        env=None if env is None else dict(env),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=before_exec,
    )


def stop(processes: Iterable[Process], signum: signal.Signals, *, within_s: float) -> None:
    """Ask all to end and wait; whatever is left after `within_s` is killed with its whole session."""
    asked = list(processes)
    for process in asked:
        if process.poll() is None:
            process.send_signal(signum)
    deadline = time.monotonic() + within_s
    for process in asked:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def end(pids: Iterable[int], signum: signal.Signals, *, within_s: float) -> None:
    """The same for processes that aren't our children."""
    left = set(pids)
    _send(left, signum)
    _send(left, signal.SIGCONT)  # one that is halted couldn't hear it
    deadline = time.monotonic() + within_s
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = {pid for pid in left if is_alive(pid)}
    _send(left, signal.SIGKILL)


def _send(pids: Iterable[int], signum: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


def is_alive(pid: int) -> bool:
    """Whether the process exists and is more than a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def command_of(pid: int) -> str:
    """The command line of a process; empty when there is none (any more)."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def with_mark(mark: str) -> list[int]:
    """Processes, ourselves apart, whose environment holds `mark` (`NAME=value`); those of other users aren't seen."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(entry.name) != os.getpid() and mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found
