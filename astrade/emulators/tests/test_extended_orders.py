"""What becomes of orders: matching, triggers, cancels, and what they do to balance and position."""

from decimal import Decimal
from typing import Any

from astrade.core.clock import to_ms
from astrade.emulators.tests.harness import BTC, Harness, code_of

ZERO = Decimal(0)


async def ids_of(harness: Harness, path: str = "/user/orders", **options: Any) -> list[str]:
    return [order["externalId"] for order in await harness.get(path, **options)]


async def test_a_taking_order_walks_the_book_and_pays_the_takers_fee(harness: Harness):
    levels = harness.book.asks
    first, second = levels[0], levels[1]
    quantity = first[1] + second[1] / 2 // Decimal("0.00001") * Decimal("0.00001")

    order = await harness.take("BUY", str(quantity))

    value = first[0] * first[1] + second[0] * (quantity - first[1])
    trades = await harness.get("/user/trades")
    assert order["status"] == "FILLED"
    assert [Decimal(t["price"]) for t in reversed(trades)] == [first[0], second[0]]
    fees = sum(Decimal(t["fee"]) for t in trades)
    assert Decimal("0.00025") * value <= fees <= Decimal("0.00025") * value + Decimal("0.000002")
    assert order["payedFee"] == str(fees)
    balance = await harness.get("/user/balance")
    assert Decimal(balance["balance"]) == 100_000 - fees
    (position,) = await harness.get("/user/positions")
    assert (position["side"], Decimal(position["size"])) == ("LONG", quantity)
    assert abs(Decimal(position["openPrice"]) - value / quantity) < Decimal("1E-11")
    assert Decimal(position["unrealisedPnl"]) == quantity * harness.quote.mark - value


async def test_what_was_taken_is_gone_until_the_book_changes(harness: Harness):
    best = harness.book.asks[0]
    await harness.take("BUY", str(best[1]))
    await harness.take("BUY", "0.001", account=harness.second)
    (trade,) = await harness.get("/user/trades", account=harness.second)
    assert Decimal(trade["price"]) == harness.book.asks[1][0]

    harness.advance()
    await harness.take("BUY", "0.001", account=harness.second)
    newest = (await harness.get("/user/trades", account=harness.second))[0]
    assert Decimal(newest["price"]) == harness.book.asks[0][0]


async def test_an_ioc_order_ends_with_what_it_got(harness: Harness):
    best = harness.book.asks[0]
    order = await harness.placed(qty=str(best[1] + 1), price=str(best[0]), timeInForce="IOC")

    assert (order["status"], order["statusReason"]) == ("CANCELLED", "NO_LIQUIDITY")
    assert (Decimal(order["filledQty"]), Decimal(order["cancelledQty"])) == (best[1], 1)
    assert await ids_of(harness) == []


async def test_a_post_only_order_that_would_take_is_rejected_by_the_engine(harness: Harness):
    ask = harness.book.asks[0][0]
    rejected = await harness.placed(price=str(ask), postOnly=True)
    resting = await harness.placed(price=str(ask - 5), postOnly=True)

    assert (rejected["status"], rejected["statusReason"]) == ("REJECTED", "POST_ONLY_FAILED")
    assert resting["status"] == "NEW"
    assert not harness.account.trades


async def test_a_resting_order_fills_at_its_own_price_as_maker(harness: Harness):
    ask = harness.book.asks[0][0]
    await harness.placed(id="rests", side="SELL", price=str(ask + 20), qty="0.01")
    order = harness.account.by_external_id["rests"]

    harness.advance_until(lambda: order.status == "FILLED")

    (trade,) = await harness.get("/user/trades")
    assert (Decimal(trade["price"]), trade["isTaker"], trade["fee"]) == (ask + 20, False, "0")
    assert harness.account.balance == 100_000


async def test_a_good_till_time_order_expires(harness: Harness):
    await harness.placed(id="short", expiryEpochMillis=to_ms(harness.clock()) + 1_000)
    harness.advance(900)
    assert await ids_of(harness) == ["short"]
    harness.advance(100)
    assert await ids_of(harness) == []
    (order,) = await harness.get("/user/orders/external/short")
    assert order["status"] == "EXPIRED"


async def test_closing_realises_the_difference_and_leaves_a_history(harness: Harness):
    await harness.take("BUY", "0.1")
    harness.advance(1_000, steps=30)
    await harness.take("SELL", "0.04", reduceOnly=True)
    await harness.take("SELL", "0.06")

    assert await harness.get("/user/positions") == []
    (past,) = await harness.get("/user/positions/history")
    trades = await harness.get("/user/trades")
    signed = sum(Decimal(t["value"]) * (1 if t["side"] == "SELL" else -1) for t in trades)
    fees = sum(Decimal(t["fee"]) for t in trades)
    breakdown = {name: Decimal(value) for name, value in past["realisedPnlBreakdown"].items()}
    assert breakdown["tradePnl"] == signed
    assert breakdown["openFees"] + breakdown["closeFees"] == fees
    assert breakdown["openFees"] == sum(Decimal(t["fee"]) for t in trades if t["side"] == "BUY")
    assert Decimal(past["realisedPnl"]) == signed - fees
    assert (past["maxPositionSize"], past["size"], past["exitType"]) == ("0.1", "0", "TRADE")
    assert harness.account.balance == 100_000 + signed - fees


async def test_an_order_may_turn_a_position_over(harness: Harness):
    await harness.take("BUY", "0.02")
    await harness.take("SELL", "0.05")

    (position,) = await harness.get("/user/positions")
    assert (position["side"], position["size"], position["maxPositionSize"]) == ("SHORT", "0.03", "0.03")
    past = [p for p in await harness.get("/user/positions/history") if "closedTime" in p]
    assert [(p["side"], p["maxPositionSize"]) for p in past] == [("LONG", "0.02")]
    trades = await harness.get("/user/trades")
    cash = sum(Decimal(t["value"]) * (1 if t["side"] == "SELL" else -1) - Decimal(t["fee"]) for t in trades)
    balance = await harness.get("/user/balance")
    assert Decimal(balance["equity"]) == 100_000 + cash - Decimal("0.03") * harness.quote.mark


async def test_a_conditional_order_waits_for_its_trigger(harness: Harness):
    level = str(harness.book.asks[0][0] + 40)
    trigger = {"triggerPrice": level, "triggerPriceType": "LAST", "direction": "UP", "executionPriceType": "MARKET"}
    price = str(int(level) + 200)
    waiting = await harness.placed(id="stop", type="CONDITIONAL", price=price, trigger=trigger)
    assert (waiting["status"], waiting["trigger"]["triggerPriceDirection"]) == ("UNTRIGGERED", "UP")
    assert (await harness.get("/user/balance"))["initialMargin"] == "0"

    seen: list[Decimal] = []
    order = harness.account.by_external_id["stop"]

    def fired() -> bool:
        seen.append(harness.quote.last)
        return order.status != "UNTRIGGERED"

    harness.advance_until(fired)

    assert max(seen[:-1]) < int(level) <= seen[-1]
    assert order.status == "FILLED"
    assert order.filled_value / order.filled >= int(level) - 5


async def test_a_filled_entry_leaves_its_legs_and_one_ends_the_other(harness: Harness):
    ask, bid = harness.book.asks[0][0], harness.book.bids[0][0]
    legs = {
        "takeProfit": harness.leg(str(ask + 40), priceType="MARKET", price=str(ask - 100)),
        "stopLoss": harness.leg(str(bid - 40), priceType="MARKET", price=str(bid - 400)),
    }
    entry = await harness.placed(price=str(ask), timeInForce="IOC", tpSlType="ORDER", **legs)
    assert (entry["status"], entry["takeProfit"]["triggerPrice"]) == ("FILLED", str(ask + 40))
    (waiting,) = await harness.get("/user/orders")
    assert (waiting["type"], waiting["side"], waiting["status"], waiting["qty"]) == (
        "TPSL",
        "SELL",
        "UNTRIGGERED",
        "0.01",
    )
    (position,) = await harness.get("/user/positions")
    assert (position["tpTriggerPrice"], position["slTriggerPrice"]) == (str(ask + 40), str(bid - 40))

    order = harness.account.orders[waiting["id"]]
    harness.advance_until(lambda: not order.status.is_open)

    assert order.status == "FILLED"
    assert sorted(str(leg.status) for leg in order.legs) == ["CANCELLED", "FILLED"]
    assert await harness.get("/user/positions") == []


async def test_a_whole_positions_legs_follow_its_size_and_go_with_it(harness: Harness):
    await harness.take("BUY", "0.01")
    legs = {"takeProfit": harness.leg("90000"), "stopLoss": harness.leg("70000")}
    whole = {"type": "TPSL", "side": "SELL", "price": "0", "qty": "0", "reduceOnly": True, "tpSlType": "POSITION"}
    await harness.placed(id="whole", **whole, **legs)
    second = await harness.placed(id="again", **whole, **legs)
    assert (second["status"], second["statusReason"]) == ("REJECTED", "POSITION_TPSL_CONFLICT")

    await harness.take("SELL", "0.01")
    (order,) = await harness.get("/user/orders/external/whole")
    assert (order["status"], order["statusReason"]) == ("CANCELLED", "REDUCE_ONLY_FAILED")


async def test_a_whole_positions_stop_closes_all_of_it(harness: Harness):
    await harness.take("SELL", "0.01")
    ask = harness.book.asks[0][0]
    stop = harness.leg(str(ask + 30), priceType="MARKET", price=str(ask + 400))
    whole = {"type": "TPSL", "side": "BUY", "price": "0", "qty": "0", "reduceOnly": True, "tpSlType": "POSITION"}
    await harness.placed(id="whole", **whole, stopLoss=stop)
    await harness.take("SELL", "0.02")

    order = harness.account.by_external_id["whole"]
    harness.advance_until(lambda: not order.status.is_open)

    assert (order.status, order.quantity) == ("FILLED", Decimal("0.03"))
    assert harness.account.positions == {}


async def test_replacing_ends_the_old_order_and_starts_the_new(harness: Harness):
    await harness.placed(id="old")
    await harness.placed(id="new", cancelId="old", qty="0.02")

    (old,) = await harness.get("/user/orders/external/old")
    assert (old["status"], old["statusReason"]) == ("CANCELLED", "ORDER_REPLACED")
    assert await ids_of(harness) == ["new"]


async def test_a_replacement_that_rest_refuses_leaves_the_old_order(harness: Harness):
    await harness.placed(id="old")
    assert code_of(await harness.place(cancelId="old", qty="0.000001")) == 1123
    assert await ids_of(harness) == ["old"]


async def test_cancelling_by_id_and_by_external_id(harness: Harness):
    first = await harness.placed(id="first")
    await harness.placed(id="second")

    by_id = await harness.call("DELETE", f"/user/order/{first['id']}")
    by_name = await harness.call("DELETE", "/user/order?externalId=second")
    again = await harness.call("DELETE", f"/user/order/{first['id']}")
    foreign = await harness.call("DELETE", f"/user/order/{first['id']}", account=harness.second)

    assert by_id.json() == by_name.json() == {"status": "OK"}
    assert {again.status_code, foreign.status_code} == {404}
    assert await ids_of(harness) == []
    assert await ids_of(harness, "/user/orders/history") == ["second", "first"]


async def test_mass_cancel_takes_what_is_named_and_no_more(harness: Harness):
    for name in "abcd":
        await harness.placed(id=name)
    number = harness.account.by_external_id["a"].id

    await harness.call("POST", "/user/order/massCancel", json={"orderIds": [number], "externalOrderIds": ["b"]})
    assert await ids_of(harness) == ["c", "d"]
    await harness.call("POST", "/user/order/massCancel", json={"markets": ["ETH-USD"], "cancelAll": True})
    assert await ids_of(harness) == ["c", "d"]
    nothing = await harness.call("POST", "/user/order/massCancel", json={"cancelAll": False})
    assert code_of(nothing) == 1133
    await harness.call("POST", "/user/order/massCancel", json={"markets": [BTC], "cancelAll": False})
    assert await ids_of(harness) == []


async def test_the_dead_mans_switch_cancels_when_nobody_calls(harness: Harness):
    await harness.placed(id="kept")
    await harness.call("POST", "/user/deadmanswitch?countdownTime=60")
    harness.advance(59_000)
    await harness.call("POST", "/user/deadmanswitch?countdownTime=60")
    harness.advance(59_000)
    assert await ids_of(harness) == ["kept"]
    harness.advance(1_000)
    assert await ids_of(harness) == []

    await harness.placed(id="later")
    await harness.call("POST", "/user/deadmanswitch?countdownTime=60")
    await harness.call("POST", "/user/deadmanswitch?countdownTime=0")
    harness.advance(120_000)
    assert await ids_of(harness) == ["later"]


async def test_funding_is_paid_on_the_hour_by_longs_to_shorts(harness: Harness):
    await harness.take("BUY", "0.1")
    await harness.take("SELL", "0.1", account=harness.second)
    before = harness.account.balance, harness.second.balance
    harness.advance(1_000, steps=5)
    rate = harness.exchange.market(BTC).funding
    harness.advance(3_600_000)

    (paid,) = await harness.get("/user/funding/history")
    (got,) = await harness.get("/user/funding/history", account=harness.second)
    assert rate is not None
    assert Decimal(paid["fundingRate"]) == rate.rate > 0
    assert Decimal(paid["fundingFee"]) == harness.account.balance - before[0] < 0
    assert Decimal(got["fundingFee"]) == harness.second.balance - before[1] > 0
    exact = Decimal("0.1") * Decimal(paid["markPrice"]) * rate.rate
    assert 0 <= -Decimal(paid["fundingFee"]) - exact < Decimal("0.000001")
    (position,) = await harness.get("/user/positions")
    assert Decimal(position["realisedPnl"]) == Decimal(paid["fundingFee"]) - harness.account.trades[0].fee


async def test_a_builders_fee_comes_on_top(harness: Harness):
    order = await harness.take("BUY", "0.01", builderFee="0.0001", builderId=7)
    (trade,) = await harness.get("/user/trades")
    value = Decimal(trade["value"])
    assert ZERO <= Decimal(order["payedFee"]) - value * Decimal("0.00035") <= Decimal("0.000002")


async def test_a_reducing_order_never_turns_a_position_over(harness: Harness):
    await harness.take("BUY", "0.02")
    bid = harness.book.bids[0][0]
    await harness.placed(id="exit", side="SELL", price=str(bid + 25), qty="0.02", reduceOnly=True)
    await harness.take("SELL", "0.015")
    order = harness.account.by_external_id["exit"]

    harness.advance_until(lambda: not order.status.is_open)

    assert (order.status, order.filled, order.quantity) == ("FILLED", Decimal("0.005"), Decimal("0.005"))
    assert harness.account.positions == {}
