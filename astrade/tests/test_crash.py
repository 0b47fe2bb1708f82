"""kill -9 of web, worker, beat and streams, then restart: the same state as without, nothing lost or doubled."""

import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings

from astrade.tests.crash_checks import SWEEP, check_events, check_everything, outcome_of
from astrade.tests.crash_client import ENDED, Follower, Step, Trader, perform, script_of
from astrade.tests.crash_points import Point, set_traps, trapped
from astrade.tests.crash_system import LOW, SOON_S, System, eventually, whole_system

FULL = bool(os.environ.get("CAMPAIGN"))
pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]
ROUNDS = range(5 if FULL else 1)
TRADERS, STEPS, PAUSE_S, FIRST_SEED = 2, 120 if FULL else 40, 0.12, 17
SNAPSHOTS = "trading.tasks.take_equity_snapshots"
XP_OF = """
SELECT coalesce(sum(x.amount), 0), count(*) FROM gamification_xpentry x
JOIN trading_tradingaccount a ON a.user_id = x.user_id WHERE a.uuid = %s
"""
TRADES_OF = """
SELECT u.total_trades FROM accounts_user u JOIN trading_tradingaccount a ON a.user_id = u.id WHERE a.uuid = %s
"""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Everything runs, with traps that nothing falls into until they are set."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    name = f"{settings.DATABASES['default']['NAME']}_crash{worker}"
    home = tmp_path_factory.mktemp("crash")
    with whole_system(home, database_url=os.environ["DATABASE_URL"], database_name=name) as running:
        set_traps(running.database)
        yield running


@pytest.fixture(autouse=True)
def everything_runs(system: System) -> Iterator[None]:
    """A test that fails between kill and restart doesn't fail those after it."""
    yield
    for name in system.commands.keys() - system.running.keys():
        system.restart(name)


@pytest.fixture(params=ROUNDS, autouse=True)
def round_(request: pytest.FixtureRequest) -> int:
    """Everything happens once in a small run, several times in a campaign."""
    return int(request.param)


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2 * TRADERS) as pool:
        yield pool


@pytest.fixture
def new_trader(system: System) -> Iterator[Callable[[], Trader]]:
    traders: list[Trader] = []

    def make() -> Trader:
        traders.append(Trader(system.base_url))
        return traders[-1]

    yield make
    for trader in traders:
        trader.close()


@pytest.fixture
def trader(new_trader: Callable[[], Trader]) -> Trader:
    """Somebody with an account."""
    trader = new_trader()
    trader.sign_up()
    return trader


@pytest.fixture
def follower(trader: Trader) -> Iterator[Follower]:
    follower = Follower(trader)
    yield follower
    follower.end()


points = pytest.mark.parametrize("point", Point, ids=lambda point: point.name.lower())


@points
def test_web_is_killed_in_an_order(
    system: System, trader: Trader, follower: Follower, background: ThreadPoolExecutor, point: Point
) -> None:
    with trapped(system, "web", on="trading_event", at=point) as trap:
        answer: Future[Any] = background.submit(trader.buy)
        trap.kill()
    count = (
        "SELECT count(*) FROM trading_order o JOIN trading_tradingaccount a ON a.id = o.account_id WHERE a.uuid = %s"
    )
    assert system.value(count, trader.account_id) == (point is Point.AFTER_COMMIT)
    system.restart("web")
    order = answer.result()
    assert (order["status"], order["number"]) == ("filled", 1)
    assert trader.found_again == (point is Point.AFTER_COMMIT)
    assert [row["id"] for row in trader.call("GET", f"/accounts/{trader.account_id}/orders")] == [order["id"]]
    check_everything(system)
    check_events(system, trader, follower)


@points
def test_web_is_killed_in_a_cancel(
    system: System, trader: Trader, follower: Follower, background: ThreadPoolExecutor, point: Point
) -> None:
    order = trader.rest(price=LOW - 2000)
    with trapped(system, "web", on="trading_event", at=point) as trap:
        answer = background.submit(trader.cancel, order)
        trap.kill()
    status = "SELECT status FROM trading_order WHERE uuid = %s"
    assert system.value(status, order["id"]) == ("cancelled" if point is Point.AFTER_COMMIT else "open")
    system.restart("web")
    answer.result()
    moves = [move["to"] for move in trader.order(order)["transitions"]]
    assert moves == ["open", "cancelled"]
    check_everything(system)
    check_events(system, trader, follower)


@points
def test_web_is_killed_in_a_sign_up(
    system: System, new_trader: Callable[[], Trader], background: ThreadPoolExecutor, point: Point
) -> None:
    trader = new_trader()
    with trapped(system, "web", on="trading_event", at=point) as trap:
        answer = background.submit(trader.sign_up)
        trap.kill()
    count = "SELECT count(*) FROM accounts_user WHERE email = %s"
    assert system.value(count, trader.email) == (point is Point.AFTER_COMMIT)
    system.restart("web")
    answer.result()
    assert trader.found_again == (point is Point.AFTER_COMMIT)
    (entry,) = trader.call("GET", f"/accounts/{trader.account_id}/ledger")
    assert (entry["kind"], float(entry["amount"])) == ("deposit", 10_000)
    check_everything(system)


@points
def test_the_matcher_is_killed_in_a_fill(system: System, trader: Trader, follower: Follower, point: Point) -> None:
    with trapped(system, "streams", on="trading_event", at=point) as trap:
        order = trader.rest(price=LOW + 50)
        trap.kill()
    status = "SELECT status FROM trading_order WHERE uuid = %s"
    assert system.value(status, order["id"]) == ("filled" if point is Point.AFTER_COMMIT else "open")
    system.restart("streams")
    eventually("the order is filled", lambda: trader.order(order)["status"] == "filled")
    (fill,) = trader.order(order)["fills"]
    assert fill["quantity"] == order["quantity"]
    check_everything(system)
    check_events(system, trader, follower)


@points
def test_the_game_is_killed_in_an_award(system: System, trader: Trader, point: Point) -> None:
    with trapped(system, "streams", on="trading_readerposition:game", at=point) as trap:
        trader.buy()
        trap.await_catch()
        assert system.rows(XP_OF, trader.account_id) == [(0, 0)]
        trap.kill()
    system.restart("streams")
    eventually("the award is there", lambda: system.rows(XP_OF, trader.account_id) == [(20, 1)])
    check_everything(system)


@points
def test_the_worker_is_killed_in_the_totals(system: System, trader: Trader, point: Point) -> None:
    with trapped(system, "worker", on="trading_readerposition:totals", at=point) as trap:
        trader.buy()
        system.send_task(SWEEP)
        trap.await_catch()
        assert system.value(TRADES_OF, trader.account_id) == 0
        trap.kill()
    system.restart("worker")
    system.let_tasks_time_out()
    eventually("the trade is counted", lambda: system.value(TRADES_OF, trader.account_id) == 1)
    eventually("no task is left", lambda: system.tasks_left() == 0)
    check_everything(system)


def test_a_task_is_killed_in_the_equity_snapshots(system: System, trader: Trader) -> None:
    system.database.execute("TRUNCATE trading_equitysnapshot")
    with trapped(system, "worker", on="trading_equitysnapshot", at=Point.BEFORE_COMMIT) as trap:
        system.send_task(SNAPSHOTS)
        trap.await_catch()
        system.kill_children("worker")
    missing = """
        SELECT a.id FROM trading_tradingaccount a LEFT JOIN trading_equitysnapshot s ON s.account_id = a.id
        GROUP BY 1 HAVING count(s.id) <> count(DISTINCT s.at) OR count(s.id) = 0"""
    eventually("every account has its snapshot, and once", lambda: not system.rows(missing), within_s=SOON_S)
    eventually("no task is left", lambda: system.tasks_left() == 0)
    check_everything(system)


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
