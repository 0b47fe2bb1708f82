"""Every number that `POST /user/order` can be refused with, each provoked by its own fault alone."""

from decimal import Decimal
from typing import Any

import pytest

from astrade.core.clock import to_ms
from astrade.emulators.tests.harness import BTC, Harness, code_of, running
from marketdata.timeframes import DAY_MS

REDUCE = {"side": "SELL", "reduceOnly": True, "price": "80000"}
TRIGGER = {"triggerPrice": "78000", "triggerPriceType": "MARK", "direction": "UP", "executionPriceType": "LIMIT"}
CONDITIONAL = {"type": "CONDITIONAL", "trigger": TRIGGER}
TPSL = {"type": "TPSL", "side": "SELL", "price": "0", "reduceOnly": True}

BROKEN: list[tuple[int, dict[str, Any]]] = [
    (1001, {"unsigned": {"market": "NO-USD"}}),
    (1120, {"qty": "0.00009"}),
    (1122, {"qty": "201", "price": "75000"}),
    (1122, {"qty": "40", "type": "MARKET", "timeInForce": "IOC", "price": "77000"}),
    (1123, {"qty": "0.010001"}),
    (1125, {"price": "75000.5"}),
    (1128, {"fee": "0.0002"}),
    (1128, {"unsigned": {"fee": "-0.0005"}}),
    (1130, {"price": None}),
    (1132, {"unsigned": {"type": "ICEBERG"}}),
    (1132, {"unsigned": {"type": "TWAP"}}),
    (1146, {"unsigned": {"type": "TWAP", "timeInForce": "IOC"}}),
    (1133, {"unsigned": {"side": "LONG"}}),
    (1133, {"unsigned": {"timeInForce": "FOK"}}),
    (1133, {"unsigned": {"qty": "NaN"}}),
    (1133, {"unsigned": {"qty": "1E+400"}}),
    (1133, {"unsigned": {"qty": True}}),
    (1133, {"unsigned": {"nonce": "1.5"}}),
    (1133, {"unsigned": {"nonce": str(2**32)}}),
    (1133, {"unsigned": {"settlement": None}}),
    (1133, {"unsigned": {"reduceOnly": "yes"}}),
    (1133, {"unsigned": {"selfTradeProtectionLevel": None}}),
    (1133, {"unsigned": {"id": "x" * 200}}),
    (1133, {"timeInForce": "TOB"}),
    (1133, {"postOnly": True, "timeInForce": "IOC"}),
    (1137, REDUCE),
    (1139, {"type": "MARKET"}),
    (1141, {"price": "85000"}),
    (1141, {"side": "SELL", "price": "70000"}),
    (1142, {"cancelId": "nobody"}),
    (1143, {"type": "CONDITIONAL"}),
    (1144, CONDITIONAL | {"trigger": TRIGGER | {"executionPriceType": "MARKET"}, "postOnly": True}),
    (1141, CONDITIONAL | {"price": "82000"}),
    (1131, {"tpSlType": "ORDER", "unsigned": {"takeProfit": {"price": "1"}}}),
    (1131, TPSL | {"tpSlType": "ORDER"}),
    (1101, {"unsigned": {"qty": "0.02"}}),
    (1101, {"unsigned": {"price": "75001"}}),
    (1101, {"unsigned": {"nonce": "18"}}),
    (1101, {"unsigned": {"fee": "0.0006"}}),
    (1101, {"unsigned": {"builderFee": "0.0001", "builderId": 7}}),
]


@pytest.mark.parametrize(("code", "changes"), BROKEN, ids=[f"{code}-{n}" for n, (code, _) in enumerate(BROKEN)])
async def test_each_broken_rule_has_its_number(harness: Harness, code: int, changes: dict[str, Any]):
    response = await harness.place(**changes)

    assert code_of(response) == code, response.text
    assert response.status_code == (404 if code == 1001 else 400)
    assert not harness.account.orders


async def test_sizes_and_prices_off_the_grid(harness: Harness):
    """BTC's grid is a power of ten, so that there every such number has too many decimals: see DOGE, step 10."""
    async with running(symbols=("DOGE-USD", BTC)) as two:
        body = two.order_body(unsigned={"market": "DOGE-USD", "qty": "105", "price": "0.14"})
        response = await two.call("POST", "/user/order", json=body)
        assert code_of(response) == 1121
    assert code_of(await harness.place(price="0", unsigned={"price": "0"})) == 1124


async def test_a_signature_is_held_against_key_vault_and_message(harness: Harness):
    body = harness.order_body()
    settlement = body["settlement"]

    async def refused(**changes: Any) -> int:
        return code_of(await harness.call("POST", "/user/order", json=body | {"settlement": settlement | changes}))

    assert await refused(starkKey=hex(harness.second.public_key)) == 1100
    assert await refused(collateralPosition=str(harness.second.vault)) == 1102
    assert await refused(signature={"r": "0x1", "s": "0x2"}) == 1101
    assert await refused(signature={"r": "0x0", "s": "0x0"}) == 1101
    assert await refused(signature={"r": hex(2**256), "s": hex(2**256)}) == 1101
    assert await refused(signature={"r": "xyz", "s": "0x1"}) == 1133
    other = await harness.call("POST", "/user/order", json=body, account=harness.second)
    assert code_of(other) == 1100
    assert (await harness.call("POST", "/user/order", json=body)).status_code == 200


async def test_the_legs_are_signed_too(harness: Harness):
    legs: dict[str, Any] = {
        "tpSlType": "ORDER",
        "takeProfit": harness.leg("90000"),
        "stopLoss": harness.leg("70000"),
    }
    body = harness.order_body(**legs)
    for name in ("takeProfit", "stopLoss"):
        forged = body | {name: body[name] | {"price": str(Decimal(body[name]["price"]) + 1)}}
        assert code_of(await harness.call("POST", "/user/order", json=forged)) == 1101
    whole = harness.order_body(**(legs | {"tpSlType": "POSITION"}), unsigned={"tpSlType": "ORDER"})
    assert code_of(await harness.call("POST", "/user/order", json=whole)) == 1101
    assert (await harness.call("POST", "/user/order", json=body)).status_code == 200


async def test_legs_lie_on_their_sides_of_the_price(harness: Harness):
    for legs in (
        {"takeProfit": harness.leg("70000")},
        {"stopLoss": harness.leg("90000")},
        {"takeProfit": harness.leg("90000", priceType="NEITHER")},
    ):
        assert code_of(await harness.place(tpSlType="ORDER", **legs)) == 1133
    assert (
        code_of(await harness.place(unsigned={"tpSlType": None}, tpSlType="ORDER", takeProfit=harness.leg("90000")))
        == 1133
    )
    beyond = harness.leg("90000", "80000")  # a sell at 80,000 is more than 5 % below its trigger
    assert code_of(await harness.place(tpSlType="ORDER", takeProfit=beyond)) == 1141


async def test_an_order_id_is_used_once_even_after_its_order_ended(harness: Harness):
    await harness.placed(id="once")
    assert code_of(await harness.place(id="once")) == 1134
    await harness.call("DELETE", "/user/order?externalId=once")
    assert code_of(await harness.place(id="once")) == 1134
    assert (await harness.place(id="once", account=harness.second)).status_code == 200


async def test_expiry_lies_within_28_days(harness: Harness):
    now = to_ms(harness.clock())
    for expires_ms in (now, now - 1, now + 28 * DAY_MS + 1):
        assert code_of(await harness.place(expiryEpochMillis=expires_ms)) == 1135
    assert (await harness.place(expiryEpochMillis=now + 28 * DAY_MS)).status_code == 200


async def test_a_maker_may_sign_no_fee_and_a_taker_may_not(harness: Harness):
    assert code_of(await harness.place(fee="0")) == 1128
    assert (await harness.place(fee="0", postOnly=True)).status_code == 200


async def test_reducing_orders_need_a_position_of_the_other_side_and_size(harness: Harness):
    await harness.take("BUY", "0.01")
    assert code_of(await harness.place(**(REDUCE | {"qty": "0.02"}))) == 1136
    assert code_of(await harness.place(reduceOnly=True)) == 1138
    assert (await harness.place(**REDUCE)).status_code == 200


async def test_stand_alone_legs_reduce_and_a_whole_positions_have_no_quantity(harness: Harness):
    await harness.take("BUY", "0.01")
    legs = {"takeProfit": harness.leg("90000")}
    assert code_of(await harness.place(**(TPSL | {"tpSlType": "ORDER", "reduceOnly": False} | legs))) == 1145
    assert code_of(await harness.place(**(TPSL | {"tpSlType": "POSITION"} | legs))) == 1129
    assert code_of(await harness.place(**(TPSL | {"tpSlType": "ORDER", "qty": "0"} | legs))) == 1129
    assert code_of(await harness.place(**(TPSL | {"tpSlType": "ORDER", "price": "80000"} | legs))) == 1133
    assert (await harness.place(**(TPSL | {"tpSlType": "POSITION", "qty": "0"} | legs))).status_code == 200


async def test_no_more_than_200_open_orders_in_a_market(harness: Harness):
    for _ in range(200):
        assert (await harness.place(qty="0.0001")).status_code == 200
    assert code_of(await harness.place(qty="0.0001")) == 1126
    replacing = await harness.place(qty="0.0001", cancelId="order-7")
    assert replacing.status_code == 200


async def test_a_position_keeps_to_its_leverages_bracket(harness: Harness):
    """At leverage 50 a position may be worth 4 M USD, at 25 20 M; the account could pay for a little more."""
    assert code_of(await harness.place(qty="53", price="76000")) == 1127
    await harness.call("PATCH", "/user/leverage", json={"market": BTC, "leverage": "25"})
    assert code_of(await harness.place(qty="53", price="76000")) == 1140


async def test_a_loss_at_once_may_not_exceed_equity(harness: Harness):
    """3.85 M USD at leverage 50 cost 77,000 of the 100,000; bought 4 % above mark they lose some 148,000 at once."""
    price = str(round(harness.quote.mark * Decimal("1.04")))
    assert code_of(await harness.place(qty="48", price=price)) == 1147
    legs = {"tpSlType": "ORDER", "stopLoss": harness.leg("70000")}
    assert code_of(await harness.place(qty="45", **legs)) == 1148


async def test_a_replaced_orders_margin_counts_for_its_replacement(harness: Harness):
    await harness.placed(id="big", qty="45")
    assert code_of(await harness.place(qty="45")) == 1127
    assert (await harness.place(qty="45", cancelId="big")).status_code == 200


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"null", b"\xff", b"[" * 100_000])
async def test_what_is_no_object_is_1133(harness: Harness, content: bytes):
    response = await harness.call("POST", "/user/order", content=content)
    assert code_of(response) == 1133
