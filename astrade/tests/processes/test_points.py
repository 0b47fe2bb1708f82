"""kill -9 of the real process at each named point, then restart: the same state as without, nothing lost or doubled."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from astrade.tests.processes.checks import History, check_events, check_everything, history_of
from astrade.tests.processes.client import Follower, Trader
from astrade.tests.processes.plays import PLAYS, Holders, Play, Stage
from astrade.tests.processes.points import Moment, Point, trapped
from astrade.tests.processes.system import System, eventually

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]
ACCOUNT = "SELECT id FROM trading_tradingaccount WHERE uuid = %s"
FULL = bool(os.environ.get("CAMPAIGN"))
ROUNDS = range(5 if FULL else 1)
# At each of its moments, five times; in a small run each point once, at one moment or the other.
KILLS = [
    (point, moment)
    for turn, point in enumerate(PLAYS)
    for number, moment in enumerate(point.value.moments)
    if FULL or number == turn % len(point.value.moments)
]
Outcome = tuple[object, History]


def name_of(value: Point | Moment) -> str:
    return value.name.lower()


@pytest.fixture(scope="module")
def holders(system: System) -> Iterator[Holders]:
    """Two who bought at the start and never do anything else."""
    traders = [Trader(system.base_url) for _ in range(2)]
    for trader in traders:
        trader.sign_up()
        trader.buy()
    yield Holders(traders, since=system.value("SELECT clock_timestamp()"))
    for trader in traders:
        trader.close()


@pytest.fixture
def stage(system: System, trader: Trader, holders: Holders) -> Stage:
    return Stage(system, trader, holders)


@pytest.fixture(scope="module")
def undisturbed() -> dict[Callable[[Stage], Play], Outcome]:
    """What came of a play that was played without a kill."""
    return {}


def finished(play: Play) -> object:
    """Play it from its yield to its end."""
    with pytest.raises(StopIteration) as end:
        next(play)
    return end.value.value


@pytest.fixture
def expected(
    request: pytest.FixtureRequest,
    system: System,
    new_trader: Callable[[], Trader],
    holders: Holders,
    undisturbed: dict[Callable[[Stage], Play], Outcome],
) -> Outcome:
    """What comes of the point's play when nobody is killed."""
    script = PLAYS[request.getfixturevalue("point")]
    if script not in undisturbed:
        twin = new_trader()
        twin.sign_up()
        play = script(Stage(system, twin, holders))
        next(play)
        undisturbed[script] = finished(play), history_of(system, twin)
    return undisturbed[script]


def test_every_point_but_the_sign_up_has_a_play(record_property: Callable[[str, object], None]) -> None:
    assert PLAYS.keys() == set(Point) - {Point.SIGN_UP} and len(Point) >= 15
    record_property("points", len(Point))
    record_property("kills at each", 2 * len(ROUNDS))


@pytest.mark.parametrize("round_", ROUNDS)
@pytest.mark.parametrize("moment", Point.SIGN_UP.value.moments)
def test_a_kill_in_a_sign_up(
    system: System,
    new_trader: Callable[[], Trader],
    background: ThreadPoolExecutor,
    moment: Moment,
    round_: int,
) -> None:
    trader = new_trader()
    with trapped(system, Point.SIGN_UP, at=moment) as trap:
        answer = background.submit(trader.sign_up)
        trap.kill()
    count = "SELECT count(*) FROM accounts_user WHERE email = %s"
    assert system.value(count, trader.email) == (moment is Moment.COMMITTED)
    system.restart("web")
    answer.result()
    assert trader.found_again == (moment is Moment.COMMITTED)
    (entry,) = trader.call("GET", f"/accounts/{trader.account_id}/ledger")
    assert (entry["kind"], float(entry["amount"])) == ("deposit", 10_000)
    check_everything(system)


@pytest.mark.parametrize("round_", ROUNDS)
@pytest.mark.parametrize(("point", "moment"), KILLS, ids=name_of)
def test_a_kill_changes_nothing(
    stage: Stage,
    expected: Outcome,
    follower: Follower,
    background: ThreadPoolExecutor,
    point: Point,
    moment: Moment,
    round_: int,
) -> None:
    system, play = stage.system, PLAYS[point](stage)
    next(play)
    account = None if point.value.is_task else system.value(ACCOUNT, stage.trader.account_id)
    with trapped(system, point, at=moment, account=account) as trap:
        ending: Future[object] = background.submit(finished, play)
        trap.kill()
    process = point.value.process
    if process not in system.running:
        system.restart(process)
    if process == "worker":
        system.let_tasks_time_out()
    outcome = ending.result()
    eventually("no task is left", lambda: system.tasks_left() == 0)
    check_everything(system)
    check_events(system, stage.trader, follower)
    assert outcome == expected[0]
    assert history_of(system, stage.trader) == expected[1]
