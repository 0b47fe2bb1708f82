import asyncio
import logging
import os
import signal

import pytest

from astrade.core.runners import RunnerFailed, supervise


class Steady:
    """Works until it is asked to stop."""

    def __init__(self, name: str = "steady") -> None:
        self.name = name
        self.ended_in_order = False

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.ended_in_order = True


class Failing:
    name = "failing"

    async def run(self, stop: asyncio.Event) -> None:
        raise ValueError("no prices")


class Quitting:
    name = "quitting"

    async def run(self, stop: asyncio.Event) -> None:
        await asyncio.sleep(0)


async def test_all_runners_end_in_order_when_asked() -> None:
    runners, stop = [Steady("one"), Steady("two")], asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, stop.set)
    await supervise(runners, stop=stop)
    assert all(runner.ended_in_order for runner in runners)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_asks_them_to(signum: signal.Signals) -> None:
    runner = Steady()
    asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signum)
    await supervise([runner])
    assert runner.ended_in_order


async def test_a_failing_runner_stops_the_others_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    steady = Steady()
    with caplog.at_level(logging.CRITICAL), pytest.raises(RunnerFailed, match="failing: ValueError: no prices"):
        await supervise([steady, Failing()])
    assert steady.ended_in_order


async def test_a_runner_that_just_ends_has_failed() -> None:
    with pytest.raises(RunnerFailed, match="quitting: ended without being asked to"):
        await supervise([Steady(), Quitting()])
