"""An account's stream, followed: what the venue tells is booked without anybody asking."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import REGISTRY

from astrade.tests.live.trader import Trader
from astrade.tests.processes.system import eventually
from trading.account_streams import AccountStreams
from trading.models import Fill, Order, TradingAccount


@contextmanager
def following() -> Iterator[None]:
    """The process's part that follows accounts, running in a loop of its own."""
    runner, stop, loop = AccountStreams(), asyncio.Event(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(runner.run(stop),))
    thread.start()
    yield
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)
    loop.close()


@pytest.fixture
def streams(trader: Trader) -> Iterator[None]:
    """Followed, and the account's stream is open."""
    with following():
        eventually("the stream is open", is_open)
        yield


def open_streams() -> float:
    """How many are."""
    return REGISTRY.get_sample_value("astrade_account_streams", {"shard": "0"}) or 0


def is_open() -> bool:
    """Whether a stream is."""
    return bool(open_streams())


def filled() -> bool:
    return Order.objects.filter(status="filled").exists()


def test_a_fill_is_booked_as_it_is_told(trader: Trader, streams: None) -> None:
    assert trader.take().status == 201

    eventually("it is filled", filled)
    assert trader.differences() == []


def test_an_order_made_elsewhere_is_adopted_as_it_is_told(trader: Trader, streams: None) -> None:
    trader.elsewhere("take")

    eventually("it is filled", filled)
    assert Order.objects.get().source == "external"
    assert trader.differences() == []


@pytest.mark.parametrize(
    "fault",
    [
        "stream_duplicate",
        "stream_reorder",
        "stream_late",
        "sequence_gap",
        "disconnect_mid_frame",
        "disconnect_before_message",
        "fill_overtakes_ack",
        "unknown_status",
    ],
)
def test_a_disturbed_stream_books_everything_once(trader: Trader, streams: None, fault: str) -> None:
    trader.venue.exchange.switch_faults(f"{fault}:0.5")
    for number in range(4):
        trader.take(client_order_id=f"s{number}", quantity="0.002")
        trader.place(client_order_id=f"r{number}", quantity="0.002")
    trader.venue.exchange.switch_faults("")
    trader.settle()

    assert trader.differences() == []
    assert Fill.objects.filter(account=trader.account).count() == len(trader.there.trades)


def test_a_key_that_the_venue_no_longer_takes_ends_the_connection(trader: Trader) -> None:
    trader.venue.exchange.switch_faults("key_revoked")

    with following():
        eventually("it is refused", lambda: TradingAccount.objects.filter(credential__state="refused").exists())
    assert trader.place().error == (401, 5001)
