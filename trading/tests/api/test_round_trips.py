"""How often a call talks to PostgreSQL, counted on the wire: Django's query log doesn't see pipelines."""

from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from trading.tests.api.client import ORDER, RESTING, Trader
from trading.tests.conftest import Feed
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


def test_a_cancel_takes_three(trader: Trader, round_trips: Counter) -> None:
    first, second = (trader.rest().data["id"] for _ in range(2))
    trader.api.delete(f"/orders/{first}")

    assert round_trips(lambda: trader.api.delete(f"/orders/{second}")) == 3


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
    ],
)
def test_reads_ask_little(trader: Trader, round_trips: Counter, path: str, at_most: int) -> None:
    trader.api.get(path.format(trader.path))  # what a process keeps is kept now

    assert 1 <= round_trips(lambda: trader.api.get(path.format(trader.path))) <= at_most


def test_one_order_with_its_story(trader: Trader, round_trips: Counter) -> None:
    order = trader.place().data["id"]

    assert round_trips(lambda: trader.api.get(f"/orders/{order}")) <= 4
