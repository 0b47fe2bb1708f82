"""Liquidations on PostgreSQL: booked step by step, decided anew under the lock, safe to run at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections

from astrade.core.clock import system_clock
from astrade.core.roles import as_owner
from marketdata import live
from marketdata.selectors import markets_by_id
from trading.domain.liquidation import Step
from trading.domain.margin import Board, MarginSummary, summarise
from trading.loading import AccountRef, read_account
from trading.models import CashBalance, Event, Fill, Liquidation, Order, Posting, TradingAccount
from trading.services.liquidation import LIQUIDATIONS, liquidate, liquidation_step
from trading.services.orders import cancel_orders
from trading.services.positions import close_position
from trading.tests.conftest import Feed, make_market
from trading.tests.factories import D, open_account, place, ref
from trading.verification import CHECKS, run_check

pytestmark = pytest.mark.django_db(transaction=True)
DEEP = "1000"


def at_price(feed: Feed, bid: str, ask: str, *, sequence: int, **changes: Any) -> None:
    """A deep book of one level a side, its mark at the bid."""
    values: dict[str, Any] = {"mark": bid} | changes
    feed(bids=((bid, DEEP),), asks=((ask, DEEP),), sequence=sequence, **values)


@pytest.fixture
def account(feed: Feed) -> TradingAccount:
    """Long 90 at 100 with leverage 10: 1,051 of cash after the fee."""
    at_price(feed, "99", "100", sequence=2)
    account = open_account(balance="1060")
    place(account, "90", leverage=10)
    return account


def worth(account: TradingAccount) -> MarginSummary:
    """As the API shows it."""
    return summarise(read_account(ref(account)), Board(markets=markets_by_id(), quotes=live.quotes()))


def assert_sound(account: TradingAccount) -> None:
    """Every check of the ledger, and equity told again from the postings alone (DESIGN §5.4)."""
    assert [finding for name in CHECKS for finding in run_check(name)] == []
    lines = Posting.objects.filter(entry__account=account).exclude(ledger_account="cash")
    booked = -sum((line.amount for line in lines), D(0))
    assert worth(account).equity == booked + worth(account).unrealized_pnl


def test_a_healthy_account_is_left_alone(account: TradingAccount, feed: Feed) -> None:
    at_price(feed, "90", "91", sequence=3)

    assert liquidate(account.pk) == {Step.HEALTHY: 1}
    assert not Liquidation.objects.exists()


def test_orders_go_then_a_part_of_the_position(account: TradingAccount, feed: Feed) -> None:
    place(account, "1", price="90", leverage=10)
    at_price(feed, "89", "91", sequence=4)
    counted = LIQUIDATIONS.labels(Step.REDUCED)._value.get()

    taken = liquidate(account.pk)

    assert taken == {Step.CANCELLED: 1, Step.REDUCED: 1, Step.HEALTHY: 1}
    cancelled, order = Order.objects.order_by("number")[1:]
    moved = cancelled.transitions.order_by("-id")[0]
    assert (cancelled.status, cancelled.reason, moved.reason) == ("cancelled", "liquidation", "liquidation")
    assert (order.source, order.status, order.side, order.reduce_only) == ("liquidation", "filled", "sell", True)
    assert order.filled_quantity == D("48.846")  # 39.125 is missing, each unit closed brings 0.801
    first, second = Liquidation.objects.order_by("id")
    assert (first.orders_cancelled, first.order_id, first.equity, first.maintenance) == (1, None, 61, D("80.1"))
    assert (second.order_id, second.quantity, second.insurance) == (order.pk, D("48.846"), 0)
    assert second.fee == D("10.868235")  # a quarter of 1 % of 48.846 x 89
    assert worth(account).equity == second.equity_after >= second.maintenance_after * D("1.25")
    told = list(Event.objects.filter(account=account, kind="liquidation").order_by("sequence"))
    assert [event.data["orders_cancelled"] for event in told] == [1, 0]
    assert told[1].data["order_id"] == str(order.uuid)
    assert LIQUIDATIONS.labels(Step.REDUCED)._value.get() == counted + 1
    assert_sound(account)


def test_each_step_is_a_transaction_and_what_is_left_goes_on_later(account: TradingAccount, feed: Feed) -> None:
    """As after a kill between two steps."""
    place(account, "1", price="90", leverage=10)
    at_price(feed, "89", "91", sequence=4)

    assert liquidation_step(ref(account)) is Step.CANCELLED
    assert (Liquidation.objects.count(), Order.objects.filter(source="liquidation").count()) == (1, 0)
    assert liquidate(account.pk) == {Step.REDUCED: 1, Step.HEALTHY: 1}
    assert_sound(account)


def test_a_thin_book_takes_several_steps_over_several_books(account: TradingAccount, feed: Feed) -> None:
    feed(bids=(("89", "20"),), asks=(("91", "20"),), mark="89", sequence=4)

    assert liquidate(account.pk) == {Step.REDUCED: 1, Step.ILLIQUID: 1}
    assert liquidate(account.pk) == {Step.ILLIQUID: 1}  # the account took all of this book
    assert Order.objects.filter(source="liquidation").count() == 1
    feed(bids=(("89", "100"),), asks=(("91", "20"),), mark="89", sequence=5)
    assert liquidate(account.pk) == {Step.REDUCED: 1, Step.HEALTHY: 1}
    assert_sound(account)


def test_a_gap_beyond_all_money_is_paid_by_the_insurance(account: TradingAccount, feed: Feed) -> None:
    at_price(feed, "80", "81", sequence=3)

    taken = liquidate(account.pk)

    assert taken == {Step.REDUCED: 1, Step.HEALTHY: 1}
    assert CashBalance.objects.get(account=account).balance == 0
    step = Liquidation.objects.get()
    assert (step.insurance, step.fee, step.equity_after) == (D("756.2"), 0, 0)  # 1,051 - 1,800 - 7.2
    lines = Posting.objects.filter(entry__account=account, ledger_account="insurance")
    assert [line.amount for line in lines] == [D("-756.2")]
    assert lines.get().entry.kind == "liquidation"
    assert_sound(account)


def test_a_user_who_closes_a_ruined_position_owes_nothing_either(account: TradingAccount, feed: Feed) -> None:
    at_price(feed, "80", "81", sequence=3)

    close_position(account=ref(account), symbol="BTC-USD")

    assert CashBalance.objects.get(account=account).balance == 0
    assert_sound(account)


def test_a_profit_elsewhere_saves_the_account(account: TradingAccount, feed: Feed) -> None:
    make_market("ETH-USD")
    at_price(feed, "99", "100", sequence=2, symbol="ETH-USD")
    place(account, "1", symbol="ETH-USD", leverage=10)
    at_price(feed, "89", "91", sequence=3)
    at_price(feed, "125", "126", sequence=3, symbol="ETH-USD")

    assert liquidate(account.pk) == {Step.HEALTHY: 1}
    at_price(feed, "110", "111", sequence=4, symbol="ETH-USD")
    assert Step.REDUCED in liquidate(account.pk)
    assert_sound(account)


def test_who_is_frozen_is_liquidated_all_the_same(account: TradingAccount, feed: Feed) -> None:
    TradingAccount.objects.update(state=TradingAccount.State.FROZEN)
    at_price(feed, "89", "91", sequence=3)

    assert liquidate(account.pk) == {Step.REDUCED: 1, Step.HEALTHY: 1}


@pytest.mark.parametrize("which", ["BTC-USD", "ETH-USD"])
def test_a_stale_mark_of_any_position_stops_it(account: TradingAccount, feed: Feed, which: str) -> None:
    make_market("ETH-USD")
    at_price(feed, "99", "100", sequence=2, symbol="ETH-USD")
    place(account, "0.1", symbol="ETH-USD", leverage=10)
    old = system_clock() - timedelta(seconds=11)
    for symbol in ("BTC-USD", "ETH-USD"):
        at_price(feed, "89", "91", sequence=3, symbol=symbol, at=old if symbol == which else None)

    assert liquidate(account.pk) == {Step.STALE: 1}
    at_price(feed, "89", "91", sequence=4, symbol=which)
    assert Step.REDUCED in liquidate(account.pk)


def test_orders_that_would_raise_risk_are_refused_meanwhile(account: TradingAccount, feed: Feed) -> None:
    at_price(feed, "89", "91", sequence=3)
    with pytest.raises(Exception, match="margin"):
        place(account, "1")


def test_many_at_once_do_no_harm(account: TradingAccount, feed: Feed) -> None:
    """Eight watchers by mistake: one of them acts at each step, the rest find the account healthy or in other hands."""
    at_price(feed, "89", "91", sequence=3)

    run_at_once([lambda: liquidate(account.pk)] * 8)

    assert Liquidation.objects.count() == Order.objects.filter(source="liquidation").count() == 1
    assert_sound(account)


def test_cancelling_closing_and_liquidating_at_once(account: TradingAccount, feed: Feed) -> None:
    place(account, "1", price="90", leverage=10)
    at_price(feed, "89", "91", sequence=4)
    close = lambda: close_position(account=ref(account), symbol="BTC-USD", quantity=D(30))  # noqa: E731
    cancel = lambda: cancel_orders(account=ref(account))  # noqa: E731

    run_at_once([lambda: liquidate(account.pk), close, cancel, lambda: liquidate(account.pk)])

    assert worth(account).equity > worth(account).maintenance
    assert not Order.objects.filter(status="open").exists()
    assert_sound(account)


def run_at_once(calls: list[Callable[[], Any]]) -> None:
    """Each in a thread and connection of its own; a call's error is the test's."""

    def run(call: Callable[[], Any]) -> None:
        try:
            call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        for future in [pool.submit(run, call) for call in calls]:
            future.result()


def test_a_step_is_history(account: TradingAccount, feed: Feed) -> None:
    at_price(feed, "89", "91", sequence=3)
    liquidate(account.pk)
    with as_owner(connection), pytest.raises(Exception, match="history"):
        Liquidation.objects.update(fee=1)


def test_a_step_takes_few_round_trips(account: TradingAccount, feed: Feed, django_assert_max_num_queries: Any) -> None:
    """Nothing of a step goes through the ORM: it loads and writes by the pipeline."""
    at_price(feed, "89", "91", sequence=3)
    markets_by_id()
    with django_assert_max_num_queries(0):
        assert liquidation_step(AccountRef(account_id=account.pk)) is Step.REDUCED
    assert Fill.objects.filter(order__source="liquidation").count() == 1
