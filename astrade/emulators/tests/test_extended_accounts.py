"""Private reads: whose they are, their filters and pages, leverage and margin."""

from decimal import Decimal

import pytest

from astrade.emulators.tests.harness import BTC, Harness, code_of, running
from astrade.venues.extended.signing import public_key_of

BALANCE = "collateralName balance equity availableForTrade availableForWithdrawal unrealisedPnl initialMargin"
POSITION = "id accountId market status side leverage size value openPrice markPrice unrealisedPnl realisedPnl createdAt"
ORDER = "id accountId externalId market type side status qty reduceOnly postOnly createdTime updatedTime timeInForce"
TRADE = "id accountId market orderId side price qty value fee isTaker tradeType createdTime"
PRIVATE = [
    "client/info",
    "accounts",
    "account/info",
    "balance",
    "spot/balances",
    "positions",
    "positions/history",
    "leverage",
    "fees",
    "orders",
    "orders/history",
    "orders/1",
    "orders/external/x",
    "trades",
    "funding/history",
    "assetOperations",
]


@pytest.mark.parametrize("path", PRIVATE)
async def test_every_private_read_needs_a_known_key(harness: Harness, path: str):
    for key in ({}, {"X-Api-Key": "wrong"}):
        response = await harness.http.get(f"/api/v1/user/{path}", headers=key)
        assert (response.status_code, code_of(response)) == (401, 1500)


async def test_the_key_selects_the_sub_account(harness: Harness):
    accounts = await harness.get("/user/accounts")
    for account, index in ((harness.account, 0), (harness.second, 1)):
        body = await harness.get("/user/account/info", account=account)
        assert body == accounts[index]
        assert (body["accountIndex"], body["l2Vault"]) == (index, str(account.vault))
    assert len(accounts) == 2
    (stranger,) = await harness.get("/user/accounts", account=harness.stranger)
    assert stranger["accountId"] == harness.stranger.id


async def test_one_account_sees_nothing_of_another(harness: Harness):
    order = await harness.placed()
    await harness.take()
    for path in ("orders", "trades", "positions", "orders/history", f"orders/external/{order['externalId']}"):
        assert await harness.get(f"/user/{path}", account=harness.second) == []
    assert (await harness.call("GET", f"/user/orders/{order['id']}", account=harness.second)).status_code == 404


async def test_answers_have_every_field_the_official_client_demands(harness: Harness):
    resting = await harness.placed()
    await harness.take()
    for path, fields in (
        ("balance", BALANCE + " marginRatio updatedTime"),
        ("positions", POSITION + " updatedAt"),
        ("orders", ORDER),
        ("trades", TRADE),
        ("fees", "market makerFeeRate takerFeeRate builderFeeRate"),
        ("assetOperations", "id type status amount fee asset time accountId"),
    ):
        data = await harness.get(f"/user/{path}")
        body = data[0] if isinstance(data, list) else data
        assert set(fields.split()) <= body.keys(), path
    assert 10**18 < resting["id"] < 2**63


async def test_keys_are_a_function_of_the_seed():
    async with running(seed=3) as one, running(seed=3) as same, running(seed=4) as other:
        assert one.account.api_key == same.account.api_key != other.account.api_key
        assert one.account.private_key == same.account.private_key != other.account.private_key
        assert one.account.private_key is not None
        assert public_key_of(one.account.private_key) == one.account.public_key
        keys = {account.api_key for account in one.exchange.accounts.values()}
        assert len(keys) == 3


async def test_margin_is_what_position_and_orders_of_the_worse_side_need(harness: Harness):
    await harness.call("PATCH", "/user/leverage", json={"market": BTC, "leverage": "10"})
    await harness.take("BUY", "1")
    await harness.placed(qty="2", price="76000")
    await harness.placed(side="SELL", qty="0.5", price="79000")

    balance = await harness.get("/user/balance")

    (position,) = await harness.get("/user/positions")
    mark, entry = harness.quote.mark, Decimal(position["openPrice"])
    initial, pnl = (mark + 2 * 76_000) / 10, mark - entry
    cash = 100_000 - harness.account.trades[0].fee - sum(trade.fee for trade in harness.account.trades[1:])
    assert Decimal(balance["balance"]) == cash
    assert abs(Decimal(balance["initialMargin"]) - initial) < Decimal("0.00001")
    assert abs(Decimal(balance["equity"]) - cash - pnl) < Decimal("0.00001")
    assert abs(Decimal(balance["availableForTrade"]) - (cash + pnl - initial)) < Decimal("0.00001")
    free = cash + min(Decimal(0), pnl) - initial
    assert abs(Decimal(balance["availableForWithdrawal"]) - free) < Decimal("0.00001")
    assert Decimal(balance["exposure"]) == mark
    assert abs(Decimal(balance["marginRatio"]) - mark * Decimal("0.01") / (cash + pnl)) < Decimal("0.000001")


async def test_leverage_is_refused_with_its_numbers(harness: Harness):
    async def refused(leverage: str) -> int:
        response = await harness.call("PATCH", "/user/leverage", json={"market": BTC, "leverage": leverage})
        return code_of(response)

    assert await refused("0.5") == 1049
    assert await refused("51") == 1050
    assert await refused("10.001") == 1053
    await harness.placed(qty="45", price="76000")
    assert await refused("2") == 1052
    await harness.call("PATCH", "/user/leverage", json={"market": BTC, "leverage": "40"})
    await harness.call("POST", "/user/order/massCancel", json={"cancelAll": True})
    await harness.call("PATCH", "/user/leverage", json={"market": BTC, "leverage": "25"})
    for _ in range(2):
        await harness.placed(qty="16", price="77000")
    await harness.call("PATCH", "/user/leverage", json={"market": BTC, "leverage": "25"})
    harness.account.balance += 1_000_000
    await harness.placed(qty="30", price="77000")
    assert await refused("30") == 10501
    (body,) = await harness.get("/user/leverage", params={"market": BTC})
    assert body == {"market": BTC, "leverage": "25"}


async def test_history_comes_in_pages_without_gap_or_repeat(harness: Harness):
    for _ in range(7):
        await harness.take("BUY", "0.001")
        harness.advance()
    for path in ("orders/history", "trades"):
        whole = await harness.get(f"/user/{path}")
        pages, cursor = [], None
        while True:
            query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
            response = (await harness.call("GET", f"/user/{path}", params=query)).json()
            if not response["data"]:
                assert response["pagination"] == {"cursor": None, "count": 0}
                break
            assert response["pagination"]["count"] == len(response["data"])
            pages += response["data"]
            cursor = response["pagination"]["cursor"]
        assert pages == whole
        assert len(whole) == 7
        assert [row["id"] for row in whole] == sorted((row["id"] for row in whole), reverse=True)


async def test_history_sorted_by_change_keeps_orders_of_one_millisecond_apart(harness: Harness):
    for _ in range(5):
        await harness.take("BUY", "0.001")
    pages, cursor = [], None
    for _ in range(5):
        query = {"limit": 1, "sort": "UPDATED_AT"} | ({"cursor": cursor} if cursor else {})
        response = (await harness.call("GET", "/user/orders/history", params=query)).json()
        pages += [order["id"] for order in response["data"]]
        cursor = response["pagination"]["cursor"]
    assert len(set(pages)) == 5


async def test_lists_are_filtered(harness: Harness):
    async with running(symbols=("ETH-USD", BTC)) as two:
        await two.placed(id="buy")
        await two.placed(id="sell", side="SELL", price="80000")
        await two.take("BUY")
        assert await two.get("/user/orders", params={"market": "ETH-USD"}) == []
        for query, expected in (
            ({"side": "SELL"}, ["sell"]),
            ({"type": "MARKET"}, []),
            ({"market": [BTC, "ETH-USD"]}, ["buy", "sell"]),
        ):
            orders = await two.get("/user/orders", params=query)
            assert [order["externalId"] for order in orders] == expected
        assert await two.get("/user/trades", params={"side": "SELL"}) == []
        assert len(await two.get("/user/trades", params={"side": "BUY", "type": "TRADE"})) == 1
        assert await two.get("/user/positions", params={"side": "SHORT"}) == []
        assert [row["market"] for row in await two.get("/user/leverage")] == ["ETH-USD", BTC]
        assert [row["market"] for row in await two.get("/user/fees", params={"market": BTC})] == [BTC]
        assert (await two.call("GET", "/user/trades", params={"limit": "-1"})).status_code == 400


async def test_a_balance_of_nothing_is_404(harness: Harness):
    harness.second.balance = Decimal(0)
    assert (await harness.call("GET", "/user/balance", account=harness.second)).status_code == 404
