"""Orders from their placing to their end, and what they do to balances."""

from decimal import Decimal
from random import Random
from typing import Any

import pytest

from astrade.emulators.binance import filters
from astrade.emulators.binance.accounts import Account
from astrade.emulators.binance.exchange import START_BALANCES
from astrade.emulators.binance.refusals import Refused
from astrade.emulators.tests.binance_harness import BTC, BinanceHarness, code_of
from trading.domain.lifecycle import Side

FEE = Decimal("0.001")


async def status(binance: BinanceHarness, order_id: int) -> Any:
    return await binance.read("/order", symbol=BTC, orderId=order_id)


def assert_balanced(account: Account) -> None:
    """Locked is what open orders bind; all together is what there was, and what trades moved."""
    expected = dict(START_BALANCES)
    for trade in account.trades:
        sign = trade.order.side.sign
        expected["BTC"] += sign * trade.quantity
        expected["USDT"] -= sign * trade.value
        expected[trade.commission_asset] -= trade.commission
    locked = {"BTC": Decimal(0), "USDT": Decimal(0)}
    for order in account.open_orders():
        price = order.price if order.type.has_price else order.stop_price
        buys = order.side is Side.BUY
        locked["USDT" if buys else "BTC"] += order.remaining * price if buys else order.remaining
    for asset in ("BTC", "USDT"):
        balance = account.balance(asset)
        assert balance.free >= 0
        assert balance.locked == locked[asset]
        assert balance.free + balance.locked == expected[asset]


async def test_a_resting_order_binds_its_money_and_gives_it_back(binance: BinanceHarness):
    price = Decimal(binance.near("0.98"))
    placed = await binance.placed(price=str(price), quantity="0.5")
    assert (placed["status"], placed["fills"], placed["executedQty"]) == ("NEW", [], "0.00000000")
    assert binance.balance("USDT") == (100_000 - price / 2, price / 2)
    sell = await binance.placed(side="SELL", price=binance.near("1.02"), quantity="0.3")
    assert binance.balance("BTC") == (Decimal("1.7"), Decimal("0.3"))
    for order_id in (placed["orderId"], sell["orderId"]):
        cancelled = await binance.call("DELETE", "/order", symbol=BTC, orderId=order_id)
        assert cancelled.json()["status"] == "CANCELED"
    assert (binance.balance("USDT"), binance.balance("BTC")) == ((100_000, 0), (2, 0))


async def test_more_than_is_free_is_refused_and_changes_nothing(binance: BinanceHarness):
    await binance.placed(price="70000", quantity="1")
    before = binance.balance("USDT")
    refused = await binance.place(price="70000", quantity="0.5")
    assert (code_of(refused), refused.json()["msg"]) == (
        -2010,
        "Account has insufficient balance for requested action.",
    )
    for changes in ({"side": "SELL", "quantity": "2.1"}, {"side": "BUY", "quantity": "0.4"}):
        refused = await binance.place(type="MARKET", timeInForce=None, price=None, **changes)
        assert code_of(refused) == -2010
    assert binance.balance("USDT") == before and len(binance.account.orders) == 1


async def test_a_market_order_walks_the_book_and_pays_in_what_it_receives(binance: BinanceHarness):
    asks = binance.book.asks
    quantity = asks[0][1] + asks[1][1] / 2 // Decimal("0.00001") * Decimal("0.00001")
    bought = await binance.take(quantity=str(quantity))
    assert bought["status"] == "FILLED"
    assert [(fill["price"], fill["qty"]) for fill in bought["fills"]] == [
        (f"{asks[0][0]:.8f}", f"{asks[0][1]:.8f}"),
        (f"{asks[1][0]:.8f}", f"{quantity - asks[0][1]:.8f}"),
    ]
    assert all(fill["commissionAsset"] == "BTC" for fill in bought["fills"])
    cost = Decimal(bought["cummulativeQuoteQty"])
    assert binance.balance("USDT") == (100_000 - cost, 0)
    fees = sum(Decimal(fill["commission"]) for fill in bought["fills"])
    assert quantity * FEE <= fees < quantity * FEE + Decimal("0.00000002")
    assert binance.balance("BTC") == (2 + quantity - fees, 0)
    again = await binance.take(quantity="0.001")
    assert Decimal(again["fills"][0]["price"]) == asks[1][0], "what was taken from this book is gone"
    sold = await binance.take("SELL", "0.1")
    assert all(fill["commissionAsset"] == "USDT" for fill in sold["fills"])
    assert_balanced(binance.account)


@pytest.mark.parametrize("side", ["BUY", "SELL"])
async def test_an_order_in_quote_trades_what_that_buys(binance: BinanceHarness, side: str):
    placed = await binance.placed(
        side=side, type="MARKET", quoteOrderQty="1000", quantity=None, price=None, timeInForce=None
    )
    price = (binance.book.asks if side == "BUY" else binance.book.bids)[0][0]
    quantity = Decimal(1000) / price // Decimal("0.00001") * Decimal("0.00001")
    assert (placed["status"], placed["origQuoteOrderQty"]) == ("FILLED", "1000.00000000")
    assert Decimal(placed["executedQty"]) == Decimal(placed["origQty"]) == quantity
    assert_balanced(binance.account)


async def test_time_in_force_decides_what_becomes_of_the_rest(binance: BinanceHarness):
    price, offered = binance.book.asks[0]
    more = str(offered + Decimal("0.01"))
    killed = await binance.placed(price=str(price), quantity=more, timeInForce="FOK")
    assert (killed["status"], killed["expiryReason"]) == ("EXPIRED", "UNFILLED_FOK_ORDER_EXPIRED")
    assert killed["fills"] == []
    part = await binance.placed(price=str(price), quantity=more, timeInForce="IOC")
    assert (part["status"], part["expiryReason"]) == ("EXPIRED", "UNFILLED_IOC_QUANTITY_EXPIRED")
    assert Decimal(part["executedQty"]) == offered
    rest = await binance.placed(price=str(price), quantity="0.01")
    assert rest["status"] == "NEW" and "expiryReason" not in rest
    binance.advance()
    offers = binance.book.asks[:2]
    mixed = await binance.placed(price=str(offers[1][0]), quantity=str(offers[0][1] + offers[1][1] + Decimal("0.01")))
    assert mixed["status"] == "PARTIALLY_FILLED", "at two prices, and the rest waits at its own"
    assert_balanced(binance.account)
    maker = await binance.place(type="LIMIT_MAKER", timeInForce=None, price=str(price + 1), quantity="0.01")
    assert maker.json() == {"code": -2010, "msg": "Order would immediately match and take."}
    assert_balanced(binance.account)


async def test_a_resting_order_is_filled_at_its_price_as_maker(binance: BinanceHarness):
    price = binance.book.bids[0][0]
    placed = await binance.placed(type="LIMIT_MAKER", timeInForce=None, price=str(price), quantity="0.01")
    assert "status" not in placed, "an ACK by default"
    for _ in range(3_000):
        binance.advance(1_000)
        if (order := await status(binance, placed["orderId"]))["status"] == "FILLED":
            break
    assert (order["executedQty"], Decimal(order["cummulativeQuoteQty"])) == ("0.01000000", price / 100)
    (trade,) = await binance.read("/myTrades", symbol=BTC, orderId=placed["orderId"])
    assert trade["isMaker"] and trade["isBuyer"] and Decimal(trade["price"]) == price
    prints = await binance.get("/trades", symbol=BTC, limit=1000)
    (printed,) = (one for one in prints if one["id"] == trade["id"])
    assert (printed["isBuyerMaker"], printed["qty"]) == (True, trade["qty"])
    assert_balanced(binance.account)


@pytest.mark.parametrize(
    ("kind", "side", "factor"),
    [
        ("STOP_LOSS", "SELL", "0.9999"),
        ("STOP_LOSS", "BUY", "1.0001"),
        ("TAKE_PROFIT", "SELL", "1.0001"),
        ("TAKE_PROFIT", "BUY", "0.9999"),
    ],
)
async def test_stops_wait_for_their_price(binance: BinanceHarness, kind: str, side: str, factor: str):
    wrong = await binance.place(
        type=kind, side=side, stopPrice=binance.near(str(2 - Decimal(factor))), price=None, timeInForce=None
    )
    assert wrong.json() == {"code": -2010, "msg": "Order would trigger immediately."}
    stop = Decimal(binance.near(factor))
    plain = await binance.placed(type=kind, side=side, stopPrice=str(stop), price=None, timeInForce=None)
    limit = stop * Decimal("1.001" if side == "BUY" else "0.999")
    limited = await binance.placed(
        type=f"{kind}_LIMIT", side=side, stopPrice=str(stop), price=str(limit.quantize(Decimal("0.01")))
    )
    waiting = await status(binance, plain["orderId"])
    assert (waiting["status"], waiting["isWorking"], waiting["workingTime"]) == ("NEW", False, -1)
    assert_balanced(binance.account)
    for _ in range(3_000):
        binance.advance(1_000)
        orders = [await status(binance, one["orderId"]) for one in (plain, limited)]
        if all(order["status"] == "FILLED" for order in orders):
            break
    assert [order["status"] for order in orders] == ["FILLED", "FILLED"]
    assert all(order["isWorking"] and order["workingTime"] > order["time"] for order in orders)
    assert_balanced(binance.account)


async def test_a_stop_buys_no_more_than_can_be_paid_when_it_triggers(binance: BinanceHarness):
    """All there is was bound at the stop price; the market is above it by then."""
    stop = Decimal(binance.near("1.0001"))
    quantity = Decimal(100_000) / stop // Decimal("0.00001") * Decimal("0.00001")
    stop_order = {"type": "STOP_LOSS", "stopPrice": str(stop), "price": None, "timeInForce": None}
    placed = await binance.placed(quantity=str(quantity), **stop_order)
    for _ in range(3_000):
        binance.advance(1_000)
        if (order := await status(binance, placed["orderId"]))["isWorking"]:
            break
    assert (order["status"], order["expiryReason"]) == ("EXPIRED", "INSUFFICIENT_LIQUIDITY")
    assert 0 < Decimal(order["executedQty"]) < quantity
    assert_balanced(binance.account)


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"symbol": "NOSUCH"}, -1121, "Invalid symbol."),
        ({"side": "HOLD"}, -1117, "Invalid side."),
        ({"type": "WISH"}, -1116, "Invalid orderType."),
        ({"timeInForce": "GTX"}, -1115, "Invalid timeInForce."),
        ({"timeInForce": None}, -1102, "timeInForce"),
        ({"price": None}, -1102, "price"),
        ({"quantity": None}, -1102, "quantity"),
        ({"stopPrice": "70000"}, -1106, "stopPrice"),
        ({"quoteOrderQty": "10"}, -1128, "Combination"),
        ({"quantity": "-1"}, -1100, "quantity"),
        ({"quantity": "0.000000001"}, -1111, "too much precision"),
        ({"quantity": "0"}, -1013, "Invalid quantity."),
        ({"newClientOrderId": "no spaces"}, -1100, "newClientOrderId"),
        ({"icebergQty": "0.001"}, -1104, "Not all sent parameters were read"),
        ({"selfTradePreventionMode": "NONE"}, -1130, "selfTradePreventionMode"),
        ({"strategyType": "5"}, -1130, "strategyType"),
        ({"price": "70000.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"price": "1000000.01"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"quantity": "0.000015"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "9001"}, -1013, "Filter failure: LOT_SIZE"),
        ({"price": "15000"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"price": "400000"}, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
        ({"quantity": "0.00006"}, -1013, "Filter failure: NOTIONAL"),
        ({"quantity": "200"}, -1013, "Filter failure: NOTIONAL"),
        (
            {"type": "MARKET", "price": None, "timeInForce": None, "quantity": "121"},
            -1013,
            "Filter failure: MARKET_LOT_SIZE",
        ),
        (
            {"type": "MARKET", "price": None, "timeInForce": None, "quantity": None, "quoteOrderQty": "4.99"},
            -1013,
            "Filter failure: NOTIONAL",
        ),
    ],
)
async def test_what_breaks_a_rule_is_refused_with_its_number(
    binance: BinanceHarness, changes: dict[str, Any], code: int, text: str
):
    refused = await binance.place(**changes)
    assert (refused.status_code, code_of(refused)) == (400, code), refused.text
    assert text in refused.json()["msg"]
    assert binance.account.orders == {}


async def test_the_last_values_within_the_rules_are_taken(binance: BinanceHarness):
    for changes in ({"quantity": "0.00007", "price": binance.near("0.98")}, {"price": binance.near("0.201")}):
        assert (await binance.place(**changes)).status_code == 200


async def test_open_orders_are_limited_in_number(binance: BinanceHarness):
    stop = {"type": "STOP_LOSS", "side": "SELL", "stopPrice": "70000", "price": None, "timeInForce": None}
    for _ in range(5):
        await binance.placed(**stop)
    refused = await binance.place(**stop)
    assert refused.json()["msg"] == "Filter failure: MAX_NUM_ALGO_ORDERS"
    filters.check_number(open_orders=199, open_stops=4, is_stop=True)
    with pytest.raises(Refused, match="MAX_NUM_ORDERS"):
        filters.check_number(open_orders=200, open_stops=0, is_stop=False)
    assert (await binance.place()).status_code == 200


async def test_a_client_id_is_unique_among_open_orders_only(binance: BinanceHarness):
    first = await binance.placed(newClientOrderId="mine")
    twice = await binance.place(newClientOrderId="mine")
    assert twice.json() == {"code": -2010, "msg": "Duplicate order sent."}
    await binance.call("DELETE", "/order", symbol=BTC, origClientOrderId="mine")
    second = await binance.placed(newClientOrderId="mine")
    found = await binance.read("/order", symbol=BTC, origClientOrderId="mine")
    assert found["orderId"] == second["orderId"] != first["orderId"]


async def test_cancels_name_one_order_by_both_names_and_carry_their_own(binance: BinanceHarness):
    placed = await binance.placed(newClientOrderId="mine")
    for names in ({"orderId": 1}, {"orderId": placed["orderId"], "origClientOrderId": "yours"}):
        refused = await binance.call("DELETE", "/order", symbol=BTC, **names)
        assert refused.json() == {"code": -2011, "msg": "Unknown order sent."}
    restricted = await binance.call(
        "DELETE", "/order", symbol=BTC, origClientOrderId="mine", cancelRestrictions="ONLY_PARTIALLY_FILLED"
    )
    assert code_of(restricted) == -2011
    assert code_of(await binance.call("DELETE", "/order", symbol=BTC)) == -1102
    cancelled = await binance.call(
        "DELETE", "/order", symbol=BTC, origClientOrderId="mine", newClientOrderId="cancel-it"
    )
    body = cancelled.json()
    assert (body["clientOrderId"], body["origClientOrderId"], body["status"]) == ("cancel-it", "mine", "CANCELED")
    await binance.placed()
    await binance.placed()
    assert len((await binance.call("DELETE", "/openOrders", symbol=BTC)).json()) == 2
    assert code_of(await binance.call("DELETE", "/openOrders", symbol=BTC)) == -2011
    assert code_of(await binance.call("GET", "/order", symbol=BTC, orderId=1)) == -2013


async def test_cancel_and_replace_tells_of_both(binance: BinanceHarness):
    async def replace(mode: str, old: str, **changes: Any) -> Any:
        order = binance.order(**changes)
        return await binance.call(
            "POST", "/order/cancelReplace", cancelReplaceMode=mode, cancelOrigClientOrderId=old, **order
        )

    await binance.placed(newClientOrderId="a")
    both = await replace("STOP_ON_FAILURE", "a", newClientOrderId="b")
    assert (both.status_code, both.json()["cancelResult"], both.json()["newOrderResult"]) == (200, "SUCCESS", "SUCCESS")
    neither = await replace("STOP_ON_FAILURE", "a", newClientOrderId="c")
    assert (neither.status_code, code_of(neither)) == (400, -2022)
    assert neither.json()["data"]["newOrderResult"] == "NOT_ATTEMPTED"
    new_only = await replace("ALLOW_FAILURE", "a", newClientOrderId="d")
    assert (new_only.status_code, code_of(new_only)) == (409, -2021)
    assert new_only.json()["data"]["cancelResponse"]["code"] == -2011
    old_only = await replace("STOP_ON_FAILURE", "b", newClientOrderId="e", quantity="0.00001")
    assert (old_only.status_code, code_of(old_only)) == (409, -2021)
    assert old_only.json()["data"]["newOrderResponse"] == {"code": -1013, "msg": "Filter failure: NOTIONAL"}
    names = [order["clientOrderId"] for order in await binance.read("/openOrders", symbol=BTC)]
    assert names == ["d"]
    assert_balanced(binance.account)


async def test_answers_are_as_long_as_asked_for(binance: BinanceHarness):
    ack, result, full = [await binance.placed(newOrderRespType=kind) for kind in ("ACK", "RESULT", "FULL")]
    assert ack.keys() < result.keys() < full.keys()
    assert "status" not in ack and "fills" not in result
    assert (await binance.call("POST", "/order/test", **binance.order())).json() == {}
    rates = await binance.call("POST", "/order/test", **binance.order(), computeCommissionRates="true")
    assert rates.json()["standardCommissionForOrder"]["taker"] == "0.00100000"
    assert len(binance.account.orders) == 3


async def test_orders_and_trades_are_listed_by_their_combinations(binance: BinanceHarness):
    taken = [await binance.take() for _ in range(3)]
    binance.advance(1_000)
    later = await binance.take()
    orders = await binance.read("/allOrders", symbol=BTC)
    assert [order["orderId"] for order in orders] == [order["orderId"] for order in (*taken, later)]
    assert len(await binance.read("/allOrders", symbol=BTC, orderId=taken[1]["orderId"])) == 3
    assert len(await binance.read("/allOrders", symbol=BTC, startTime=binance.now_ms)) == 1
    trades = await binance.read("/myTrades", symbol=BTC)
    assert await binance.read("/myTrades", symbol=BTC, fromId=trades[1]["id"]) == trades[1:]
    assert await binance.read("/myTrades", symbol=BTC, endTime=binance.now_ms - 1, limit=1) == [trades[2]]
    day: dict[str, Any] = {"startTime": binance.now_ms - 86_400_001, "endTime": binance.now_ms}
    assert code_of(await binance.call("GET", "/myTrades", symbol=BTC, **day)) == -1127
    assert code_of(await binance.call("GET", "/myTrades", symbol=BTC, fromId=1, startTime=1)) == -1128
    account = await binance.read("/account", omitZeroBalances="true")
    assert {one["asset"] for one in account["balances"]} == set(START_BALANCES)
    assert (await binance.read("/account/commission", symbol=BTC))["standardCommission"]["maker"] == "0.00100000"


async def test_nobody_sees_or_cancels_anothers_orders(binance: BinanceHarness):
    placed = await binance.placed()
    other: dict[str, Any] = {"account": binance.second, "symbol": BTC}
    assert code_of(await binance.call("GET", "/order", orderId=placed["orderId"], **other)) == -2013
    assert code_of(await binance.call("DELETE", "/order", orderId=placed["orderId"], **other)) == -2011
    assert (await binance.call("GET", "/openOrders", **other)).json() == []


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_is_done_the_balances_add_up(binance: BinanceHarness, seed: int):
    """80 random acts, cancels among them, in a moving market."""
    dice, done = Random(seed), 0
    for _ in range(80):
        kind = dice.choice(["LIMIT", "MARKET", "STOP_LOSS", "TAKE_PROFIT_LIMIT", "LIMIT_MAKER", "cancel"])
        price = binance.near(str(1 + Decimal(dice.randint(-30, 30)) / 10_000))
        if kind == "cancel":
            await binance.call("DELETE", "/openOrders", symbol=BTC)
        else:
            has_price, waits = kind not in ("MARKET", "STOP_LOSS"), "_" in kind and kind != "LIMIT_MAKER"
            response = await binance.place(
                side=dice.choice(["BUY", "SELL"]),
                type=kind,
                quantity=str(Decimal(dice.randint(10, 60_000)) / 100_000),
                price=price if has_price else None,
                stopPrice=price if waits else None,
                timeInForce=dice.choice(["GTC", "IOC", "FOK"]) if has_price and kind != "LIMIT_MAKER" else None,
            )
            done += response.status_code == 200
        binance.advance(dice.choice([100, 1_000, 10_000]))
        assert_balanced(binance.account)
    assert done > 20 and len(binance.account.trades) > 8
