"""kill -9 on the way of a live order, at each named point, then restart and a quiet time: we know what the venue knows,
counted there, and nothing was done twice.
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from astrade.tests.processes.checks import DOUBLED
from astrade.tests.processes.plays import FAR
from astrade.tests.processes.points import Moment, trapped
from astrade.tests.processes.system import System, eventually
from astrade.tests.processes.test_points import finished, name_of
from astrade.tests.processes.venue import LiveTrader, Venue
from astrade.tests.processes.venue_plays import LIVE_PLAYS, LivePoint, LiveStage
from trading.verification import CHECKS

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]
FULL = bool(os.environ.get("CAMPAIGN"))
ROUNDS = range(5 if FULL else 1)
OPENINGS = {LivePoint.CONNECT, LivePoint.OPENING}
SMALL = (  # what make test has time for
    (LivePoint.PLACE, Moment.COMMITTED),
    (LivePoint.ANSWER, Moment.LOADED),
    (LivePoint.FOUND, Moment.COMMITTED),
    (LivePoint.TRADE, Moment.COMMITTED),
)
KILLS = [(point, moment) for point in LivePoint for moment in point.value.moments] if FULL else SMALL
HANGS = "accept_then_timeout"  # carried out, and never answered


@pytest.fixture(scope="module")
def venue(system: System) -> Iterator[Venue]:
    made = Venue(system.emulator_url)
    with made.http:
        yield made


@pytest.fixture(autouse=True)
def nothing_is_broken(venue: Venue) -> Iterator[None]:
    yield
    venue.switch("")


@pytest.fixture(scope="module")
def resident(system: System, venue: Venue) -> Iterator[LiveTrader]:
    """Somebody who has been connected all the time."""
    trader = LiveTrader(system, venue, number=0)
    trader.sign_up()
    trader.connect()
    yield trader
    trader.close()


@pytest.fixture
def newcomer(system: System, venue: Venue) -> Iterator[LiveTrader]:
    """Somebody who is about to connect an account on which there is a position."""
    trader = LiveTrader(system, venue, number=1)
    trader.sign_up()
    yield trader
    trader.until(trader.buy(), "filled")
    trader.settle()
    trader.disconnect()
    trader.close()


def check_all(system: System, trader: LiveTrader) -> None:
    trader.venue.switch("")
    trader.settle()
    for query in [*CHECKS.values(), *DOUBLED.values()]:
        assert system.database.execute(query.encode()).fetchall() == [], query
    assert system.rows("SELECT kind, subject, figures FROM trading_case") == []


def test_every_live_point_has_a_play(record_property: Callable[[str, object], None]) -> None:
    assert LIVE_PLAYS.keys() == set(LivePoint) and len(LivePoint) >= 15
    record_property("live points", len(LivePoint) + 2)
    record_property("kills at each", 2 * len(ROUNDS))


@pytest.mark.parametrize("round_", ROUNDS)
@pytest.mark.parametrize(("point", "moment"), KILLS, ids=name_of)
def test_a_kill_loses_and_doubles_nothing(
    system: System,
    venue: Venue,
    background: ThreadPoolExecutor,
    request: pytest.FixtureRequest,
    point: LivePoint,
    moment: Moment,
    round_: int,
) -> None:
    trader = request.getfixturevalue("newcomer" if point in OPENINGS else "resident")
    play = LIVE_PLAYS[point](LiveStage(system, venue, trader))
    next(play)
    with trapped(system, point, at=moment, account=trader.row_id or None) as trap:
        ending: Future[object] = background.submit(finished, play)
        trap.kill()
    process = point.value.process
    if process not in system.running:
        system.restart(process, leases_expire=point is not LivePoint.CATCH_UP)
    if process == "worker":
        system.let_tasks_time_out()
    ending.result()
    check_all(system, trader)


@pytest.mark.parametrize("round_", ROUNDS)
@pytest.mark.parametrize("cancels", [False, True] if FULL else [False])
def test_a_kill_while_the_venue_has_it_and_has_not_answered(
    system: System, venue: Venue, resident: LiveTrader, background: ThreadPoolExecutor, cancels: bool, round_: int
) -> None:
    resting = resident.rest(price=FAR) if cancels else None
    before = venue.open_orders(resident.keys["api_key"])
    venue.switch(HANGS)
    if resting is None:
        ending: Future[object] = background.submit(resident.rest, price=FAR)
    else:
        ending = background.submit(resident.cancel, resting)
    eventually("the venue has it", lambda: venue.open_orders(resident.keys["api_key"]) != before)
    time.sleep(0.1)  # and our process waits
    system.kill("web")
    venue.switch("")
    system.restart("web")
    ending.result()
    check_all(system, resident)
