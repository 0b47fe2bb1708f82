"""Hourly funding on PostgreSQL: once a position and hour, by what was held then, however late and however often."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from astrade.core.clock import system_clock
from astrade.core.roles import as_owner
from marketdata.models import Market
from marketdata.tests.factories import CandleFactory, FundingRateFactory
from trading.domain.funding import Rate
from trading.domain.lifecycle import Side
from trading.loading import read_account
from trading.models import (
    CashBalance,
    ClosedPosition,
    Event,
    Fill,
    FundingHour,
    FundingPayment,
    JournalEntry,
    Position,
    TradingAccount,
)
from trading.services.bookings import present_board
from trading.services.funding import FUNDING_ENTRIES, Settled, settle_funding, settle_position
from trading.services.liquidation import liquidate
from trading.services.positions import close_position
from trading.tasks import settle_funding as settle_funding_task
from trading.tests.conftest import Feed
from trading.tests.factories import D, open_account, place, ref
from trading.tests.services.test_liquidation import at_price, run_at_once, worth
from trading.valuation import closed_positions
from trading.verification import CHECKS, run_check

pytestmark = pytest.mark.django_db(transaction=True)
NOON = datetime.fromisoformat("2026-03-01T12:00:00+00:00")
HOUR = timedelta(hours=1)
SETTLED_AT = NOON + timedelta(hours=9)


@pytest.fixture
def account(feed: Feed, market: Market) -> TradingAccount:
    """Long 2 since 11:30."""
    at_price(feed, "99", "100", sequence=2)
    account = open_account()
    place(account, "2")
    moved_to(NOON - HOUR / 2, number=1)
    return account


@contextmanager
def rewriting() -> Iterator[None]:
    """A superuser for whom no trigger fires: it moves what was booked just now into the past."""
    with as_owner(connection), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield


def moved_to(at: datetime, *, number: int) -> None:
    """The fill of this number, and what it opened and closed, happened at `at`."""
    with rewriting():
        fill = Fill.objects.get(number=number)
        booked = fill.at
        Fill.objects.filter(pk=fill.pk).update(at=at)
        Position.objects.filter(opened_at=booked).update(opened_at=at)
        ClosedPosition.objects.filter(closed_at=booked).update(closed_at=at)
        ClosedPosition.objects.filter(opened_at=booked).update(opened_at=at)


def rate(market: Market, hour: datetime = NOON, *, rate: str = "0.0001", mark: str | None = "100") -> None:
    """A rate that was applied, and the minute that began then."""
    FundingRateFactory.create(market=market, at=hour, rate=D(rate))
    if mark is not None:
        candle(market, hour, open_=mark)


def candle(market: Market, at: datetime, *, open_: str, close: str | None = None) -> None:
    """A minute of the mark."""
    prices = sorted([D(open_), D(close or open_)])
    CandleFactory.create(
        market=market, kind="mark", open_time=at, open=D(open_), close=D(close or open_), low=prices[0], high=prices[1]
    )


def assert_sound() -> None:
    """Every check of the ledger, those of funding among them."""
    assert [finding for name in CHECKS for finding in run_check(name)] == []


def test_an_hour_is_booked_once(account: TradingAccount, market: Market) -> None:
    rate(market, mark="110")
    cash, counted = CashBalance.objects.get(account=account).balance, FUNDING_ENTRIES._value.get()

    assert settle_funding(now=SETTLED_AT) == Settled(hours=1, payments=1)
    assert settle_funding(now=SETTLED_AT) == Settled(hours=0, payments=0)
    FundingHour.objects.all().delete()  # as if the mark of a finished hour had got lost
    assert settle_funding(now=SETTLED_AT) == Settled(hours=1, payments=0)

    paid = FundingPayment.objects.get()
    position = Position.objects.get(account=account)
    assert (paid.quantity, paid.mark, paid.rate, paid.amount, paid.hour) == (2, 110, D("0.0001"), D("-0.022"), NOON)
    assert (paid.position_id, paid.position_uuid) == (position.pk, position.uuid)
    assert position.funding == D("-0.022")
    assert CashBalance.objects.get(account=account).balance == cash - D("0.022")
    entry = JournalEntry.objects.get(account=account, kind="funding")
    assert {line.ledger_account: line.amount for line in entry.postings.all()} == {
        "cash": D("-0.022"), "funding": D("0.022")
    }  # fmt: skip
    kinds = Event.objects.filter(account=account).order_by("-sequence").values_list("kind", flat=True)[:3]
    assert list(kinds) == ["balance_update", "position_update", "funding"]
    assert FUNDING_ENTRIES._value.get() == counted + 1
    assert_sound()


def test_whoever_comes_second_finds_the_hour_booked(account: TradingAccount, market: Market) -> None:
    """As when two runs met at the account's lock."""
    hourly = Rate(market_id=market.pk, hour=NOON, rate=D("0.0001"), mark=D(100))

    assert settle_position(account.pk, rate=hourly, board=present_board()) is True
    assert settle_position(account.pk, rate=hourly, board=present_board()) is False
    assert FundingPayment.objects.count() == 1


def test_the_database_refuses_a_second_payment_for_an_hour(account: TradingAccount, market: Market) -> None:
    rate(market)
    settle_funding(now=SETTLED_AT)
    paid = FundingPayment.objects.get()
    columns = ("account_id", "position_id", "market_id", "hour", "quantity", "mark", "rate", "amount", "at")
    with pytest.raises(IntegrityError, match="funding_payment_once"):
        FundingPayment.objects.create(**{name: getattr(paid, name) for name in columns})


def test_shorts_get_what_longs_pay(account: TradingAccount, market: Market) -> None:
    other = open_account()
    place(other, "3", side=Side.SELL)
    with rewriting():
        Fill.objects.filter(account=other).update(at=NOON - HOUR / 4)
        Position.objects.filter(account=other).update(opened_at=NOON - HOUR / 4)
    rate(market, rate="0.0002")

    settle_funding(now=SETTLED_AT)

    amounts = dict(FundingPayment.objects.values_list("account_id", "amount"))
    assert amounts == {account.pk: D("-0.04"), other.pk: D("0.06")}


def test_downtime_is_caught_up_hour_by_hour_with_what_was_held_then(account: TradingAccount, market: Market) -> None:
    """2 at noon, 5 at one, flat at two, short 1 at three; all booked at nine, with short 4 by then."""
    place(account, "3")
    moved_to(NOON + HOUR / 2, number=2)
    close_position(account=ref(account), symbol="BTC-USD")
    moved_to(NOON + HOUR + HOUR / 2, number=3)
    place(account, "1", side=Side.SELL)
    moved_to(NOON + 2 * HOUR + HOUR / 2, number=4)
    place(account, "3", side=Side.SELL)
    moved_to(NOON + 8 * HOUR, number=5)
    for hours, mark in enumerate(["100", "200", "300", "400"]):
        rate(market, NOON + hours * HOUR, mark=mark)

    assert settle_funding(now=SETTLED_AT) == Settled(hours=4, payments=3)

    found = FundingPayment.objects.order_by("hour").values_list("quantity", "amount")
    assert list(found) == [(2, D("-0.02")), (5, D("-0.1")), (-1, D("0.04"))]
    closed, position = ClosedPosition.objects.get(), Position.objects.get(account=account)
    assert (closed.funding, position.funding) == (D("-0.12"), D("0.04"))
    (body,) = closed_positions([closed], *shown(account))
    assert (body["funding"], body["fees"]) == ("-0.12", str(closed.fees.normalize()))
    assert_sound()


def shown(account: TradingAccount) -> tuple[Any, Any]:
    """What bodies of history are made with."""
    return read_account(ref(account)), present_board()


def test_a_fill_at_the_very_hour_counts(account: TradingAccount, market: Market) -> None:
    moved_to(NOON, number=1)
    rate(market)

    settle_funding(now=SETTLED_AT)

    assert FundingPayment.objects.get().quantity == 2
    assert_sound()


def test_a_position_turned_around_since_is_two_positions(account: TradingAccount, market: Market) -> None:
    place(account, "5", side=Side.SELL)
    moved_to(NOON + HOUR / 2, number=2)
    rate(market)
    rate(market, NOON + HOUR)

    settle_funding(now=SETTLED_AT)

    assert ClosedPosition.objects.get().funding == D("-0.02")
    assert Position.objects.get(account=account).funding == D("0.03")
    assert_sound()


def test_nothing_held_pays_nothing(market: Market, feed: Feed) -> None:
    account = open_account()
    place(account, "2")  # now, long after that hour
    rate(market)
    rate(market, NOON - 24 * HOUR, mark=None)

    assert settle_funding(now=SETTLED_AT) == Settled(hours=2, payments=0)
    assert list(FundingHour.objects.order_by("hour").values_list("mark", flat=True)) == [None, 100]


def test_without_a_mark_of_the_hour_the_last_one_before_counts(account: TradingAccount, market: Market) -> None:
    rate(market, mark=None)
    assert settle_funding(now=SETTLED_AT) == Settled(hours=0, payments=0)
    candle(market, NOON + timedelta(minutes=1), open_="500")
    assert settle_funding(now=SETTLED_AT) == Settled(hours=0, payments=0)
    candle(market, NOON - timedelta(minutes=7), open_="120", close="130")

    assert settle_funding(now=SETTLED_AT) == Settled(hours=1, payments=1)
    assert FundingPayment.objects.get().mark == 130


def test_an_hour_is_booked_when_it_is_a_minute_old(account: TradingAccount, market: Market) -> None:
    rate(market)

    assert settle_funding(now=NOON + timedelta(seconds=59)).hours == 0
    assert settle_funding(now=NOON + timedelta(seconds=60)).hours == 1


def test_closed_accounts_are_left_alone(account: TradingAccount, market: Market) -> None:
    rate(market)
    TradingAccount.objects.update(state=TradingAccount.State.CLOSED)

    assert settle_funding(now=SETTLED_AT) == Settled(hours=1, payments=0)


def test_one_account_that_cannot_be_booked_keeps_the_hour_open_and_nobody_waiting(
    account: TradingAccount, market: Market
) -> None:
    other = open_account()
    place(other, "3")
    with rewriting():
        Fill.objects.filter(account=other).update(at=NOON - HOUR / 4)
    TradingAccount.objects.filter(pk=account.pk).update(sequence=0)  # its next event meets one that exists
    sequence = account.sequence
    rate(market)

    assert settle_funding(now=SETTLED_AT) == Settled(hours=0, payments=1)
    assert FundingPayment.objects.get().account_id == other.pk
    account.refresh_from_db()
    TradingAccount.objects.filter(pk=account.pk).update(sequence=max(sequence, last_sequence(account)))
    assert settle_funding(now=SETTLED_AT) == Settled(hours=1, payments=1)


def last_sequence(account: TradingAccount) -> int:
    """Of its events."""
    return Event.objects.filter(account=account).order_by("-sequence").values_list("sequence", flat=True)[0]


def test_many_runs_at_once_book_once(account: TradingAccount, market: Market) -> None:
    for hours in range(4):
        rate(market, NOON + hours * HOUR)

    run_at_once([lambda: settle_funding(now=SETTLED_AT)] * 6)

    assert FundingPayment.objects.count() == FundingHour.objects.count() == 4
    assert Position.objects.get(account=account).funding == D("-0.08")
    assert_sound()


def test_a_liquidation_and_a_funding_run_at_once(feed: Feed, market: Market) -> None:
    """Whichever comes first, the hour is paid once by what was held then, and no digit is lost."""
    at_price(feed, "99", "100", sequence=2)
    account = open_account(balance="1060")
    place(account, "90", leverage=10)
    moved_to(NOON - HOUR / 2, number=1)
    for hours in range(3):
        rate(market, NOON + hours * HOUR)
    at_price(feed, "89", "91", sequence=3)

    run_at_once([lambda: liquidate(account.pk), lambda: settle_funding(now=SETTLED_AT)] * 3)

    amounts = FundingPayment.objects.order_by("hour").values_list("quantity", "amount")
    assert list(amounts) == [(90, D("-0.9"))] * 3
    liquidate(account.pk)
    assert worth(account).equity > worth(account).maintenance
    assert_sound()


def test_funding_may_start_a_liquidation_and_a_ruined_account_owes_nothing(feed: Feed, market: Market) -> None:
    at_price(feed, "99", "100", sequence=2)
    account = open_account(balance="1060")
    place(account, "90", leverage=10)
    moved_to(NOON - HOUR / 2, number=1)
    at_price(feed, "90", "91", sequence=3)
    assert worth(account).equity > worth(account).maintenance
    rate(market, rate="0.02")  # 180 of 151

    settle_funding(now=SETTLED_AT)
    liquidate(account.pk)

    assert CashBalance.objects.get(account=account).balance == 0
    assert_sound()


def test_the_task_books_what_is_over(account: TradingAccount, market: Market) -> None:
    hour = system_clock().replace(minute=0, second=0, microsecond=0) - HOUR
    moved_to(hour - HOUR / 2, number=1)
    rate(market, hour)

    settle_funding_task()

    assert FundingPayment.objects.get().hour == hour


def test_payments_are_history(account: TradingAccount, market: Market) -> None:
    rate(market)
    settle_funding(now=SETTLED_AT)
    with as_owner(connection), pytest.raises(Exception, match="history"):
        FundingPayment.objects.update(amount=1)
