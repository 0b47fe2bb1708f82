"""How often a call talks to PostgreSQL, counted on the wire: Django's query log doesn't see pipelines."""

from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from marketdata.selectors import market_by_symbol
from marketdata.services import change_rules
from trading.domain.limits import HaltScope
from trading.services.halts import HaltTarget, set_halt
from trading.services.twap import run_due_slices
from trading.tests.api.client import ORDER, RESTING, Trader
from trading.tests.conftest import Feed
from trading.tests.factories import AT
from trading.tests.twaps import pass_time
from trading.tests.wire import CountingProxy

pytestmark = pytest.mark.django_db(transaction=True)
Counter = Callable[[Callable[[], object]], int]
TIMES = 3  # the list of markets is read once a second: the least of some counts is the call's own


@pytest.fixture
def round_trips(transactional_db: None) -> Iterator[Counter]:
    """Counts what a call costs on a connection that is open already."""
    settings = connection.settings_dict
    upstream = {name: settings[name] for name in ("HOST", "PORT")}
    with CountingProxy(upstream["HOST"], int(upstream["PORT"])) as proxy:
        connection.close()
        settings.update(HOST="127.0.0.1", PORT=str(proxy.port))

        def count(call: Callable[[], object]) -> int:
            before = proxy.turns
            call()
            return proxy.turns - before

        yield count
        connection.close()
        settings.update(upstream)


def least(round_trips: Counter, call: Callable[[], object]) -> int:
    """What a call that can be made again costs at the least."""
    return min(round_trips(call) for _ in range(TIMES))


@pytest.fixture
def trader(feed: Feed) -> Trader:
    """Somebody the process has met: with an order, a position and a closed one."""
    trader = Trader()
    for side in ("buy", "sell", "buy"):
        trader.place(side=side)
    trader.rest()
    return trader


def test_an_order_takes_two_turns(trader: Trader, round_trips: Counter) -> None:
    """BEGIN, lock and load together; the write and COMMIT. A statement new to the connection is prepared first."""
    calls = [
        lambda: trader.api.post("/orders", ORDER),
        lambda: trader.api.post(f"{trader.path}/orders", ORDER),
        lambda: trader.api.post("/orders", RESTING),
        lambda: trader.place(side="sell"),
        lambda: trader.place(side="buy"),
    ]
    for call in calls:
        call()

    assert [least(round_trips, call) for call in calls] == [2, 2, 2, 2, 2]


def test_limits_cost_no_turn(trader: Trader, round_trips: Counter) -> None:
    """Once the day's figures are there; reckoning them takes turns of its own, once a day."""
    change_rules(market_by_symbol("BTC-USD").id, changes={"max_position_notional": 9999}, at=AT, actor_id=None)
    set_halt(HaltTarget(HaltScope.VENUE, venue="binance"), reason="elsewhere", actor_id=None, now=AT)
    trader.api.patch(trader.path, {"max_daily_loss": "9999", "max_daily_notional": "99999"})
    for warm in (trader.place, trader.rest):
        warm()

    assert [least(round_trips, trader.place), least(round_trips, trader.rest)] == [2, 2]


def test_triggers_and_protection_cost_no_turn_more(trader: Trader, round_trips: Counter) -> None:
    """An order that waits, one that brings protection, and one that cuts it."""
    calls = [
        lambda: trader.place(type="stop", trigger_price="105"),
        lambda: trader.place(quantity="0.3", take_profit="120", stop_loss="80"),
        lambda: trader.place(side="sell", quantity="0.1"),
    ]
    for call in calls:
        call()

    assert [least(round_trips, call) for call in calls] == [2, 2, 2]


def test_a_cancel_takes_two(trader: Trader, round_trips: Counter) -> None:
    orders = iter([trader.rest().data["id"] for _ in range(TIMES + 1)])
    trader.api.delete(f"/orders/{next(orders)}")

    assert least(round_trips, lambda: trader.api.delete(f"/orders/{next(orders)}")) == 2


def test_a_replace_takes_three(trader: Trader, round_trips: Counter) -> None:
    """One more than an order: which market it is on has to be known before prices are read."""
    order = trader.rest().data["id"]
    trader.api.patch(f"/orders/{order}", {"price": "94"})

    prices, quantities = iter(("93", "92", "91")), iter(("2", "3", "4"))
    assert least(round_trips, lambda: trader.api.patch(f"/orders/{order}", {"price": next(prices)})) == 3
    path = f"{trader.path}/orders/{order}"
    assert least(round_trips, lambda: trader.api.patch(path, {"quantity": next(quantities)})) == 3


def test_cancelling_many_takes_as_little_as_cancelling_one(trader: Trader, round_trips: Counter) -> None:
    trader.api.delete("/orders")
    for _ in range(20):
        trader.rest(quantity="0.1")

    assert round_trips(lambda: trader.api.delete("/orders")) <= 3
    assert trader.api.get("/orders").data == []


@pytest.mark.parametrize(
    ("path", "at_most"),
    [
        ("/account", 1),
        ("/account/balance", 1),
        ("/account/positions", 1),
        ("/account/leverage", 1),
        ("/account/fees", 1),
        ("{}/positions", 1),
        ("/orders", 2),
        ("{}/orders", 2),
        ("/orders/history", 2),
        ("/trades", 2),
        ("/events", 2),
        ("/positions", 2),
        ("/portfolio/balance", 2),
        ("/accounts", 2),
        ("{}", 2),
        ("/account/positions/history", 2),
        ("{}/ledger", 3),
        ("/transfers", 2),
        ("/transfers?account={account}", 2),
        ("/deposits", 2),
        ("/deposits/instructions", 2),
        ("/portfolio/history", 4),
        ("/portfolio/risk", 6),
        ("{}/statement", 7),
        ("/account/positions/history?from=1&to=9999999999999", 4),
    ],
)
def test_reads_ask_little(trader: Trader, round_trips: Counter, path: str, at_most: int) -> None:
    path = path.format(trader.path, account=trader.account.uuid)
    trader.api.get(path)  # what a process keeps is kept now

    assert 1 <= least(round_trips, lambda: trader.api.get(path)) <= at_most


def test_one_order_with_its_story(trader: Trader, round_trips: Counter) -> None:
    order = trader.place().data["id"]

    assert round_trips(lambda: trader.api.get(f"/orders/{order}")) <= 4


def test_a_twap_order_costs_as_little_as_any_order(trader: Trader, round_trips: Counter) -> None:
    """Placing, pausing and cancelling; a slice takes one more to ask what is due."""
    plan = {"type": "twap", "quantity": "0.6", "twap": {"duration_s": 60, "slices": 6}}
    orders: list[str] = []

    def slice_of_one() -> None:
        assert run_due_slices(trader.account.pk) == 1

    def place_it() -> None:
        orders.append(trader.place(**plan).data["id"])

    def change(verb: str) -> None:
        assert trader.api.post(f"/orders/{orders[-1]}/{verb}").status == 200

    for call in (place_it, slice_of_one, lambda: change("pause"), lambda: change("resume")):
        call()
    place_it()
    slice_of_one()

    def next_slice() -> int:
        pass_time(10)
        return round_trips(slice_of_one)

    assert min(round_trips(place_it), round_trips(place_it)) <= 3
    trader.api.delete("/orders")
    place_it()
    slice_of_one()
    assert min(next_slice() for _ in range(3)) <= 3
    assert min(round_trips(lambda: change("pause")) for _ in range(2)) <= 3
    assert round_trips(lambda: trader.api.get(f"/orders/{orders[-1]}")) <= 5
