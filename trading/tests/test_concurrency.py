"""Real threads on real rows: what a lock or a constraint holds when everybody comes at once."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection

from accounts.tests.factories import UserFactory
from astrade.core.errors import AstradeError
from marketdata import live
from marketdata.selectors import markets_by_id
from trading.domain.lifecycle import Side
from trading.domain.margin import Board, summarise
from trading.loading import OrderRef, read_account
from trading.models import (
    CashBalance,
    Event,
    Fill,
    JournalEntry,
    Order,
    OrderRefusal,
    Position,
    Posting,
    TradingAccount,
)
from trading.services.bookings import booking
from trading.services.orders import cancel_order, cancel_orders, fill_resting_order
from trading.services.positions import close_position
from trading.tests.conftest import Feed
from trading.tests.factories import D, open_account, place, ref
from trading.verification import CHECKS, run_check

pytestmark = pytest.mark.django_db(transaction=True)
TOGETHER = 20
Outcome = Any


def at_once(*calls: Callable[[], Any]) -> list[Outcome]:
    """What each call returned or refused with; all begin together, each on a connection of its own."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Outcome:
        connection.ensure_connection()
        barrier.wait(30)
        try:
            return call()
        except AstradeError as refusal:
            return refusal.code
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def assert_whole(account: TradingAccount) -> None:
    """Counters without a gap, postings that sum, positions that are their fills: every check of `verify_ledger`."""
    account.refresh_from_db()
    sequences = list(Event.objects.filter(account=account).order_by("sequence").values_list("sequence", flat=True))
    assert sequences == list(range(1, account.sequence + 1))
    for table, count in ((Order, account.order_count), (Fill, account.fill_count), (JournalEntry, account.entry_count)):
        numbers = table.objects.filter(account=account).order_by("number").values_list("number", flat=True)
        assert list(numbers) == list(range(1, count + 1))
    assert [finding for name in CHECKS for finding in run_check(name)] == []


def test_twenty_posts_of_one_client_order_id_are_one_order(feed: Feed) -> None:
    account = open_account()

    placed = at_once(*[lambda: place(account, "1", client_order_id="once")] * TOGETHER)

    assert len({outcome.body["id"] for outcome in placed}) == 1
    assert Counter(outcome.replayed for outcome in placed) == {True: TOGETHER - 1, False: 1}
    assert (Order.objects.count(), Fill.objects.count(), OrderRefusal.objects.count()) == (1, 1, 0)
    assert_whole(account)


def test_twenty_different_orders_of_one_client_order_id_are_one_order(feed: Feed) -> None:
    account = open_account()
    calls = [lambda n=n: place(account, f"0.{n:03}", client_order_id="once") for n in range(1, TOGETHER + 1)]

    outcomes = at_once(*calls)

    assert Counter(outcome if isinstance(outcome, int) else "placed" for outcome in outcomes) == {
        3013: TOGETHER - 1,
        "placed": 1,
    }
    assert (Order.objects.count(), OrderRefusal.objects.count()) == (1, TOGETHER - 1)
    assert_whole(account)


def test_orders_that_together_exceed_the_balance_never_overdraw_it(feed: Feed) -> None:
    """Each binds 950 of 10,000: ten fit, ten don't."""
    account = open_account()

    outcomes = at_once(*[lambda: place(account, "10", price="95")] * TOGETHER)

    placed = [outcome for outcome in outcomes if outcome != 3003]
    assert len(placed) == 10
    assert OrderRefusal.objects.filter(code=3003).count() == TOGETHER - 10
    worth = summarise(read_account(ref(account)), Board(markets=markets_by_id(), quotes=live.quotes()))
    assert (worth.initial, worth.available) == (9_500, 500)
    balances = Event.objects.filter(account=account, kind="balance_update").order_by("sequence")
    assert all(D(event.data["margin_available"]) >= 0 for event in balances)
    assert_whole(account)


def test_market_orders_that_together_exceed_the_balance_lose_no_update(feed: Feed) -> None:
    """Fees, position and cash are each the sum of all fills: what a dropped account lock would lose."""
    account = open_account(balance="2000")

    outcomes = at_once(*[lambda: place(account, "1.5")] * TOGETHER)

    filled = [outcome for outcome in outcomes if not isinstance(outcome, int)]
    assert 0 < len(filled) < TOGETHER
    fees = sum((fill.fee for fill in Fill.objects.all()), D(0))
    assert CashBalance.objects.get().balance == 2000 - fees
    assert Position.objects.get().quantity == len(filled) * D("1.5")
    assert Position.objects.get().entry_notional == sum(
        (fill.price * fill.quantity for fill in Fill.objects.all()), D(0)
    )
    assert_whole(account)


def test_buys_and_sells_at_once_net_to_the_same_position(feed: Feed) -> None:
    account = open_account()
    sides = [Side.BUY, Side.SELL] * (TOGETHER // 2)

    outcomes = at_once(*[lambda side=side: place(account, "0.1", side=side) for side in sides])

    assert all(not isinstance(outcome, int) for outcome in outcomes)
    position = Position.objects.get()
    assert (position.quantity, position.entry_notional) == (0, 0)
    cash_flow = sum(
        (-Side(fill.side).sign * fill.price * fill.quantity - fill.fee for fill in Fill.objects.all()), D(0)
    )
    assert CashBalance.objects.get().balance == 10_000 + cash_flow
    assert_whole(account)


def matched(order: Order) -> Callable[[], bool]:
    """A matcher's booking of a price that traded through the order."""
    view, quotes = live.view_of("BTC-USD")
    return lambda: fill_resting_order(
        account_id=order.account_id, order_id=order.pk, book=view.book, quotes=quotes, traded_through=True
    )


def test_two_matchers_and_more_book_an_order_once(feed: Feed) -> None:
    account = open_account()
    place(account, "1", price="95")

    outcomes = at_once(*[matched(Order.objects.get())] * 8)

    assert Counter(outcomes) == {True: 1, False: 7}
    assert Fill.objects.count() == 1
    assert Position.objects.get().quantity == 1
    assert_whole(account)


def test_two_matchers_of_one_book_state_share_what_it_offers(feed: Feed) -> None:
    account = open_account()
    place(account, "5", price="95")
    order = Order.objects.get()
    feed(bids=(("90", "1"),), asks=(("94", "2"),), sequence=2)
    view, quotes = live.view_of("BTC-USD")

    def touch() -> bool:
        return fill_resting_order(
            account_id=account.pk, order_id=order.pk, book=view.book, quotes=quotes, traded_through=False
        )

    assert Counter(at_once(*[touch] * 8)) == {True: 1, False: 7}
    assert Order.objects.get().filled_quantity == 2
    assert_whole(account)


def test_fill_and_cancel_of_one_order_leave_one_outcome(feed: Feed) -> None:
    account = open_account()
    for number in range(1, 6):
        place(account, "1", price="95", client_order_id=str(number))
        order = Order.objects.get(number=number)
        cancels = [lambda n=number: cancel_order(account=ref(account), order=OrderRef(number=n))] * 3

        outcomes = at_once(*[matched(order)] * 3, *cancels)

        order.refresh_from_db()
        done = [outcome for outcome in outcomes if outcome not in (False, 3010)]
        assert len(done) == 1
        assert (order.status, order.filled_quantity) == (("filled", 1) if done == [True] else ("cancelled", 0))
        moves = list(order.transitions.order_by("id").values_list("from_status", "to_status"))
        assert moves == [("new", "open"), ("open", order.status)]
    assert_whole(account)


def test_cancel_all_meets_orders_that_fill_meanwhile(feed: Feed) -> None:
    account = open_account()
    for _ in range(6):
        place(account, "1", price="95")
    fills = [matched(order) for order in Order.objects.all()[:3]]

    *_, cancelled = at_once(*fills, lambda: cancel_orders(account=ref(account)))

    filled = Order.objects.filter(status="filled").count()
    assert len(cancelled) + filled == 6
    assert Order.objects.filter(status="cancelled").count() == len(cancelled)
    assert_whole(account)


def test_a_position_is_closed_once(feed: Feed) -> None:
    account = open_account()
    place(account, "1")

    outcomes = at_once(*[lambda: close_position(account=ref(account), symbol="BTC-USD")] * 6)

    assert Counter(outcome if isinstance(outcome, int) else "closed" for outcome in outcomes)["closed"] == 1
    assert {outcome for outcome in outcomes if isinstance(outcome, int)} <= {3006, 1002}
    assert Position.objects.get().quantity == 0
    assert_whole(account)


def test_a_user_opens_no_more_than_five_accounts_however_fast() -> None:
    user = UserFactory.create()

    outcomes = at_once(*[lambda: open_account(user=user)] * 9)

    assert Counter(outcome if isinstance(outcome, int) else "opened" for outcome in outcomes) == {"opened": 5, 4003: 4}
    assert TradingAccount.objects.filter(is_primary=True).count() == 1


def test_times_of_an_account_never_go_back(feed: Feed) -> None:
    account = open_account()
    at_once(*[lambda: place(account, "0.1")] * 10)

    times = list(Event.objects.filter(account=account).order_by("sequence").values_list("at", flat=True))
    assert all(earlier <= later for earlier, later in pairwise(times))
    lines = Posting.objects.filter(entry__account=account, ledger_account="cash").order_by("entry__number")
    running = [line.running_balance for line in lines]
    amounts = [line.amount for line in lines]
    assert running == [sum(amounts[: n + 1], D(0)) for n in range(len(amounts))]


def test_a_booking_is_a_transaction_to_the_orm_too(feed: Feed) -> None:
    account = open_account()
    with booking(ref(account)):
        assert TradingAccount.objects.select_for_update().get(pk=account.pk) == account
    assert connection.get_autocommit() and not connection.in_atomic_block
