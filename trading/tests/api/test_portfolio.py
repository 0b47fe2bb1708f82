"""Equity curve and risk figures over HTTP, against what an account did."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection

from astrade.core.clock import system_clock, to_ms
from marketdata.timeframes import open_time_ms
from trading.api import report_schemas, schemas
from trading.domain.lifecycle import EntryKind, LedgerAccount, Side
from trading.models import ClosedPosition, EquitySnapshot, Fill, JournalEntry, TradingAccount
from trading.moments import first_number_from
from trading.services.bookings import booking, present_board
from trading.services.snapshots import snapshots_of, take_snapshots
from trading.tests.api.client import Trader
from trading.tests.conftest import Feed
from trading.tests.factories import D, open_account, place, ref

HOUR = timedelta(hours=1)
At = Callable[[int], datetime]


@pytest.fixture
def trader(feed: Feed) -> Trader:
    """With a market around 100."""
    return Trader()


@pytest.fixture
def hours_ago() -> At:
    """Begins of the last hours, counted back from the present one."""
    now = system_clock()
    this = now.replace(minute=0, second=0, microsecond=0)
    return lambda hours: this - hours * HOUR


def history(trader: Trader, **asked: Any) -> Any:
    """The curve by hour unless said; times may be instants."""
    asked = {"interval": "1h", **asked}
    query = "&".join(f"{name}={to_ms(v) if isinstance(v, datetime) else v}" for name, v in asked.items())
    return trader.api.get(f"/portfolio/history?{query}")


def test_curve_pnl_and_return_with_deposits_taken_out(trader: Trader, feed: Feed, hours_ago: At) -> None:
    """10,000; then 10 at 101 and the mark at 110; then 5,000 more; then the mark at 120."""
    take_snapshots(hours_ago(4))
    trader.place(quantity="1")  # at 101, fee 0.101
    feed(bids=(("109", "9"),), asks=(("111", "9"),), sequence=2)
    take_snapshots(hours_ago(3))
    trader.api.post("/deposits/faucet", {"amount": "5000"})
    take_snapshots(hours_ago(2))
    feed(bids=(("119", "9"),), asks=(("121", "9"),), sequence=3)
    take_snapshots(hours_ago(1))

    answer = history(trader, **{"from": hours_ago(4), "to": hours_ago(1)}).data

    assert set(answer) == set(report_schemas.PortfolioHistoryOut().fields)
    points = answer["points"]
    assert all(set(point) == set(report_schemas.CurvePointOut().fields) for point in points)
    assert [point["at"] for point in points] == [to_ms(hours_ago(n)) for n in (3, 2, 1)]
    assert [point["equity"] for point in points] == ["10008.899", "15008.899", "15018.899"]
    assert [point["net_deposits"] for point in points] == ["0", "5000", "0"]
    assert [point["pnl"] for point in points] == ["8.899", "0", "10"]
    first, last = D("8.899") / 10_000, D(10) / D("15008.899")
    assert [D(point["return"]) for point in points] == [
        pytest.approx(value, abs=D("1e-8")) for value in (first, D(0), last)
    ]
    assert D(answer["time_weighted_return"]) == pytest.approx((1 + first) * (1 + last) - 1, abs=D("1e-8"))
    assert (answer["starting_equity"], answer["ending_equity"]) == ("10000", "15018.899")
    assert (answer["net_deposits"], answer["pnl"]) == ("5000", "18.899")
    assert points[-1]["cumulative_return"] == answer["time_weighted_return"]


def test_a_transfer_out_and_back_is_no_result(trader: Trader, hours_ago: At) -> None:
    other = open_account(user=trader.user, balance="0")
    take_snapshots(hours_ago(3))
    there = {"from_account": str(trader.account.uuid), "to_account": str(other.uuid), "amount": "4000"}
    trader.api.post("/transfers", there)
    take_snapshots(hours_ago(2))
    trader.api.post("/transfers", {**there, "from_account": there["to_account"], "to_account": there["from_account"]})
    take_snapshots(hours_ago(1))

    for account in (trader.account, other):
        answer = history(trader, account=account.uuid, **{"from": hours_ago(3), "to": hours_ago(1)}).data
        assert [point["pnl"] for point in answer["points"]] == ["0", "0"]
        assert answer["time_weighted_return"] == "0"
        assert answer["net_deposits"] == "0"
    assert [D(point["net_deposits"]) for point in answer["points"]] == [4000, -4000]


def test_the_curve_ends_at_present_and_begins_from_nothing(trader: Trader, feed: Feed) -> None:
    trader.place(quantity="1")
    feed(bids=(("89", "9"),), asks=(("91", "9"),), sequence=2)

    answer = history(trader).data

    (point,) = answer["points"]
    assert (point["equity"], point["net_deposits"], point["pnl"]) == ("9988.899", "10000", "-11.101")
    assert answer["starting_equity"] == "0"
    assert D(answer["time_weighted_return"]) == D("-0.0011101")
    assert point["at"] == point["snapshot_at"] == answer["to"]
    assert not point["bridged"]


def test_a_missing_snapshot_is_bridged(trader: Trader, feed: Feed, hours_ago: At) -> None:
    take_snapshots(hours_ago(5))
    trader.place(quantity="1")
    take_snapshots(hours_ago(2) - timedelta(minutes=20))

    points = history(trader, **{"from": hours_ago(5), "to": hours_ago(1)}).data["points"]

    assert [point["bridged"] for point in points] == [True, True, False, True]
    assert [point["pnl"] for point in points] == ["0", "0", "-1.101", "0"]
    assert points[1]["snapshot_at"] == to_ms(hours_ago(5))
    assert points[3]["equity"] == points[2]["equity"] == "9998.899"


def test_days_and_weeks_begin_at_utc_midnight_and_monday(trader: Trader, hours_ago: At) -> None:
    take_snapshots(hours_ago(1))
    take_snapshots(hours_ago(24 * 15))

    for interval, count in (("1d", 15), ("1w", 2)):
        answer = history(trader, interval=interval, **{"from": hours_ago(24 * 15)}).data
        assert answer["from"] == open_time_ms(to_ms(hours_ago(24 * 15)), timeframe=interval)
        *ends, present = [point["at"] for point in answer["points"]]
        assert all(open_time_ms(at, timeframe=interval) == at for at in ends)
        assert count <= len(ends) <= count + 1
        assert present == answer["to"]


@pytest.mark.parametrize(
    "query",
    [
        *("interval=1m", "interval=2d", "interval=", "from=x", "to=-1", "from=5&to=5", "from=9999999999999"),
        "interval=5m&from=1",
    ],
)
def test_periods_that_make_no_sense(trader: Trader, query: str) -> None:
    for path in ("history", "risk"):
        assert trader.api.get(f"/portfolio/{path}?{query}").error == (400, 1001)


def test_a_closed_account_keeps_its_curve(trader: Trader, hours_ago: At) -> None:
    take_snapshots(hours_ago(1))
    trader.api.post(f"{trader.path}/reset")

    answer = history(trader, account=trader.account.uuid).data
    assert answer["ending_equity"] == "10000"
    assert answer["points"][-1]["snapshot_at"] == to_ms(hours_ago(1))


def test_figures_of_strangers_are_not_found(trader: Trader) -> None:
    theirs = Trader().account.uuid

    for path in ("history", "risk"):
        assert trader.api.get(f"/portfolio/{path}?account={theirs}").error == (404, 1002)
    assert trader.api.get(f"/accounts/{theirs}/statement").error == (404, 1002)


# Snapshots


def test_snapshots_add_up_what_came_and_went(trader: Trader, hours_ago: At) -> None:
    take_snapshots(hours_ago(3))
    trader.place(quantity="1")
    trader.api.post("/deposits/faucet", {"amount": "7"})
    with booking(ref(trader.account)) as batch:
        for kind in (EntryKind.BONUS, EntryKind.ADJUSTMENT):
            batch.post(kind, amount=D(100), against=LedgerAccount.ADJUSTMENTS, reference=f"test:{kind}")
        batch.post(EntryKind.FUNDING, amount=D(-3), against=LedgerAccount.FUNDING, reference="test:funding")
        batch.emit("balance_update", {})
    take_snapshots(hours_ago(2))

    first, second = EquitySnapshot.objects.order_by("at")
    assert (first.flows, first.unit_value, second.flows) == (10_000, 1, 10_207)
    assert second.equity == 10_207 - D("1.101") - 3
    assert second.unit_value == pytest.approx(second.equity / 10_207)


@pytest.mark.django_db(transaction=True)
def test_a_snapshot_never_splits_a_booking(feed: Feed) -> None:
    """Money that comes between the two reads of a snapshot is in both or in neither."""
    account, board, at = open_account(), present_board(), system_clock()
    done = threading.Event()

    def keep_booking() -> None:
        for number in range(200):
            with booking(ref(account)) as batch:
                batch.post(EntryKind.BONUS, amount=D(1), against=LedgerAccount.ADJUSTMENTS, reference=f"test:{number}")
                batch.emit("balance_update", {})
        done.set()
        connection.close()

    writer = threading.Thread(target=keep_booking)
    writer.start()
    taken: list[EquitySnapshot] = []
    while not done.is_set():
        taken += snapshots_of([account.pk] * 100, board=board, at=at)  # many chances to come between
    writer.join()
    (last,) = snapshots_of([account.pk], board=board, at=at)

    assert last.equity == last.flows == 10_200
    assert all(snapshot.equity == snapshot.flows for snapshot in taken)
    assert all(snapshot.unit_value == 1 for snapshot in taken)


# Risk


def test_risk_of_an_account_that_did_nothing_is_null(trader: Trader) -> None:
    risk = trader.api.get("/portfolio/risk").data

    assert set(risk) == set(report_schemas.PortfolioRiskOut().fields)
    undefined = (
        "volatility",
        "max_drawdown",
        "sharpe_ratio",
        "win_rate",
        "profit_factor",
        "expectancy",
        "largest_loss",
    )
    assert {name: risk[name] for name in undefined} == dict.fromkeys(undefined)
    assert {name: risk[name] for name in ("trades", "gross_exposure", "net_exposure", "gross_leverage")} == {
        "trades": 0, "gross_exposure": "0", "net_exposure": "0", "gross_leverage": "0",
    }  # fmt: skip


def test_exposure_of_a_long_and_of_a_short(trader: Trader) -> None:
    trader.place(quantity="2", leverage=5)
    long = trader.api.get("/portfolio/risk").data
    trader.place(side="sell", quantity="3")
    short = trader.api.get("/portfolio/risk").data

    assert (long["gross_exposure"], long["net_exposure"]) == ("200", "200")
    assert (short["gross_exposure"], short["net_exposure"]) == ("100", "-100")
    assert D(short["net_leverage"]) == -D(short["gross_leverage"]) < 0
    assert D(long["gross_leverage"]) == pytest.approx(200 / D(long["equity"]), abs=D("1e-8"))


def test_trades_are_closed_positions_with_fees_and_funding(trader: Trader, feed: Feed) -> None:
    """Two losses at an unmoved price, then a win."""
    for sequence, quantity in ((11, "1"), (12, "0.5")):
        feed(sequence=sequence)
        place(trader.account, quantity)
        place(trader.account, quantity, side=Side.SELL)
    feed(sequence=13)
    place(trader.account, "1")
    feed(bids=(("109", "9"),), asks=(("111", "9"),), sequence=14)
    place(trader.account, "1", side=Side.SELL)
    ClosedPosition.objects.filter(number=4).update(funding=D("-0.25"))

    risk = trader.api.get("/portfolio/risk").data

    rows = ClosedPosition.objects.order_by("number")
    results = [row.realized_pnl - row.fees + row.funding for row in rows]
    assert (results[0], results[1] < 0, results[2] > 0) == (D("-2.2"), True, True)
    assert (risk["trades"], D(risk["largest_loss"])) == (3, D("-2.2"))
    figures = {name: D(risk[name]) for name in ("win_rate", "profit_factor", "expectancy")}
    assert figures == {
        "win_rate": D("0.33333333"),
        "profit_factor": pytest.approx(results[2] / -sum(results[:2]), abs=D("1e-8")),
        "expectancy": pytest.approx(sum(results) / 3, abs=D("1e-8")),
    }


def test_volatility_drawdown_and_sharpe_over_the_curve(trader: Trader, feed: Feed, hours_ago: At) -> None:
    trader.place(quantity="5", leverage=1)
    for hours, middle in ((5, 100), (4, 120), (3, 90), (2, 110)):
        feed(bids=((str(middle - 1), "9"),), asks=((str(middle + 1), "9"),), sequence=10 - hours)
        take_snapshots(hours_ago(hours))
    query = f"interval=1h&from={to_ms(hours_ago(6))}&to={to_ms(hours_ago(2))}"

    risk = trader.api.get(f"/portfolio/risk?{query}").data

    equities = [snapshot.equity for snapshot in EquitySnapshot.objects.order_by("at")]
    assert D(risk["max_drawdown"]) == pytest.approx((equities[1] - equities[2]) / equities[1], abs=D("1e-8"))
    returns = [float(after / before - 1) for before, after in pairwise(equities)]
    mean = sum(returns) / 3
    deviation = (sum((value - mean) ** 2 for value in returns) / 2) ** 0.5
    assert float(risk["volatility"]) == pytest.approx(deviation * (365 * 24) ** 0.5, rel=1e-6)
    assert float(risk["sharpe_ratio"]) == pytest.approx(mean / deviation * (365 * 24) ** 0.5, rel=1e-6)


# Closed positions


@pytest.fixture
def closings(trader: Trader) -> list[datetime]:
    """When five positions were closed."""
    for _ in range(5):
        trader.place(quantity="0.1")
        trader.place(side="sell", quantity="0.1")
    return list(ClosedPosition.objects.order_by("number").values_list("closed_at", flat=True))


def test_closed_positions_by_page_symbol_and_time(trader: Trader, closings: list[datetime]) -> None:
    path = "/account/positions/history"
    rows = trader.api.get(path).data
    assert len(rows) == 5
    assert set(rows[0]) == set(schemas.PositionOut().fields)
    assert (rows[0]["fees"], rows[0]["funding"]) == ("0.02", "0")

    page = trader.api.get(f"{path}?limit=2")
    assert page.data == rows[:2]
    assert trader.api.get(f"{path}?limit=2&cursor={page.content['pagination']['cursor']}").data == rows[2:4]
    assert trader.api.get(f"{path}?symbol=NOTHING").error == (400, 2000)
    first, last = to_ms(closings[0]), to_ms(closings[-1])
    assert trader.api.get(f"{path}?symbol=BTC-USD&from={first}&to={last + 1}").data == rows
    assert trader.api.get(f"{path}?to={first}").data == []
    assert trader.api.get(f"{path}?from={last + 1}").data == []
    assert trader.api.get(f"{path}?from=x").error == (400, 1001)


def test_numbers_of_moments_against_a_count(trader: Trader, closings: list[datetime]) -> None:
    trader.account.refresh_from_db()
    for model, count in ((Fill, trader.account.fill_count), (JournalEntry, trader.account.entry_count)):
        times = list(model.objects.filter(account=trader.account).order_by("number").values_list("at", flat=True))
        for step in (timedelta(0), timedelta(microseconds=1), timedelta(microseconds=-1)):
            for at in times:
                expected = 1 + sum(earlier < at + step for earlier in times)
                found = first_number_from(model, account_id=trader.account.pk, count=count, at=at + step)
                assert found == expected
    assert first_number_from(Fill, account_id=0, count=0, at=closings[0]) == 1


def test_what_the_upgrade_makes_of_earlier_snapshots(trader: Trader) -> None:
    """Snapshots of before flows were noted get the opening deposit and the growth since."""
    from importlib import import_module

    take_snapshots(system_clock())
    EquitySnapshot.objects.update(flows=0, unit_value=1, equity=11_000)
    with connection.cursor() as cursor:
        cursor.execute(import_module("trading.migrations.0009_portfolio").SNAPSHOTS)

    snapshot = EquitySnapshot.objects.get()
    assert (snapshot.flows, snapshot.unit_value) == (10_000, D("1.1"))


def test_only_the_primary_account_unless_another_is_named(trader: Trader, hours_ago: At) -> None:
    other: TradingAccount = open_account(user=trader.user, balance="500")

    assert history(trader).data["ending_equity"] == "10000"
    assert history(trader, account=other.uuid).data["ending_equity"] == "500"
    assert trader.api.get("/portfolio/risk", X_Account_Id=str(other.uuid)).data["equity"] == "500"
