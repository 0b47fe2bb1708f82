"""Transfers, the faucet and the practice reset over HTTP."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from astrade.core.errors import AstradeError
from marketdata.tests.factories import publish
from trading.api import schemas
from trading.domain.funds import faucet, utc_day
from trading.models import Deposit, Event, JournalEntry, MarketSetting, Order, Posting, TradingAccount, Transfer
from trading.tests.api.client import Trader
from trading.tests.conftest import Feed, forget_prices
from trading.tests.factories import AT, AccountStateFactory, D, batch_of, board, open_account, place
from trading.verification import CHECKS, run_check


@pytest.fixture
def trader(feed: Feed) -> Trader:
    """With a market around 100."""
    return Trader()


@pytest.fixture
def other(trader: Trader) -> TradingAccount:
    """The trader's second account, with 500."""
    return open_account(user=trader.user, balance="500")


def transfer_body(trader: Trader, other: TradingAccount, amount: str = "1000", **changes: Any) -> dict[str, Any]:
    """From the first account to the second."""
    body = {"from_account": str(trader.account.uuid), "to_account": str(other.uuid), "asset": "USD", "amount": amount}
    return {**body, **changes}


def cash(*accounts: TradingAccount) -> list[Any]:
    """What the ledger says each account holds, which everything else agrees with."""
    assert [finding for name in CHECKS for finding in run_check(name)] == []
    lines = Posting.objects.filter(ledger_account="cash").order_by("entry__number")
    return [
        lines.filter(entry__account=account).values_list("running_balance", flat=True).last() for account in accounts
    ]


# Transfers


def test_a_transfer_is_two_entries_through_clearing(trader: Trader, other: TradingAccount) -> None:
    made = trader.api.post("/transfers", transfer_body(trader, other, "1234.567891"))

    assert (made.status, set(made.data)) == (201, set(schemas.TransferOut().fields))
    assert (made.data["amount"], made.data["asset"]) == ("1234.567891", "USD")
    assert cash(trader.account, other) == [D("8765.432109"), D("1734.567891")]
    reference = f"transfer:{made.data['id']}"
    entries = JournalEntry.objects.filter(reference=reference, kind="transfer")
    assert {entry.account_id for entry in entries} == {trader.account.pk, other.pk}
    clearing = Posting.objects.filter(entry__in=entries, ledger_account="clearing")
    assert sum(line.amount for line in clearing) == 0
    assert clearing.count() == 2
    for account, balance in ((trader.account, "8765.432109"), (other, "1734.567891")):
        told = Event.objects.filter(account=account).order_by("sequence").last()
        assert told is not None
        assert (told.kind, told.data["balance"]) == ("balance_update", balance)
    row = Transfer.objects.get()
    assert (row.from_account_id, row.to_account_id, row.amount) == (trader.account.pk, other.pk, D("1234.567891"))


def test_a_transfer_happens_once(trader: Trader, other: TradingAccount) -> None:
    first, second = (trader.api.post("/transfers", transfer_body(trader, other), Idempotency_Key="t") for _ in range(2))

    assert second.data == first.data
    assert second.headers["Idempotent-Replayed"] == "true"
    changed = trader.api.post("/transfers", transfer_body(trader, other, "2"), Idempotency_Key="t")
    assert changed.error == (409, 1005)
    assert cash(trader.account, other) == [9000, 1500]


def test_never_more_than_withdrawable(trader: Trader, other: TradingAccount) -> None:
    """A profit on paper can't leave, nor what positions and orders bind."""
    trader.place(quantity="10", leverage=5)
    withdrawable = D(trader.api.get("/account/balance").data["withdrawable"])
    over = f"{withdrawable + D('0.000001'):f}"

    refused = trader.api.post("/transfers", transfer_body(trader, other, over))
    assert refused.error == (400, 4001)
    assert D(refused.content["error"]["details"]["withdrawable"]) == withdrawable
    assert (Transfer.objects.count(), cash(other)) == (0, [500])

    assert trader.api.post("/transfers", transfer_body(trader, other, f"{withdrawable:f}")).status == 201
    assert trader.api.get("/account/balance").data["withdrawable"] == "0"


def test_a_profit_on_paper_stays(trader: Trader, other: TradingAccount, feed: Feed) -> None:
    trader.place(quantity="10", leverage=10)
    feed(bids=(("199", "9"),), asks=(("201", "9"),), sequence=2)
    balance = trader.api.get("/account/balance").data
    assert D(balance["equity"]) > D(balance["balance"])

    over = D(balance["balance"]) - D(balance["margin_used"]) + D("0.01")
    assert trader.api.post("/transfers", transfer_body(trader, other, f"{over:f}")).error == (400, 4001)


@pytest.mark.parametrize("prices", ["none", "old"])
def test_no_transfer_while_positions_cannot_be_valued(
    trader: Trader, other: TradingAccount, prices: str, settings: Any
) -> None:
    trader.place()
    if prices == "none":
        forget_prices()
    else:
        settings.FEED_STALE_AFTER_S = -1

    assert trader.api.post("/transfers", transfer_body(trader, other)).error == (503, 2002)
    back = transfer_body(trader, other, "5", from_account=str(other.uuid), to_account=str(trader.account.uuid))
    assert trader.api.post("/transfers", back).status == 201  # the sender has no position


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"amount": "0.009999"}, (400, 4000)),
        ({"amount": "0"}, (400, 1001)),
        ({"amount": "-1"}, (400, 1001)),
        ({"amount": "1.0000001"}, (400, 1001)),
        ({"amount": "1e30"}, (400, 1001)),
        ({"amount": "10000.01"}, (400, 4001)),
        ({"asset": "BTC"}, (400, 1001)),
        ({"to_account": str(uuid4())}, (400, 4002)),
        ({"from_account": str(uuid4())}, (404, 1002)),
        ({"from_account": "x"}, (400, 1001)),
    ],
)
def test_transfers_that_cannot_be(
    trader: Trader, other: TradingAccount, changes: dict[str, Any], refusal: tuple[int, int]
) -> None:
    assert trader.api.post("/transfers", transfer_body(trader, other, **changes)).error == refusal
    assert cash(trader.account, other) == [10_000, 500]
    assert Transfer.objects.count() == 0


def test_transfers_stay_with_their_user(trader: Trader, other: TradingAccount) -> None:
    stranger = Trader()
    theirs = str(stranger.account.uuid)

    assert trader.api.post("/transfers", transfer_body(trader, other, to_account=theirs)).error == (400, 4002)
    assert trader.api.post("/transfers", transfer_body(trader, other, from_account=theirs)).error == (404, 1002)
    itself = transfer_body(trader, other, to_account=str(trader.account.uuid))
    assert trader.api.post("/transfers", itself).error == (400, 1001)
    assert cash(trader.account, other, stranger.account) == [10_000, 500, 10_000]


def test_dollars_are_one_asset(trader: Trader, other: TradingAccount) -> None:
    assert trader.api.post("/transfers", transfer_body(trader, other, asset="usdt")).data["asset"] == "USD"


def test_closed_and_frozen_accounts_take_no_part(trader: Trader, other: TradingAccount) -> None:
    for state in ("closed", "frozen"):
        TradingAccount.objects.filter(pk=other.pk).update(state=state)
        assert trader.api.post("/transfers", transfer_body(trader, other)).error == (403, 3016)
        back = transfer_body(trader, other, "5", from_account=str(other.uuid), to_account=str(trader.account.uuid))
        assert trader.api.post("/transfers", back).error == (403, 3016)


def test_which_keys_may_transfer(trader: Trader, other: TradingAccount) -> None:
    body = transfer_body(trader, other, "1")

    assert trader.with_key("read", "trade").post("/transfers", body).error == (403, 1106)
    bound = trader.with_key("read", "trade", "withdraw", account=trader.account)
    assert bound.post("/transfers", body).error == (403, 1105)
    assert trader.with_key("withdraw").post("/transfers", body).status == 201


# Faucet


def test_faucet_up_to_its_daily_limit_over_all_accounts(trader: Trader, other: TradingAccount) -> None:
    first = trader.api.post("/deposits/faucet", {"account": str(trader.account.uuid), "amount": "60000"})
    assert (first.status, set(first.data)) == (201, set(schemas.FaucetOut().fields))
    assert first.data["granted_today"] == "60000"
    refused = trader.api.post("/deposits/faucet", {"account": str(other.uuid), "amount": "40000.01"})
    assert refused.error == (400, 4003)
    assert refused.content["error"]["details"] == {
        "amount": "40000.01", "granted_today": "60000", "max_a_day": "100000",
    }  # fmt: skip
    assert trader.api.post("/deposits/faucet", {"account": str(other.uuid), "amount": "40000"}).status == 201
    assert trader.api.post("/deposits/faucet", {"amount": "1"}).error == (400, 4003)

    assert cash(trader.account, other) == [70_000, 40_500]
    entry = JournalEntry.objects.get(reference=f"faucet:{first.data['id']}")
    assert (entry.kind, entry.account_id) == ("deposit", trader.account.pk)
    told = Event.objects.filter(account=trader.account).order_by("sequence").last()
    assert told is not None
    assert (told.kind, told.data["balance"]) == ("balance_update", "70000")


def test_another_user_and_another_day_have_their_own_limit(trader: Trader) -> None:
    stranger = Trader()
    assert trader.api.post("/deposits/faucet", {"amount": "100000"}).status == 201
    assert stranger.api.post("/deposits/faucet", {"amount": "100000"}).status == 201

    made = Deposit.objects.get(account=trader.account)
    midnight = utc_day(made.at)
    assert midnight <= made.at < midnight + timedelta(days=1)
    yesterday = Deposit(account=stranger.account, source="faucet", asset="USD", amount=1, at=midnight)
    yesterday.at -= timedelta(microseconds=1)
    Deposit.objects.bulk_create([yesterday])
    third = Trader()
    Deposit.objects.bulk_create(
        [Deposit(account=third.account, source="faucet", asset="USD", amount=7, at=yesterday.at)]
    )
    assert third.api.post("/deposits/faucet", {"amount": "100000"}).data["granted_today"] == "100000"


def test_faucet_happens_once(trader: Trader) -> None:
    first, second = (trader.api.post("/deposits/faucet", {"amount": "5"}, Idempotency_Key="f") for _ in range(2))

    assert second.data == first.data
    assert second.headers["Idempotent-Replayed"] == "true"
    assert cash(trader.account) == [10_005]


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"amount": "0.99"}, (400, 4000)),
        ({"amount": "100000.01"}, (400, 4003)),
        ({"amount": "0"}, (400, 1001)),
        ({"amount": "1.0000001"}, (400, 1001)),
        ({}, (400, 1001)),
        ({"amount": "5", "account": str(uuid4())}, (404, 1002)),
    ],
)
def test_faucets_that_cannot_be(trader: Trader, body: dict[str, Any], refusal: tuple[int, int]) -> None:
    assert trader.api.post("/deposits/faucet", body).error == refusal
    assert cash(trader.account) == [10_000]


def test_faucet_of_strangers_and_of_closed_accounts(trader: Trader, other: TradingAccount) -> None:
    assert trader.api.post("/deposits/faucet", {"amount": "5", "account": str(Trader().account.uuid)}).error == (
        404,
        1002,
    )
    trader.api.delete(f"/accounts/{other.uuid}")
    assert trader.api.post("/deposits/faucet", {"amount": "5", "account": str(other.uuid)}).error == (403, 3016)
    assert trader.with_key("read").post("/deposits/faucet", {"amount": "5"}).error == (403, 1106)


def test_the_limit_is_reached_exactly() -> None:
    for granted, refused in (("99999", False), ("99999.000001", True)):
        batch = batch_of(AccountStateFactory.build())
        arguments: dict[str, Any] = {"granted_today": D(granted), "board": board("100"), "reference": "faucet:x"}
        try:
            faucet(batch, amount=D(1), **arguments)
        except AstradeError as error:
            assert (refused, error.code) == (True, 4003)
        else:
            assert not refused
    assert utc_day(AT) == AT.replace(hour=0)


# Reset


def test_reset_ends_what_is_open_and_opens_a_successor(trader: Trader, other: TradingAccount) -> None:
    limits = {"name": "Swing", "max_leverage": 20, "max_daily_loss": "750"}
    trader.api.patch(trader.path, limits)
    trader.place(quantity="2", leverage=7)
    trader.rest()

    made = trader.api.post(f"{trader.path}/reset")

    assert (made.status, set(made.data)) == (201, set(schemas.ResetOut().fields))
    account = made.data["account"]
    assert made.data["predecessor_id"] == str(trader.account.uuid) != account["id"]
    shown = {name: account[name] for name in ("primary", "state", "balance", "equity", "simulator", *limits)}
    assert shown == {
        "primary": True, "state": "active", "balance": "10000", "equity": "10000", "simulator": "realistic", **limits,
    }  # fmt: skip
    old = trader.api.get(trader.path).data
    assert (old["state"], old["primary"]) == ("closed", False)
    assert trader.api.get(f"{trader.path}/orders").data[0]["status"] != "open"
    assert {order.status for order in Order.objects.all()} == {"filled", "cancelled"}
    assert Order.objects.get(status="cancelled").reason == "account_reset"
    assert trader.api.get(f"{trader.path}/positions").data == []
    assert trader.api.get("/account/leverage?symbol=BTC-USD").data[0]["leverage"] == 7
    assert trader.api.get("/account/balance").data["balance"] == "10000"
    successor = TradingAccount.objects.get(uuid=account["id"])
    assert successor.predecessor == trader.account
    assert MarketSetting.objects.get(account=successor).leverage == 7
    assert TradingAccount.objects.filter(user=trader.user, is_primary=True).count() == 1
    assert cash(successor) == [10_000]
    assert (
        trader.api.post("/orders", {"symbol": "BTC-USD", "side": "buy", "type": "market", "quantity": "1"}).status
        == 201
    )


def test_reset_of_another_account_leaves_the_primary_one(trader: Trader, other: TradingAccount) -> None:
    trader.api.post("/deposits/faucet", {"amount": "9", "account": str(other.uuid)})

    kept = trader.api.post(f"/accounts/{other.uuid}/reset").data["account"]
    chosen = trader.api.post(f"/accounts/{kept['id']}/reset", {"initial_balance": "42.5"}).data["account"]

    assert (kept["primary"], kept["balance"]) == (False, "500")
    assert (chosen["primary"], chosen["balance"]) == (False, "42.5")
    assert trader.api.get("/account/balance").data["balance"] == "10000"


def test_an_account_opened_with_nothing_starts_with_nothing_again(trader: Trader) -> None:
    empty = open_account(user=trader.user, balance="0")
    trader.api.post("/deposits/faucet", {"amount": "9", "account": str(empty.uuid)})

    assert trader.api.post(f"/accounts/{empty.uuid}/reset").data["account"]["balance"] == "0"


def test_reset_happens_once(trader: Trader) -> None:
    first, second = (trader.api.post(f"{trader.path}/reset", Idempotency_Key="r") for _ in range(2))

    assert second.data == first.data
    assert second.headers["Idempotent-Replayed"] == "true"
    assert TradingAccount.objects.count() == 2
    assert trader.api.post(f"{trader.path}/reset", {"initial_balance": "5"}, Idempotency_Key="r").error == (409, 1005)
    assert trader.api.post(f"{trader.path}/reset").error == (403, 3016)


def test_a_used_key_ends_nothing(trader: Trader, other: TradingAccount) -> None:
    trader.api.post("/transfers", transfer_body(trader, other), Idempotency_Key="used")
    trader.rest()

    assert trader.api.post(f"{trader.path}/reset", Idempotency_Key="used").error == (409, 1005)
    assert Order.objects.get().status == "open"


def test_reset_with_five_accounts(trader: Trader) -> None:
    for _ in range(4):
        open_account(user=trader.user)

    assert trader.api.post(f"{trader.path}/reset").status == 201
    assert trader.api.post("/accounts", {}).error == (400, 4003)


def test_reset_is_refused_while_a_position_cannot_be_closed(trader: Trader, feed: Feed) -> None:
    trader.place(quantity="3")
    feed(bids=(("99", "1"),), asks=(("101", "1"),), sequence=2)

    assert trader.api.post(f"{trader.path}/reset").error == (409, 4005)
    assert trader.api.get(trader.path).data["state"] == "active"
    assert trader.api.get("/positions").data[0]["quantity"] == "2"
    publish("BTC-USD", bids=(("99", "5"),), asks=(("101", "5"),), sequence=3)
    assert trader.api.post(f"{trader.path}/reset").status == 201


def test_reset_without_prices(trader: Trader) -> None:
    trader.place()
    forget_prices()

    assert trader.api.post(f"{trader.path}/reset").error == (503, 2002)
    assert trader.api.get(trader.path).data["state"] == "active"


def test_resets_that_cannot_be(trader: Trader) -> None:
    stranger = Trader()
    place(stranger.account, "1", price="95")

    assert trader.api.post(f"/accounts/{stranger.account.uuid}/reset").error == (404, 1002)
    assert trader.api.post(f"{trader.path}/reset", {"initial_balance": "100000.01"}).error == (400, 4003)
    assert trader.api.post(f"{trader.path}/reset", {"initial_balance": "-1"}).error == (400, 1001)
    assert trader.with_key("read", "trade", account=trader.account).post(f"{trader.path}/reset").error == (403, 1105)
    assert TradingAccount.objects.filter(state="closed").count() == 0
    assert Order.objects.get().status == "open"
