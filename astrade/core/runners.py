"""Long-running asyncio work in one process: runners, and the supervisor that starts, watches and stops them."""

import asyncio
import logging
import signal
import time
from collections.abc import Sequence
from typing import Protocol

from astrade.core.metrics import gauge

logger = logging.getLogger(__name__)

HEARTBEAT_EVERY_S = 5.0
STOP_WITHIN_S = 10.0

RUNNER_UP = gauge("astrade_runner_up", "1 while the runner works", ["runner"], mode="livesum")
HEARTBEAT_AT = gauge("astrade_runners_heartbeat_seconds", "Unix time of the event loop's last beat")
LOOP_DELAY = gauge("astrade_runners_loop_delay_seconds", "How late the event loop last woke")


class Runner(Protocol):
    """Works until `stop` is set. To return early or to raise is a failure and ends the whole process."""

    name: str

    async def run(self, stop: asyncio.Event) -> None:
        """Return soon after `stop` is set, with everything written that has to be."""


class RunnerFailed(Exception):
    """A runner ended by itself; the message names it and why."""


async def supervise(runners: Sequence[Runner], *, stop: asyncio.Event | None = None) -> None:
    """Run all until SIGTERM, SIGINT or `stop`; one that ends by itself stops the others and raises RunnerFailed."""
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    tasks = {asyncio.create_task(_guarded(runner, stop), name=runner.name) for runner in runners}
    beat = asyncio.create_task(_beat())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({*tasks, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
        await _finish(tasks, beat, stopped)
    for task in tasks:
        if not task.cancelled() and (failure := task.exception()):
            raise failure


async def _guarded(runner: Runner, stop: asyncio.Event) -> None:
    RUNNER_UP.labels(runner.name).set(1)
    try:
        await runner.run(stop)
    except Exception as exc:
        logger.exception("runner_failed", extra={"runner": runner.name})
        raise RunnerFailed(f"{runner.name}: {type(exc).__name__}: {exc}") from exc
    finally:
        RUNNER_UP.labels(runner.name).set(0)
    if not stop.is_set():
        raise RunnerFailed(f"{runner.name}: ended without being asked to")


async def _beat() -> None:
    while True:
        due = time.monotonic() + HEARTBEAT_EVERY_S
        HEARTBEAT_AT.set_to_current_time()
        await asyncio.sleep(HEARTBEAT_EVERY_S)
        LOOP_DELAY.set(time.monotonic() - due)


async def _finish(tasks: set[asyncio.Task[None]], *others: asyncio.Task[object]) -> None:
    """Give the runners time to end in order, then cancel what is left."""
    if tasks:
        await asyncio.wait(tasks, timeout=STOP_WITHIN_S)
    left = [task for task in (*tasks, *others) if not task.done()]
    for task in left:
        if task in tasks:
            logger.error("runner_did_not_stop", extra={"runner": task.get_name()})
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
