"""Statements: what they add up to, and what a spreadsheet makes of them."""

import csv
from io import StringIO
from typing import Any

import pytest
from django.test import Client

from astrade.core.clock import to_ms
from trading import statements
from trading.api import report_schemas
from trading.api.views import portfolio
from trading.domain.lifecycle import EntryKind, LedgerAccount
from trading.models import CashBalance, JournalEntry
from trading.services.bookings import booking
from trading.statements import cell_of
from trading.tests.api.client import Trader
from trading.tests.conftest import Feed
from trading.tests.factories import AT, D, open_account, ref
from trading.verification import CHECKS, run_check


@pytest.fixture
def trader(feed: Feed) -> Trader:
    """Who bought, sold, sent and got: eight ledger lines."""
    trader = Trader()
    trader.place()
    trader.place(side="sell")
    other = open_account(user=trader.user, balance="0")
    body = {"from_account": str(trader.account.uuid), "to_account": str(other.uuid), "amount": "250.5"}
    trader.api.post("/transfers", body)
    trader.api.post("/deposits/faucet", {"amount": "40"})
    with booking(ref(trader.account)) as batch:
        batch.post(EntryKind.WITHDRAWAL, amount=D("-1.5"), against=LedgerAccount.EXTERNAL, reference="test")
        batch.post(EntryKind.BONUS, amount=D(9), against=LedgerAccount.ADJUSTMENTS, reference="=HYPERLINK(1)")
        batch.emit("balance_update", {})
    return trader


def statement(trader: Trader, query: str = "") -> Any:
    """The statement as JSON."""
    return trader.api.get(f"{trader.path}/statement?{query}")


def csv_rows(trader: Trader, query: str = "") -> list[dict[str, str]]:
    """The statement as CSV, read by a spreadsheet's rules."""
    path = f"/api/v1{trader.path}/statement?format=csv&{query}"
    response: Any = Client(REMOTE_ADDR=trader.api.address).get(path, headers=trader.api.headers)
    assert response.status_code == 200
    assert response.streaming
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"].startswith(f'attachment; filename="statement-{trader.account.uuid}')
    return list(csv.DictReader(StringIO(b"".join(response.streaming_content).decode())))


def test_a_statement_adds_up(trader: Trader) -> None:
    whole = statement(trader).data

    assert set(whole) == set(report_schemas.StatementOut().fields)
    assert whole["sums"] == {
        "bonus": "9", "commission": "-0.2", "deposit": "10040", "trade_pnl": "-2", "transfer": "-250.5",
        "withdrawal": "-1.5",
    }  # fmt: skip
    shown = {name: whole[name] for name in ("opening_balance", "closing_balance", "fees", "funding", "realized_pnl")}
    assert shown == {
        "opening_balance": "0", "closing_balance": "9794.8", "fees": "0.2", "funding": "0", "realized_pnl": "-2",
    }  # fmt: skip
    assert [line["number"] for line in whole["lines"]] == list(range(1, 9))
    assert set(whole["lines"][0]) == set(report_schemas.LedgerLineOut().fields)
    assert sum(D(line["amount"]) for line in whole["lines"]) == D(whole["closing_balance"])
    assert CashBalance.objects.get(account=trader.account).balance == D(whole["closing_balance"])
    assert [finding for name in CHECKS for finding in run_check(name)] == []
    assert trader.api.get(f"{trader.path}/ledger").data == whole["lines"][::-1]


def test_funding_has_its_own_sum(trader: Trader) -> None:
    for amount in ("-1.5", "0.25"):
        with booking(ref(trader.account)) as batch:
            batch.post(EntryKind.FUNDING, amount=D(amount), against=LedgerAccount.FUNDING, reference="test")
            batch.emit("balance_update", {})

    whole = statement(trader).data
    assert (whole["funding"], whole["sums"]["funding"], whole["closing_balance"]) == ("-1.25", "-1.25", "9793.55")


def test_periods_join_without_a_gap(trader: Trader) -> None:
    """Each line is in one of two periods that meet, wherever they do."""
    whole = statement(trader).data
    moments = sorted(JournalEntry.objects.filter(account=trader.account).values_list("at", flat=True))
    for at in {to_ms(moment) + extra for moment in moments for extra in (0, 1)}:
        before, after = statement(trader, f"to={at}").data, statement(trader, f"from={at}").data
        assert before["lines"] + after["lines"] == whole["lines"]
        assert before["closing_balance"] == after["opening_balance"]
        assert after["closing_balance"] == whole["closing_balance"]
        for part in (before, after):
            total = sum((D(value) for value in part["sums"].values()), D(0))
            assert D(part["closing_balance"]) - D(part["opening_balance"]) == total
            assert part["line_count"] == len(part["lines"])


def test_csv_tells_the_same(trader: Trader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "PAGE", 3)
    whole = statement(trader).data

    opening, *lines, closing = csv_rows(trader)

    assert (opening["kind"], opening["running_balance"]) == ("opening_balance", "0")
    assert (closing["kind"], closing["running_balance"]) == ("closing_balance", whole["closing_balance"])
    for name in ("kind", "asset", "amount", "running_balance", "entry_id"):
        assert [line[name] for line in lines] == [line[name] for line in whole["lines"]]
    assert [int(line["number"]) for line in lines] == list(range(1, 9))
    assert lines[0]["at"].endswith("Z")


def test_a_spreadsheet_calculates_nothing(trader: Trader) -> None:
    lines = csv_rows(trader)

    assert lines[8]["reference"] == "'=HYPERLINK(1)"
    assert [line["amount"] for line in lines if line["kind"] == "withdrawal"] == ["-1.5"]
    for text in ("=1", "+1", "-1", "@a", "\t=1", "\r1", "\n1", " =1", "＝1", "＋1", "－1", "＠1"):
        assert cell_of(text) == f"'{text}"
    assert [cell_of(value) for value in ("a=1", "", 7, D("-1E+2"), AT)] == [
        "a=1",
        "",
        "7",
        "-100",
        "2026-03-01T12:00:00.000Z",
    ]


def test_csv_of_a_period(trader: Trader) -> None:
    at = to_ms(JournalEntry.objects.get(account=trader.account, number=5).at) + 1
    opening, *lines, closing = csv_rows(trader, f"from={at}")

    after = statement(trader, f"from={at}").data
    assert opening["running_balance"] == after["opening_balance"]
    assert [int(line["number"]) for line in lines] == [line["number"] for line in after["lines"]]
    assert D(closing["running_balance"]) == D(opening["running_balance"]) + sum(D(line["amount"]) for line in lines)


def test_json_is_for_what_fits(trader: Trader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portfolio, "LINES_MAX", 7)

    refused = statement(trader)
    assert refused.error == (400, 4003)
    assert refused.content["error"]["details"] == {"lines": 8, "max": 7, "format": "csv"}
    assert len(csv_rows(trader)) == 10


@pytest.mark.parametrize("query", ["from=x", "to=0", "from=5&to=5", "from=1", "format=pdf", "from=99999999999999"])
def test_statements_that_cannot_be(trader: Trader, query: str) -> None:
    assert statement(trader, query).error == (400, 1001)


def test_an_account_without_entries(feed: Feed) -> None:
    trader = Trader()
    empty = open_account(user=trader.user, balance="0")

    nothing = trader.api.get(f"/accounts/{empty.uuid}/statement").data
    assert (nothing["opening_balance"], nothing["closing_balance"], nothing["lines"], nothing["sums"]) == (
        "0",
        "0",
        [],
        {},
    )
