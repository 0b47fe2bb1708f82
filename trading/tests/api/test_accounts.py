"""Accounts, balances, positions, ledger and events over HTTP."""

from typing import Any
from uuid import uuid4

import pytest

from accounts.tests.client import Api, some_email
from accounts.tests.factories import PASSWORD
from trading.api import report_schemas, schemas
from trading.models import TradingAccount
from trading.tests.api.client import ORDER, Trader
from trading.tests.conftest import Feed, make_market
from trading.tests.factories import D, open_account, place


@pytest.fixture
def trader(feed: Feed) -> Trader:
    """With a market around 100."""
    return Trader()


def test_sign_up_comes_with_a_practice_account(api: Api, market: Any) -> None:
    body = {"email": some_email(), "password": PASSWORD}
    token = api.post("/auth/signup", body).data["access_token"]

    (account,) = api.bearer(token).get("/accounts").data

    assert set(account) == set(schemas.AccountOut().fields)
    shown = {name: account[name] for name in ("primary", "is_demo", "state", "balance", "equity", "max_leverage")}
    assert shown == {
        "primary": True, "is_demo": True, "state": "active", "balance": "10000", "equity": "10000", "max_leverage": 10,
    }  # fmt: skip


def test_open_read_change_and_close_an_account(trader: Trader) -> None:
    opened = trader.api.post("/accounts", {"name": "Swing", "initial_balance": 2500.5, "is_demo": True})
    path = f"/accounts/{opened.data['id']}"

    assert (opened.status, opened.data["balance"], opened.data["primary"]) == (201, "2500.5", False)
    assert trader.api.get(path).data == opened.data
    assert [row["name"] for row in trader.api.get("/accounts").data] == ["Swing", "Practice"]
    changed = trader.api.patch(path, {"primary": True, "max_leverage": 20, "max_daily_loss": "100", "version": 1}).data
    assert (changed["primary"], changed["max_leverage"], changed["max_daily_loss"], changed["version"]) == (
        True, 20, "100", 2,
    )  # fmt: skip
    assert trader.api.patch(path, {"name": "Late", "version": 1}).error == (409, 1006)
    assert trader.api.get("/account/balance").data["balance"] == "2500.5"
    assert trader.api.delete(path).data["state"] == "closed"
    assert trader.api.post(f"{path}/orders", ORDER).error == (403, 3016)
    assert trader.api.get("/account/balance").data["balance"] == "10000"


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"initial_balance": "100000.01"}, (400, 4003)),
        ({"initial_balance": "-1"}, (400, 1001)),
        ({"is_demo": False, "initial_balance": "5"}, (400, 1001)),
        ({"venue": "extended", "initial_balance": "5"}, (400, 1001)),
        ({"max_leverage": 0}, (400, 1001)),
        ({"max_leverage": 101}, (400, 1001)),
        ({"max_daily_loss": "0"}, (400, 1001)),
        ({"name": "a\u0000b"}, (400, 1001)),
        ({"name": ""}, (400, 1001)),
        ({"simulator": "optimistic"}, (400, 1001)),
    ],
)
def test_accounts_nobody_can_have(trader: Trader, body: dict[str, Any], refusal: tuple[int, int]) -> None:
    assert trader.api.post("/accounts", body).error == refusal
    assert TradingAccount.objects.count() == 1


def test_opening_is_idempotent(trader: Trader) -> None:
    first, second = (trader.api.post("/accounts", {"name": "Once"}, Idempotency_Key="k") for _ in range(2))

    assert second.data == first.data
    assert second.headers["Idempotent-Replayed"] == "true"
    assert trader.api.post("/accounts", {"name": "Other"}, Idempotency_Key="k").error == (409, 1005)
    assert TradingAccount.objects.count() == 2


def test_closing_is_refused_while_something_is_open(trader: Trader) -> None:
    trader.rest()

    assert trader.api.delete(trader.path).error == (409, 4005)


def test_balance_in_all_its_forms(trader: Trader) -> None:
    trader.place(quantity="2", leverage=5)  # 203; the mark is 100

    balance = trader.api.get("/account/balance").data
    assert set(balance) == set(schemas.BalanceOut().fields)
    shown = {name: balance[name] for name in balance if name != "assets"}
    assert shown == {
        "balance": "9999.797", "equity": "9996.797", "margin_used": "40", "margin_available": "9956.797",
        "held": "0", "margin_ratio": "0.0002", "withdrawable": "9956.797", "unrealized_pnl": "-3",
    }  # fmt: skip
    assert balance["assets"] == [{"asset": "USD", "free": "9959.797", "locked": "40", "total": "9999.797"}]
    assert trader.api.get("/account").data == balance
    portfolio = trader.api.get("/portfolio/balance").data
    assert set(portfolio) == set(schemas.PortfolioOut().fields)
    assert (portfolio["total_equity"], len(portfolio["accounts"])) == ("9996.797", 1)
    assert set(portfolio["accounts"][0]) == set(schemas.AccountTotalOut().fields)


def test_portfolio_adds_accounts_up(trader: Trader) -> None:
    open_account(user=trader.user, balance="500")
    closed = open_account(user=trader.user, balance="7")
    trader.api.delete(f"/accounts/{closed.uuid}")

    portfolio = trader.api.get("/portfolio/balance").data

    assert (portfolio["total_balance"], len(portfolio["accounts"])) == ("10500", 2)


# Positions


def test_positions_open_partly_closed_and_closed(trader: Trader) -> None:
    trader.place(quantity="1", leverage=2)
    (position,) = trader.api.get("/account/positions").data

    assert set(position) == set(schemas.PositionOut().fields)
    shown = {name: position[name] for name in ("side", "quantity", "entry_price", "mark_price", "unrealized_pnl")}
    assert shown == {"side": "long", "quantity": "1", "entry_price": "101", "mark_price": "100", "unrealized_pnl": "-1"}
    path = f"{trader.path}/positions"
    assert trader.api.get(path).data == [position]
    assert trader.api.get(f"{path}/{position['id']}").data == position
    (everywhere,) = trader.api.get("/positions").data
    assert everywhere == position | {"account_id": str(trader.account.uuid)}
    assert set(everywhere) == set(schemas.AccountPositionOut().fields)

    part = trader.api.post(f"{path}/close", {"position_id": position["id"], "size": "0.4"}).data
    assert (part["side"], part["filled_quantity"], part["reduce_only"]) == ("sell", "0.4", True)
    trader.api.post(f"{path}/close", {"symbol": "BTC-USD"})

    assert trader.api.get(path).data == []
    (closed,) = trader.api.get(f"{path}?is_open=false").data
    assert closed["id"] == position["id"]
    assert (closed["quantity"], closed["entry_price"], closed["is_open"]) == ("1", "101", False)
    assert D(closed["realized_pnl"]) == D("0.4") * -2 + D("0.6") * 99 - D("0.6") * 101
    assert trader.api.get("/account/positions/history").data == [closed]
    assert trader.api.get(f"{path}/{closed['id']}").data == closed
    assert trader.api.get("/account/positions/history?symbol=BTC-USD").data == [closed]


def test_closing_a_position_is_safe_to_send_again(trader: Trader) -> None:
    trader.place()

    first, second = (
        trader.api.post(f"{trader.path}/positions/close", {"symbol": "BTC-USD"}, Idempotency_Key="close")
        for _ in range(2)
    )

    assert second.data == first.data
    assert second.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({}, (400, 1001)),
        ({"symbol": "BTC-USD", "position_id": str(uuid4())}, (400, 1001)),
        ({"symbol": "BTC-USD", "quantity": "2"}, (400, 3006)),
        ({"symbol": "BTC-USD", "quantity": "0"}, (400, 1001)),
        ({"symbol": "NOTHING"}, (400, 2000)),
        ({"position_id": str(uuid4())}, (404, 1002)),
        ({"position_id": "x"}, (400, 1001)),
    ],
)
def test_closings_that_make_no_sense(trader: Trader, body: dict[str, Any], refusal: tuple[int, int]) -> None:
    trader.place()

    assert trader.api.post(f"{trader.path}/positions/close", body).error == refusal
    assert trader.api.get("/positions").data[0]["quantity"] == "1"


# Leverage and fees


@pytest.mark.django_db(transaction=True)
def test_leverage_is_set_in_a_transaction_of_its_own(trader: Trader) -> None:
    for leverage in (3, 4):
        assert trader.api.patch("/account/leverage", {"symbol": "BTC-USD", "leverage": leverage}).data == {
            "symbol": "BTC-USD",
            "leverage": leverage,
            "max_leverage": 10,
        }


def test_leverage_per_market(trader: Trader) -> None:
    make_market("ETH-USD", max_leverage=3)

    assert trader.api.patch("/account/leverage", {"symbol": "btc-usd", "leverage": 7}).data == {
        "symbol": "BTC-USD", "leverage": 7, "max_leverage": 10,
    }  # fmt: skip
    assert trader.api.get("/account/leverage").data == [
        {"symbol": "BTC-USD", "leverage": 7, "max_leverage": 10},
        {"symbol": "ETH-USD", "leverage": 1, "max_leverage": 3},
    ]
    assert trader.api.get("/account/leverage?symbol=ETH-USD").data[0]["leverage"] == 1
    assert trader.api.patch("/account/leverage", {"symbol": "ETH-USD", "leverage": 4}).error == (400, 3005)
    assert trader.api.patch("/account/leverage", {"symbol": "ETH-USD", "leverage": 0}).error == (400, 1001)
    assert trader.api.patch("/account/leverage", {"symbol": "NOTHING", "leverage": 2}).error == (400, 2000)


def test_fees_as_the_account_pays_them(trader: Trader) -> None:
    (fees,) = trader.api.get("/account/fees?symbol=BTC-USD").data
    assert fees == {
        "symbol": "BTC-USD", "maker_fee_rate": "0.0005", "taker_fee_rate": "0.001", "minimum_fee": "0",
    }  # fmt: skip
    assert set(fees) == set(schemas.FeeOut().fields)
    classic = open_account(user=trader.user, simulator="classic")
    (fees,) = trader.api.get(f"/account/fees?account={classic.uuid}").data
    assert (fees["taker_fee_rate"], fees["minimum_fee"]) == ("0.0002", "0.01")


# Ledger and events


def test_ledger_shows_every_cent_with_a_running_balance(trader: Trader) -> None:
    trader.place()
    trader.place(side="sell")

    lines = trader.api.get(f"{trader.path}/ledger").data

    assert [(line["number"], line["kind"], line["amount"], line["running_balance"]) for line in lines] == [
        (4, "commission", "-0.099", "9997.8"),
        (3, "trade_pnl", "-2", "9997.899"),
        (2, "commission", "-0.101", "9999.899"),
        (1, "deposit", "10000", "10000"),
    ]
    assert set(lines[0]) == set(report_schemas.LedgerLineOut().fields)
    assert isinstance(lines[0]["at"], int)
    page = trader.api.get(f"{trader.path}/ledger?limit=3")
    assert page.content["pagination"] == {"cursor": 2, "count": 3}
    assert [line["number"] for line in trader.api.get(f"{trader.path}/ledger?cursor=2").data] == [1]


def test_events_from_a_sequence_on(trader: Trader) -> None:
    trader.place()

    events = trader.api.get("/events").data
    assert [event["sequence"] for event in events] == [1, 2, 3, 4, 5]
    assert [event["type"] for event in events] == [
        "balance_update", "trade_update", "order_update", "position_update", "balance_update",
    ]  # fmt: skip
    assert all(set(event) == set(schemas.EventOut().fields) for event in events)
    assert trader.api.get("/events?after=3").data == events[3:]
    page = trader.api.get("/events?after=1&limit=2")
    assert (page.data, page.content["pagination"]) == (events[1:3], {"cursor": 3, "count": 2})
    assert trader.api.get("/events?after=5").data == []
    for query in ("after=-1", "after=x", "limit=0", "limit=1001", "after=99999999999999999999"):
        assert trader.api.get(f"/events?{query}").error == (400, 1001)


# Which account


def test_header_or_query_picks_another_account(trader: Trader) -> None:
    other = open_account(user=trader.user, balance="500")
    uuid = str(other.uuid)

    assert trader.api.get("/account/balance", X_Account_Id=uuid).data["balance"] == "500"
    assert trader.api.get(f"/account/balance?account={uuid}").data["balance"] == "500"
    assert trader.api.post("/orders", ORDER, X_Account_Id=uuid).data["account_id"] == uuid
    assert trader.api.get(f"/orders?account={uuid}", X_Account_Id=str(uuid4())).error == (400, 1001)
    assert trader.api.get("/orders?account=nonsense").error == (400, 1001)
    assert trader.api.get("/orders", X_Account_Id="nonsense").error == (400, 1001)


# Invariant 7: nobody reaches what is another's

READS = (
    "/accounts/{a}",
    "/accounts/{a}/ledger",
    "/accounts/{a}/orders",
    "/accounts/{a}/orders/{o}",
    "/accounts/{a}/positions",
    "/accounts/{a}/positions?is_open=false",
    "/accounts/{a}/positions/{p}",
    "/account?account={a}",
    "/account/balance?account={a}",
    "/account/fees?account={a}",
    "/account/leverage?account={a}",
    "/account/positions?account={a}",
    "/account/positions/history?account={a}",
    "/orders?account={a}",
    "/orders/history?account={a}",
    "/orders/{o}",
    "/orders/{o}?account={a}",
    "/trades?account={a}",
    "/events?account={a}",
)
WRITES: tuple[tuple[str, str, Any], ...] = (
    ("PATCH", "/accounts/{a}", {"name": "mine"}),
    ("DELETE", "/accounts/{a}", None),
    ("POST", "/accounts/{a}/orders", ORDER),
    ("DELETE", "/accounts/{a}/orders", None),
    ("DELETE", "/accounts/{a}/orders/{o}", None),
    ("DELETE", "/orders/{o}", None),
    ("DELETE", "/orders?account={a}", None),
    ("POST", "/orders?account={a}", ORDER),
    ("POST", "/orders/preview?account={a}", ORDER),
    ("POST", "/accounts/{a}/positions/close", {"symbol": "BTC-USD"}),
    ("POST", "/accounts/{a}/positions/close", {"position_id": "{p}"}),
    ("PATCH", "/account/leverage?account={a}", {"symbol": "BTC-USD", "leverage": 2}),
)
IN_HEADER = ("/account", "/account/balance", "/account/positions", "/orders", "/orders/history", "/trades", "/events")


def owned(trader: Trader) -> dict[str, str]:
    """Ids of the trader's account, open order and open position."""
    trader.place()
    order = trader.rest().data
    (position,) = trader.api.get("/positions").data
    return {"a": str(trader.account.uuid), "o": order["id"], "p": position["id"]}


def state_of(trader: Trader) -> list[Any]:
    """What the owner sees."""
    paths = ("/accounts", "/orders", "/positions", "/events", f"{trader.path}/ledger", "/account/leverage")
    return [trader.api.get(path).data for path in paths]


def test_a_stranger_finds_nothing_on_any_path_query_or_header(trader: Trader) -> None:
    ids, stranger = owned(trader), Trader()
    bound = stranger.with_key("read", "trade", account=stranger.account)
    before, theirs = state_of(trader), state_of(stranger)

    for api in (stranger.api, bound):
        for path in READS:
            assert (path, api.get(path.format(**ids)).error) == (path, (404, 1002))
        for method, path, body in WRITES:
            sent = {"position_id": ids["p"]} if body and "position_id" in body else body
            assert (method, path, api.call(method, path.format(**ids), sent).error) == (method, path, (404, 1002))
        for path in IN_HEADER:
            assert (path, api.get(path, X_Account_Id=ids["a"]).error) == (path, (404, 1002))
        assert api.post("/orders", ORDER, X_Account_Id=ids["a"]).error == (404, 1002)
        assert api.get("/positions").data == []
        assert [row["id"] for row in api.get("/accounts").data] == [str(stranger.account.uuid)]

    assert state_of(trader) == before
    assert state_of(stranger) == theirs
    assert not trader.account.refusals.exists()


def test_a_bound_key_reaches_its_account_only(trader: Trader) -> None:
    other = open_account(user=trader.user, balance="500")
    place(other, price="95")
    ids, bound = owned(trader), trader.with_key("read", "trade", account=other)

    assert bound.get("/account/balance").data["balance"] == "500"
    assert bound.get("/account/balance", X_Account_Id=str(other.uuid)).data["balance"] == "500"
    assert [row["id"] for row in bound.get("/accounts").data] == [str(other.uuid)]
    assert bound.post("/orders", ORDER).data["account_id"] == str(other.uuid)
    for path in READS:
        assert (path, bound.get(path.format(**ids)).error) == (path, (404, 1002))
    for path in IN_HEADER:
        assert (path, bound.get(path, X_Account_Id=ids["a"]).error) == (path, (404, 1002))
    assert bound.post(f"/accounts/{ids['a']}/orders", ORDER).error == (404, 1002)
    assert {row["account_id"] for row in bound.get("/positions").data} == {str(other.uuid)}
    assert len(bound.get("/portfolio/balance").data["accounts"]) == 1
    assert bound.post("/accounts", {}).error == (403, 1105)
