"""How often a call talks to PostgreSQL, counted on the wire: Django's query log doesn't see pipelines."""

from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from marketdata.selectors import market_by_symbol
from marketdata.services import change_rules
from trading.domain.limits import HaltScope
from trading.services.halts import HaltTarget, set_halt
from trading.tests.api.client import ORDER, RESTING, Trader
from trading.tests.conftest import Feed
from trading.tests.factories import AT
from trading.tests.wire import CountingProxy

pytestmark = pytest.mark.django_db(transaction=True)
Counter = Callable[[Callable[[], object]], int]


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


@pytest.fixture
def trader(feed: Feed) -> Trader:
    """Somebody the process has met: with an order, a position and a closed one."""
    trader = Trader()
    for side in ("buy", "sell", "buy"):
        trader.place(side=side)
    trader.rest()
    return trader


def test_an_order_takes_three_turns(trader: Trader, round_trips: Counter) -> None:
    """BEGIN, lock and load together; the write; COMMIT. A statement new to the connection is prepared first."""
    calls = [
        lambda: trader.api.post("/orders", ORDER),
        lambda: trader.api.post(f"{trader.path}/orders", ORDER),
        lambda: trader.api.post("/orders", RESTING),
        lambda: trader.place(side="sell"),
        lambda: trader.place(side="buy"),
    ]
    for call in calls:
        call()

    assert [round_trips(call) for call in calls] == [3, 3, 3, 3, 3]


def test_limits_cost_no_turn(trader: Trader, round_trips: Counter) -> None:
    """Once the day's figures are there; reckoning them takes turns of its own, once a day."""
    change_rules(market_by_symbol("BTC-USD").id, changes={"max_position_notional": 9999}, at=AT, actor_id=None)
    set_halt(HaltTarget(HaltScope.VENUE, venue="binance"), reason="elsewhere", actor_id=None, now=AT)
    trader.api.patch(trader.path, {"max_daily_loss": "9999", "max_daily_notional": "99999"})
    for warm in (trader.place, trader.rest):
        warm()

    assert [round_trips(trader.place), round_trips(trader.rest)] == [3, 3]


def test_triggers_and_protection_cost_no_turn_more(trader: Trader, round_trips: Counter) -> None:
    """An order that waits, one that brings protection, and one that cuts it; the list of markets is read once a second,
    so the least of three counts.
    """
    calls = [
        lambda: trader.place(type="stop", trigger_price="105"),
        lambda: trader.place(quantity="0.3", take_profit="120", stop_loss="80"),
        lambda: trader.place(side="sell", quantity="0.1"),
    ]
    for call in calls:
        call()

    assert [min(round_trips(call) for _ in range(3)) for call in calls] == [3, 3, 3]


def test_a_cancel_takes_three(trader: Trader, round_trips: Counter) -> None:
    first, second = (trader.rest().data["id"] for _ in range(2))
    trader.api.delete(f"/orders/{first}")

    assert round_trips(lambda: trader.api.delete(f"/orders/{second}")) == 3


def test_a_replace_takes_four(trader: Trader, round_trips: Counter) -> None:
    """One more than an order: which market it is on has to be known before prices are read."""
    order = trader.rest().data["id"]
    trader.api.patch(f"/orders/{order}", {"price": "94"})

    assert round_trips(lambda: trader.api.patch(f"/orders/{order}", {"price": "93"})) == 4
    assert round_trips(lambda: trader.api.patch(f"{trader.path}/orders/{order}", {"quantity": "2"})) == 4


def test_cancelling_many_takes_as_little_as_cancelling_one(trader: Trader, round_trips: Counter) -> None:
    trader.api.delete("/orders")
    for _ in range(20):
        trader.rest(quantity="0.1")

    assert round_trips(lambda: trader.api.delete("/orders")) == 3
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
        ("/portfolio/history", 4),
        ("/portfolio/risk", 6),
        ("{}/statement", 7),
        ("/account/positions/history?from=1&to=9999999999999", 4),
    ],
)
def test_reads_ask_little(trader: Trader, round_trips: Counter, path: str, at_most: int) -> None:
    trader.api.get(path.format(trader.path))  # what a process keeps is kept now

    assert 1 <= round_trips(lambda: trader.api.get(path.format(trader.path))) <= at_most


def test_one_order_with_its_story(trader: Trader, round_trips: Counter) -> None:
    order = trader.place().data["id"]

    assert round_trips(lambda: trader.api.get(f"/orders/{order}")) <= 4
