"""kill -9 of web, worker, beat and streams again and again, whatever they do, while orders come in."""

import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from astrade.tests.processes.checks import check_events, check_everything, outcome_of
from astrade.tests.processes.client import ENDED, Follower, Step, Trader, perform, script_of
from astrade.tests.processes.system import System, eventually

FULL = bool(os.environ.get("CAMPAIGN"))
pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]
ROUNDS = range(5 if FULL else 1)
TRADERS, STEPS, PAUSE_S, FIRST_SEED = 2, 120 if FULL else 40, 0.12, 17


@dataclass(frozen=True, slots=True)
class Strike:
    """Which process is killed, and how long after the one before was started again."""

    victim: str
    after_s: float


def schedule_of(seed: int) -> list[Strike]:
    """Every process, web more often than the others; the first is web's, while orders come in."""
    dice = random.Random(seed)
    victims = ["web", "web", "streams", "worker", "beat"] * (3 if FULL else 1)
    dice.shuffle(victims)
    return [Strike(victim, dice.uniform(0.3, 1.2)) for victim in ["web", *victims]]


def strike_all(system: System, schedule: list[Strike]) -> None:
    for strike in schedule:
        time.sleep(strike.after_s)
        system.kill(strike.victim)
        system.restart(strike.victim, leases_expire=False)


def play(
    system: System, pool: ThreadPoolExecutor, traders: list[Trader], script: list[Step], schedule: list[Strike]
) -> None:
    """All traders follow the script while the strikes fall; done when none has an order left and all has settled, after
    strikes with nothing to help it but beat."""
    followers = [Follower(trader) for trader in traders]
    try:
        playing = [pool.submit(perform, trader, script, pause_s=PAUSE_S) for trader in traders]
        strike_all(system, schedule)
        for playing_trader in playing:
            playing_trader.result()
        eventually("every order has ended", lambda: not any(trader.open_orders() for trader in traders))
        check_everything(system, hurry=not schedule)
        for trader, follower in zip(traders, followers, strict=True):
            check_events(system, trader, follower)
    finally:
        for follower in followers:
            follower.end()


@pytest.mark.parametrize("round_", ROUNDS)
def test_kills_at_any_moment_change_nothing(
    system: System,
    new_trader: Callable[[], Trader],
    background: ThreadPoolExecutor,
    round_: int,
    record_property: Callable[[str, object], None],
) -> None:
    seed = FIRST_SEED + round_
    script, schedule = script_of(seed, steps=STEPS), schedule_of(seed)
    calm, struck = ([new_trader() for _ in range(TRADERS)] for _ in range(2))
    for trader in [*calm, *struck]:
        trader.sign_up()
    play(system, background, calm, script, [])
    play(system, background, struck, script, schedule)
    (expected,) = {tuple(outcome_of(system, trader)) for trader in calm}
    assert {tuple(outcome_of(system, trader)) for trader in struck} == {expected}
    assert {order[5] for order in expected[:-1]} <= set(ENDED) and len(expected) == STEPS + 1
    verified = system.manage("verify_ledger")
    assert verified.returncode == 0, verified.stdout
    told = {
        "killed": " ".join(strike.victim for strike in schedule),
        "orders": STEPS * TRADERS,
        "asked_again": sum(trader.asked_again for trader in struck),
        "found_again": sum(trader.found_again for trader in struck),
    }
    for name, value in told.items():
        record_property(name, value)
    print(f"\nseed {seed}: {told}")
