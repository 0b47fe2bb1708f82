"""What an account stood at when a day began: reckoned back from the present, checked against what was seen then."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from astrade.core.clock import system_clock
from astrade.core.days import LocalDay, local_day
from astrade.core.errors import AstradeError, NotFound
from marketdata.models import Market
from marketdata.tests.factories import CandleFactory
from trading.domain.lifecycle import EntryKind, LedgerAccount, Side
from trading.domain.limits import RiskDay as Figures
from trading.loading import read_account
from trading.models import RiskDay, TradingAccount
from trading.services.bookings import booking
from trading.services.risk_days import open_risk_day, reckon_risk_day
from trading.tests.conftest import Feed, make_market
from trading.tests.factories import D, open_account, place, ref

pytestmark = pytest.mark.django_db


@pytest.fixture
def account(feed: Feed) -> TradingAccount:
    """With 10,000 and a market around 100."""
    return open_account()


def midnight() -> datetime:
    """A moment between what was booked and what will be."""
    return system_clock()


def reckon(account: TradingAccount, at: datetime) -> Figures:
    """The day that began at `at`."""
    return reckon_risk_day(account.pk, span=LocalDay(at, at + timedelta(hours=24)))


def mark(market: Market, price: str, *, before: datetime) -> None:
    """A minute candle of the mark that closed by then."""
    prices = dict.fromkeys(("open", "high", "low", "close"), D(price))
    CandleFactory.create(market=market, kind="mark", open_time=before - timedelta(minutes=1), **prices)


def move(account: TradingAccount, kind: EntryKind, amount: str, against: LedgerAccount) -> None:
    """Money that comes or goes."""
    with booking(ref(account)) as batch:
        batch.post(kind, amount=D(amount), against=against, reference=f"test:{kind}")
        batch.emit("balance_update", {})


def test_an_account_of_today_began_with_nothing(account: TradingAccount) -> None:
    place(account, "1")

    day = reckon(account, midnight() - timedelta(hours=24))

    assert (day.equity, day.net_deposits, day.traded_notional) == (0, 0, 0)


def test_the_day_before_is_closed_at_its_last_mark(account: TradingAccount, market: Market) -> None:
    place(account, "2")  # 101 + 102, fee 0.203
    at = midnight()
    mark(market, "95", before=at - timedelta(minutes=1))
    mark(market, "90", before=at)
    mark(market, "50", before=at + timedelta(minutes=1))
    place(account, "1", side=Side.SELL)
    place(account, "3", side=Side.SELL)  # over to the short side
    move(account, EntryKind.DEPOSIT, "500", LedgerAccount.EXTERNAL)

    day = reckon(account, at)

    assert day.equity == D("9999.797") + 2 * 90 - 203
    assert (day.net_deposits, day.traded_notional) == (10_000, 203)
    assert (day.starts_at, day.ends_at) == (at, at + timedelta(hours=24))


def test_without_a_mark_a_position_counts_at_its_entry_price(account: TradingAccount) -> None:
    place(account, "2")
    assert reckon(account, midnight()).equity == D("9999.797")


def test_a_short_that_was_closed_today_counts_as_it_stood(account: TradingAccount, market: Market) -> None:
    place(account, "1", side=Side.SELL)  # at 99, fee 0.099
    at = midnight()
    mark(market, "110", before=at)
    place(account, "1")

    assert reckon(account, at).equity == D("9999.901") - 11


def test_only_money_that_came_or_went_is_a_deposit(account: TradingAccount) -> None:
    at = midnight()
    for kind, amount, against in (
        (EntryKind.TRANSFER, "-100", LedgerAccount.CLEARING),
        (EntryKind.BONUS, "5", LedgerAccount.EXTERNAL),
        (EntryKind.FUNDING, "-7", LedgerAccount.FUNDING),
        (EntryKind.LIQUIDATION, "-3", LedgerAccount.FEES),
    ):
        move(account, kind, amount, against)

    assert read_account(ref(account)).net_deposits == 9_905
    assert reckon(account, at).net_deposits == 10_000
    assert reckon(account, midnight()).net_deposits == 9_905


def test_nobody_has_no_day() -> None:
    with pytest.raises(NotFound):
        reckon_risk_day(0, span=LocalDay(midnight(), midnight()))


actions = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), st.sampled_from(Side), st.sampled_from(["0.5", "1", "2.345", "7"]), st.booleans()),
        st.tuples(st.just("price"), st.integers(80, 120)),
        st.tuples(st.just("money"), st.sampled_from(["250.5", "-40"])),
    ),
    max_size=10,
)


@given(before=actions, after=actions, close=st.integers(80, 120))
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_any_past_is_found_again(feed: Feed, before: list[Any], after: list[Any], close: int) -> None:
    account, second = open_account(), make_market_once("ETH-USD")
    feed(symbol=second.symbol)
    for n, step in enumerate(before):
        act(account, feed, step, symbol=("BTC-USD", second.symbol)[n % 2])
    seen, at = read_account(ref(account)), midnight()
    for market in Market.objects.all():
        Market.objects.get(pk=market.pk).candles.all().delete()
        mark(market, str(close), before=at)
    for n, step in enumerate(after):
        act(account, feed, step, symbol=("BTC-USD", second.symbol)[n % 2])

    day = reckon(account, at)

    held = [position for position in seen.positions.values() if position.quantity]
    gains = [p.quantity * close - p.entry_notional * (1 if p.quantity > 0 else -1) for p in held]
    assert day.equity == seen.cash.balance + sum(gains)
    assert (day.net_deposits, day.traded_notional) == (seen.net_deposits, seen.traded_notional)


def make_market_once(symbol: str) -> Market:
    """The same one in every example."""
    return Market.objects.filter(symbol=symbol).first() or make_market(symbol)


def act(account: TradingAccount, feed: Feed, step: Any, *, symbol: str) -> None:
    """One step; a refusal is an answer too."""
    name, *arguments = step
    if name == "price":
        (middle,) = arguments
        bids, asks = ((str(middle - 1), "100"),), ((str(middle + 1), "100"),)
        feed(symbol=symbol, bids=bids, asks=asks, sequence=int(system_clock().timestamp() * 1000))
    elif name == "money":
        move(account, EntryKind.DEPOSIT, arguments[0], LedgerAccount.EXTERNAL)
    else:
        side, quantity, resting = arguments
        try:
            place(account, quantity, side=side, symbol=symbol, **({"price": "100"} if resting else {}))
        except AstradeError as refusal:
            assert refusal.code < 9000


# When it is opened


def loss_limited(account: TradingAccount) -> None:
    """The owner sets a limit far away."""
    TradingAccount.objects.filter(pk=account.pk).update(max_daily_loss=D(5000))


def test_the_first_order_that_needs_it_opens_the_day_once(account: TradingAccount) -> None:
    User.objects.filter(pk=account.user_id).update(time_zone="Asia/Kathmandu")
    place(account)
    assert not RiskDay.objects.exists()
    loss_limited(account)

    place(account, side=Side.SELL, reduce_only=True)
    assert not RiskDay.objects.exists()
    for _ in range(2):
        place(account)

    (day,) = RiskDay.objects.all()
    here = local_day(system_clock(), zone="Asia/Kathmandu")
    assert (day.account_id, day.starts_at, day.ends_at) == (account.pk, here.starts_at, here.ends_at)


def test_a_day_of_yesterday_does_not_serve(account: TradingAccount) -> None:
    loss_limited(account)
    now = system_clock()
    open_risk_day(account.pk, user_id=account.user_id, now=now - timedelta(hours=24))

    place(account)

    assert RiskDay.objects.filter(account=account).count() == 2
    assert RiskDay.objects.filter(account=account).latest("starts_at").ends_at > now


def test_opening_again_changes_nothing_and_nobody_else_can(account: TradingAccount) -> None:
    now = system_clock()
    open_risk_day(account.pk, user_id=account.user_id, now=now)
    before = RiskDay.objects.values().get()
    place(account)

    open_risk_day(account.pk, user_id=account.user_id, now=now)

    assert RiskDay.objects.values().get() == before
    changes: tuple[Callable[[], Any], ...] = (
        lambda: RiskDay.objects.update(equity=0),
        lambda: RiskDay.objects.all().delete(),
    )
    for change in changes:
        with pytest.raises(DatabaseError), transaction.atomic():
            change()
