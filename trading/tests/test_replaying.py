"""Fills decided again from what is stored: sound ones agree, and what a superuser did to one is found and named."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from astrade.core.roles import as_owner
from marketdata import live
from marketdata.models import Market, MarketRules
from marketdata.selectors import forget_markets
from trading.domain.lifecycle import Side
from trading.domain.queues import Traded
from trading.models import Fill, Order, TradingAccount
from trading.services.orders import fill_resting_order
from trading.tests.conftest import Feed
from trading.tests.factories import D, open_account, place


def reach(account: TradingAccount, number: int, *, through: bool = False, traded: Traded | None = None) -> bool:
    """The matcher's turn at an order, on the present market."""
    view, quotes = live.view_of("BTC-USD")
    return fill_resting_order(
        account_id=account.pk,
        order_id=Order.objects.get(account=account, number=number).pk,
        book=view.book,
        quotes=quotes,
        traded_through=through,
        traded=traded,
    )


def trade(account: TradingAccount, feed: Feed) -> None:
    """Every way to a fill: levels of a book, taken from before, touched, from the queue, traded through, reducing."""
    place(account, "2.5")
    place(account, "1", side=Side.SELL)
    place(account, "0.5", side=Side.SELL)
    place(account, "3", price="99")  # behind the 1 that is shown
    place(account, "2", price="99")  # behind both
    assert reach(account, 4, traded=Traded(quantity=D("1.5"), since=1, until=5))
    feed(bids=(("90", "5"),), asks=(("98", "1"), ("102", "9")), sequence=6)
    assert reach(account, 4)
    assert reach(account, 4, through=True)
    place(account, "2", side=Side.SELL, price="88", reduce_only=True)


@pytest.fixture
def accounts(transactional_db: None, feed: Feed) -> dict[str, TradingAccount]:
    """One account of each profile with a history, and one that never traded."""
    open_account()
    accounts = {name: open_account(simulator=name) for name in ("realistic", "classic")}
    trade(accounts["realistic"], feed)
    place(accounts["classic"], "2")
    place(accounts["classic"], "1", side=Side.SELL, price="90")
    place(accounts["classic"], "1", side=Side.SELL, price="101")
    feed(bids=(("99", "1"),), asks=(("101", "1"),), sequence=7)
    assert reach(accounts["classic"], 3, through=True)
    return accounts


@contextmanager
def superuser() -> Iterator[Any]:
    """A cursor for which no trigger fires and no right is missing."""
    with as_owner(connection), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor


def replayed(*which: str) -> tuple[int, str]:
    """Exit code and output of the command."""
    out = StringIO()
    try:
        call_command("replay_fills", *which, stdout=out, stderr=StringIO())
    except CommandError as exc:
        return exc.returncode, out.getvalue()
    return 0, out.getvalue()


def test_sound_fills_agree(accounts: dict[str, TradingAccount]) -> None:
    account = accounts["realistic"]
    assert Fill.objects.filter(account=account).count() == 8

    status, told = replayed("--account", str(account.uuid))
    assert (status, told.splitlines()) == (0, ["8 fills computed again", "every fill is what it has to be"])
    assert replayed("--all")[0] == 0
    assert "11 fills" in replayed("--all")[1]


def test_the_basis_is_kept_once_for_each_decision_and_is_small(accounts: dict[str, TradingAccount]) -> None:
    bases: list[Any] = list(
        Fill.objects.filter(account=accounts["realistic"]).order_by("number").values_list("basis", flat=True)
    )

    assert [number for number, basis in enumerate(bases, start=1) if basis is None] == [2]
    assert bases[0]["levels"] == [["101", "1"], ["102", "2"]]
    assert bases[3]["taken"] == "1"
    assert (bases[4]["traded"], bases[4]["ahead"], bases[4]["levels"]) == ("1.5", "1", [])


@contextmanager
def changed(account: TradingAccount, column: str, change: str) -> Iterator[None]:
    """The account's first fill with another value, and as it was afterwards."""
    where = "WHERE f.account_id = %s AND f.number = 1"
    with superuser() as cursor:
        cursor.execute(f"CREATE TABLE fill_as_it_was AS SELECT f.* FROM trading_fill f {where}", [account.pk])
        cursor.execute(f"UPDATE trading_fill f SET {column} = {change} {where}", [account.pk])
    try:
        yield
    finally:
        with superuser() as cursor:
            cursor.execute(f"UPDATE trading_fill f SET {column} = w.{column} FROM fill_as_it_was w WHERE w.id = f.id")
            cursor.execute("DROP TABLE fill_as_it_was")


CHANGES = [
    ("price", "price + 0.000000000000000001"),
    ("quantity", "quantity + 0.000000000000000001"),
    ("fee", "fee - 0.000000000000000001"),
    ("realized_pnl", "realized_pnl + 0.000000000000000001"),
    ("seed", "seed # 1"),
    ("side", "'sell'"),
    ("is_taker", "NOT is_taker"),
    ("fee_asset", "'USE'"),
    ("venue_trade_id", "overlay(venue_trade_id placing '~' from 5)"),
    ("book_sequence", "book_sequence # 1"),
    ("market_id", "market_id + 1"),
    ("uuid", "overlay(uuid::text placing CASE left(uuid::text, 1) WHEN 'a' THEN 'b' ELSE 'a' END from 1)::uuid"),
    ("at", "at + interval '1 microsecond'"),
    ("basis", "NULL"),
    ("basis", """basis || '{"quantity": "2.500000001"}'"""),
    ("basis", """basis || '{"rules": 0}'"""),
    ("basis", """basis || '{"extra": 1}'"""),
    ("basis", "basis - 'quantity'"),
    ("basis", "'[]'"),
    ("basis", """jsonb_set(basis, '{digest}', '"0"')"""),
]


@pytest.mark.parametrize("profile", ["realistic", "classic"])
def test_a_flipped_byte_is_named(accounts: dict[str, TradingAccount], profile: str) -> None:
    account, other = accounts[profile], accounts["classic" if profile == "realistic" else "realistic"]
    for column, change in CHANGES:
        with changed(account, column, change):
            status, told = replayed("--account", str(account.uuid))
            assert replayed("--account", str(other.uuid))[0] == 0
        shown = {"uuid": "event id", "at": "event at", "book_sequence": "basis"}.get(column, column)
        assert status == 1
        assert f"account {account.uuid} fill 1: {shown} is " in told, (column, change, told)
        if column != "basis":  # without one the rest of its decision has none either
            assert "fill 2: " not in told, (column, change, told)
    assert replayed("--all")[0] == 0


def test_any_byte_of_a_book_state_is_missed(accounts: dict[str, TradingAccount]) -> None:
    """Also one that makes no difference to the fill: the quantity of a level that was not used up."""
    for path in ("levels,0,0", "levels,0,1", "levels,1,1", "limit", "taken", "book"):
        with changed(accounts["realistic"], "basis", f"jsonb_set(basis, '{{{path}}}', '\"102.5\"')"):
            status, told = replayed("--all")
        assert status == 1
        assert "fill 1: basis is changed" in told


@pytest.mark.parametrize(
    ("where", "named"),
    [("number = 2", "fill 3: "), ("number = 8", "fill 7: number is the last, computed 8 fills")],
)
def test_a_fill_that_is_gone_is_missed(accounts: dict[str, TradingAccount], where: str, named: str) -> None:
    with superuser() as cursor:
        cursor.execute(f"DELETE FROM trading_fill WHERE account_id = %s AND {where}", [accounts["realistic"].pk])

    status, told = replayed("--all")

    assert status == 1
    assert named in told


def test_an_event_that_is_gone_is_missed(accounts: dict[str, TradingAccount]) -> None:
    with superuser() as cursor:
        cursor.execute(
            "DELETE FROM trading_event WHERE account_id = %s AND kind = 'trade_update'", [accounts["classic"].pk]
        )

    assert "fill 3: event is missing" in replayed("--all")[1]


def test_fills_keep_the_fees_they_were_made_under(accounts: dict[str, TradingAccount], market: Market) -> None:
    values = MarketRules.objects.filter(market=market).values().get()
    new = {name: value for name, value in values.items() if name != "id"}
    MarketRules.objects.create(**new | {"number": 2, "taker_fee_rate": D("0.5"), "maker_fee_rate": D("0.4")})
    forget_markets()

    assert replayed("--all")[0] == 0


def test_an_account_that_is_none_is_refused() -> None:
    with pytest.raises(CommandError):
        call_command("replay_fills", stderr=StringIO())


@pytest.mark.django_db
def test_an_unknown_account_is_refused() -> None:
    assert replayed("--account", str(uuid4()))[0] == 2
