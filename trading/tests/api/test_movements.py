"""What moved by itself, listed: transfers with both ends, deposits, and how to make one."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from astrade.core.clock import EPOCH, to_ms, to_us
from trading.api import schemas
from trading.models import Deposit, TradingAccount, Transfer
from trading.tests.api.client import Trader
from trading.tests.conftest import Feed
from trading.tests.factories import AT, D, open_account


@pytest.fixture
def trader(feed: Feed) -> Trader:
    """With a market around 100."""
    return Trader()


@pytest.fixture
def other(trader: Trader) -> TradingAccount:
    """The trader's second account, with 500."""
    return open_account(user=trader.user, balance="500")


def send(trader: Trader, sender: TradingAccount, receiver: TradingAccount, amount: str = "5") -> str:
    """A transfer's id."""
    body = {"from_account": str(sender.uuid), "to_account": str(receiver.uuid), "amount": amount}
    made = trader.api.post("/transfers", body)
    assert made.status == 201
    number: str = made.data["id"]
    return number


def ids(listed: Any) -> list[str]:
    """Of the rows, in their order."""
    return [row["id"] for row in listed.data]


def test_transfers_newest_first_with_both_ends(trader: Trader, other: TradingAccount) -> None:
    first, second = send(trader, trader.account, other, "7"), send(trader, other, trader.account, "2.5")
    stranger = Trader()
    send(stranger, stranger.account, open_account(user=stranger.user))

    listed = trader.api.get("/transfers")

    assert (listed.status, ids(listed)) == (200, [second, first])
    newest = listed.data[0]
    assert set(newest) == set(schemas.TransferOut().fields)
    assert (newest["from_account"], newest["to_account"]) == (str(other.uuid), str(trader.account.uuid))
    assert (newest["asset"], newest["amount"]) == ("USD", "2.5")
    assert newest["at"] == to_ms(Transfer.objects.get(uuid=second).at)
    assert listed.content["pagination"] == {"cursor": None, "count": 2}


def test_transfers_of_one_account_and_of_a_time(trader: Trader, other: TradingAccount) -> None:
    third = open_account(user=trader.user)
    there, back, aside = (
        send(trader, trader.account, other), send(trader, other, trader.account), send(trader, trader.account, third),
    )  # fmt: skip
    assert ids(trader.api.get(f"/transfers?account={other.uuid}")) == [back, there]
    assert ids(trader.api.get("/transfers", X_Account_Id=str(third.uuid))) == [aside]
    trader.api.delete(f"/accounts/{third.uuid}")
    assert len(ids(trader.api.get("/transfers"))) == 3

    moved = [(row.uuid, to_ms(row.at)) for row in Transfer.objects.order_by("at")]
    begin, end = moved[1][1], moved[2][1] + 1
    expected = [str(uuid) for uuid, at in reversed(moved) if begin <= at < end]
    assert ids(trader.api.get(f"/transfers?from={begin}&to={end}")) == expected != []
    assert ids(trader.api.get(f"/transfers?to={moved[0][1]}")) == []
    assert ids(trader.api.get(f"/transfers?from={end + 1000}")) == []


def test_pages_neither_repeat_nor_skip_even_within_one_moment(trader: Trader, other: TradingAccount) -> None:
    moments = [AT, AT, AT + timedelta(seconds=1), *[AT + timedelta(seconds=2)] * 3, AT + timedelta(seconds=3)]
    Transfer.objects.bulk_create(
        Transfer(from_account=trader.account, to_account=other, asset="USD", amount=D(n + 1), at=at)
        for n, at in enumerate(moments)
    )
    for limit in range(1, 9):
        seen, cursor, pages = list[str](), "", 0
        while True:
            page = trader.api.get(f"/transfers?limit={limit}{cursor}")
            seen += [row["amount"] for row in page.data]
            pages += 1
            assert page.content["pagination"]["count"] == len(page.data) > 0
            if page.content["pagination"]["cursor"] is None:
                break
            cursor = f"&cursor={page.content['pagination']['cursor']}"
        assert sorted(seen) == ["1", "2", "3", "4", "5", "6", "7"]
        assert pages >= len(moments) / max(limit, 3)

    first = trader.api.get("/transfers?limit=1").content["pagination"]["cursor"]
    assert first == to_us(moments[-1])
    send(trader, trader.account, other)  # a new row moves nothing
    assert trader.api.get(f"/transfers?limit=1&cursor={first}").data[0]["amount"] in ("4", "5", "6")
    assert len(trader.api.get(f"/transfers?cursor={2**63 - 1}").data) == 8
    assert trader.api.get("/transfers?cursor=0").data == []


NOBODYS = UUID(int=1, version=4)


@pytest.mark.parametrize("path", ["/transfers", "/deposits"])
@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (f"account={NOBODYS}", (404, 1002)),
        ("account=x", (400, 1001)),
        ("from=x", (400, 1001)),
        ("to=-1", (400, 1001)),
        ("limit=0", (400, 1001)),
        ("cursor=-1", (400, 1001)),
    ],
)
def test_lists_that_cannot_be(trader: Trader, path: str, asked: str, refusal: tuple[int, int]) -> None:
    assert trader.api.get(f"{path}?{asked}").error == refusal


@pytest.mark.parametrize("path", ["/transfers", "/deposits", "/deposits/instructions"])
def test_nobody_reads_another_users_money(trader: Trader, path: str) -> None:
    stranger = Trader()
    assert trader.api.get(f"{path}?account={stranger.account.uuid}").error == (404, 1002)


def test_a_bound_key_reads_its_account_only(trader: Trader, other: TradingAccount) -> None:
    third = open_account(user=trader.user)
    mine, theirs = send(trader, trader.account, other), send(trader, other, third)
    trader.api.post("/deposits/faucet", {"amount": "5", "account": str(other.uuid)})
    bound = trader.with_key("read", account=trader.account)

    assert ids(bound.get("/transfers")) == [mine]
    assert bound.get(f"/transfers?account={other.uuid}").error == (404, 1002)
    assert ids(bound.get("/deposits")) == []
    assert ids(trader.with_key("read").get("/transfers")) == [theirs, mine]
    assert trader.with_key("trade").get("/transfers").error == (403, 1106)


def test_deposits_newest_first(trader: Trader, other: TradingAccount) -> None:
    made = [
        trader.api.post("/deposits/faucet", {"amount": amount, "account": str(account.uuid)}).data
        for amount, account in (("5", trader.account), ("7.5", other))
    ]
    Trader().api.post("/deposits/faucet", {"amount": "9"})

    listed = trader.api.get("/deposits")

    assert ids(listed) == [made[1]["id"], made[0]["id"]]
    assert set(listed.data[0]) == set(schemas.DepositOut().fields)
    assert listed.data[0] == {name: made[1][name] for name in listed.data[0]}
    assert (listed.data[0]["amount"], listed.data[0]["source"]) == ("7.5", "faucet")
    assert ids(trader.api.get(f"/deposits?account={trader.account.uuid}")) == [made[0]["id"]]
    at = to_ms(Deposit.objects.get(uuid=made[1]["id"]).at)
    assert made[1]["id"] not in ids(trader.api.get(f"/deposits?to={at}"))
    assert ids(trader.api.get(f"/deposits?from={at}"))[0] == made[1]["id"]
    page = trader.api.get("/deposits?limit=1")
    rest = trader.api.get(f"/deposits?cursor={page.content['pagination']['cursor']}")
    assert ids(page) + ids(rest) == ids(listed)


def test_how_to_deposit_on_a_practice_account(trader: Trader, other: TradingAccount) -> None:
    trader.api.post("/deposits/faucet", {"amount": "40000", "account": str(other.uuid)})

    told = trader.api.get("/deposits/instructions").data

    assert set(told) == set(schemas.DepositInstructionsOut().fields)
    next_day = told.pop("next_day_at")
    assert told == {
        "account": str(trader.account.uuid), "venue": "practice", "network": "", "method": "faucet", "contract": None,
        "asset": "USD", "minimum": "1", "max_a_day": "100000", "granted_today": "40000", "left_today": "60000",
        "chains": [],
    }  # fmt: skip
    assert (EPOCH + timedelta(milliseconds=next_day)).time() == EPOCH.time()
    assert trader.api.get(f"/deposits/instructions?account={other.uuid}").data["account"] == str(other.uuid)
    assert trader.api.post("/deposits/faucet", {"amount": told["left_today"]}).status == 201
    assert trader.api.get("/deposits/instructions").data["left_today"] == "0"
