"""Prices that AsTrade publishes, taken as the exchange's own."""

from datetime import timedelta
from decimal import Decimal

import pytest

from astrade.core.clock import EPOCH, from_ms, system_clock, to_ms
from astrade.core.messages import BookSnapshot, FundingUpdate, Message, TradeTick
from astrade.core.redis import sync_client
from astrade.emulators.extended.exchange import Exchange
from astrade.emulators.published import PublishedFeed
from astrade.emulators.tests.clocks import ManualClock
from astrade.emulators.tests.harness import BTC
from marketdata.tape import Tape
from marketdata.tests.factories import quote_of
from trading.tests.conftest import forget_prices

RATE = Decimal("0.00001")
pytestmark = pytest.mark.usefixtures("no_prices_left")


@pytest.fixture
def no_prices_left():
    forget_prices()
    yield
    forget_prices()


class Publisher:
    """A feed process that publishes BTC's prices."""

    def __init__(self) -> None:
        self.tape, self.trades = Tape(BTC), 0

    def publish(self, price: str, *, traded: str | None = None) -> list[Message]:
        """Publish what it returns."""
        now, mid, messages = from_ms(to_ms(system_clock())), Decimal(price), list[Message]()
        if traded is not None:
            self.trades += 1
            messages.append(TradeTick(BTC, self.trades, "sell", Decimal(traded), Decimal("0.5"), now))
        book = BookSnapshot(BTC, int(mid), ((mid - 1, Decimal(2)),), ((mid + 1, Decimal(3)),), now)
        messages += [quote_of(BTC, price), book, FundingUpdate(BTC, RATE, EPOCH + timedelta(days=30_000))]
        for message in messages:
            self.tape.take(message, now_ms=0)
        pipe = sync_client().pipeline()
        self.tape.queue(pipe, now_ms=0)
        pipe.execute()
        self.tape.sent()
        return messages


def test_each_step_brings_what_is_new():
    publisher, feed = Publisher(), PublishedFeed([BTC, "ETH-USD"])
    assert feed.step(0) == []

    _, *prices = publisher.publish("70000", traded="69999")
    assert feed.step(0) == prices, "nobody knows when the first trade was"
    assert feed.first_prices() == {BTC: Decimal(70_000)}
    assert feed.step(0) == []

    first, *_ = publisher.publish("70005", traded="70004")
    second, quote, book, _ = publisher.publish("70010", traded="70009")
    assert feed.step(0) == [first, second, quote, book]


def test_the_exchange_trades_at_them():
    publisher, feed = Publisher(), PublishedFeed([BTC])
    publisher.publish("70000")
    feed.step(0)
    exchange = Exchange(seed=1, clock=ManualClock(), symbols=[BTC], last_prices=feed.first_prices())
    day = exchange.market(BTC).day()
    assert abs(day.high - 70_000) < 7_000, "the made-up day leads to the first price"

    publisher.publish("70020")
    exchange.take(feed.step(0))

    view = exchange.market(BTC).view
    assert (view.quote.mark, view.book.asks[0][0]) == (Decimal(70_020), Decimal(70_021))
