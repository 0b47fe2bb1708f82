"""Orders, transfers and withdrawals as they are posted, byte for byte as the vendor's own SDK makes them."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest

from astrade.venues.extended.funds import unsigned_transfer, unsigned_withdrawal
from astrade.venues.extended.orders import market_price, unsigned_order
from astrade.venues.extended.signing import (
    TESTNET,
    Unsignable,
    hash_of,
    position_leg_quantity,
    public_key_of,
    sign,
    verifies,
)
from astrade.venues.extended.tickets import Condition, InvalidTicket, LegTicket, Signer, Terms, Ticket
from astrade.venues.extended.wire import (
    OrderType,
    PriceType,
    Side,
    TimeInForce,
    TpslType,
    TriggerDirection,
    TriggerPriceType,
)
from astrade.venues.tests.test_signing import BTC, DOMAINS, key_of, l2_of, named

KEY = 0x5
SIGNER = Signer(10_002, public_key_of(KEY), TESTNET)
TERMS = Terms("BTC-USD", BTC, Decimal("0.00001"), Decimal(60_000_000))
LIMIT = Ticket(
    terms=TERMS,
    signer=SIGNER,
    type=OrderType.LIMIT,
    side=Side.BUY,
    quantity=Decimal("0.001"),
    price=Decimal(43_445),
    fee_rate=Decimal("0.0005"),
    expires_ms=1_767_225_600_000,
    nonce=17,
)
PROFIT = LegTicket(
    trigger_price=Decimal(50_000), by=TriggerPriceType.LAST, price=Decimal(49_900), execution=PriceType.LIMIT
)
LOSS = LegTicket(
    trigger_price=Decimal(40_000), by=TriggerPriceType.MARK, price=Decimal(39_000), execution=PriceType.MARKET
)


def signer_of(vector: dict[str, Any], vault: int) -> Signer:
    return Signer(vault, public_key_of(key_of(vector)), DOMAINS[vector["inputs"]["network"]])


def leg_of(asked: dict[str, str] | None) -> LegTicket | None:
    if asked is None:
        return None
    return LegTicket(
        trigger_price=Decimal(asked["trigger_price"]),
        by=TriggerPriceType(asked["trigger_price_type"]),
        price=Decimal(asked["price"]),
        execution=PriceType(asked["price_type"]),
    )


def ticket_of(vector: dict[str, Any]) -> Ticket:
    """What was asked of the SDK."""
    asked, l2 = vector["inputs"], vector["market_l2"]
    trigger = asked.get("trigger")
    return Ticket(
        terms=Terms(
            asked["market"], l2_of(vector), Decimal(l2["min_order_size_change"]), Decimal(l2["max_position_value"])
        ),
        signer=signer_of(vector, asked["vault"]),
        type=OrderType(asked["type"]),
        side=Side(asked["side"]),
        quantity=Decimal(asked["qty"]),
        price=Decimal(asked["price"]),
        fee_rate=Decimal(asked["fee_rate"]),
        expires_ms=asked["expiry_epoch_millis"],
        nonce=asked["nonce"],
        external_id=asked.get("order_external_id"),
        time_in_force=TimeInForce(asked.get("time_in_force", "GTT")),
        reduce_only=asked.get("reduce_only", False),
        post_only=asked.get("post_only", False),
        replaces=asked.get("previous_order_external_id"),
        condition=trigger
        and Condition(
            price=Decimal(trigger["trigger_price"]),
            by=TriggerPriceType(trigger["trigger_price_type"]),
            direction=TriggerDirection(trigger["direction"]),
            execution=PriceType(trigger["execution_price_type"]),
        ),
        legs_close=TpslType(asked["tp_sl_type"]) if "tp_sl_type" in asked else None,
        take_profit=leg_of(asked.get("take_profit")),
        stop_loss=leg_of(asked.get("stop_loss")),
        builder_rate=Decimal(asked["builder_fee"]) if "builder_fee" in asked else None,
        builder_id=asked.get("builder_id"),
    )


@named("orders")
def test_orders_are_posted_as_the_sdk_posts_them(vector: dict[str, Any]) -> None:
    unsigned = unsigned_order(ticket_of(vector))
    assert [hex(digest) for digest in unsigned.hashes] == [leg["hash"] for leg in vector["legs"]]
    body = unsigned.body([sign(key_of(vector), digest) for digest in unsigned.hashes])
    assert orjson.dumps(body) == orjson.dumps(vector["request_body"])


@named("transfers")
def test_transfers_are_posted_as_the_sdk_posts_them(vector: dict[str, Any]) -> None:
    asked = vector["inputs"]
    unsigned = unsigned_transfer(
        signer=signer_of(vector, asked["sender_vault"]),
        recipient_vault=asked["receiver_vault"],
        recipient_key=int(asked["receiver_public_key"], 16),
        amount=Decimal(asked["amount"]),
        nonce=asked["nonce"],
        now=datetime.fromisoformat(asked["now"]),
    )
    assert hex(unsigned.hash) == vector["hash"]
    assert orjson.dumps(unsigned.body(sign(key_of(vector), unsigned.hash))) == orjson.dumps(vector["request_body"])


@named("withdrawals")
def test_withdrawals_are_posted_as_the_sdk_posts_them(vector: dict[str, Any]) -> None:
    asked = vector["inputs"]
    unsigned = unsigned_withdrawal(
        signer=signer_of(vector, asked["vault"]),
        account_id=asked["account_id"],
        recipient=int(asked["recipient"], 16),
        amount=Decimal(asked["amount"]),
        nonce=asked["nonce"],
        now=datetime.fromisoformat(asked["now"]),
        chain=asked["chain_id"],
        quote_id=asked["quote_id"],
    )
    assert hex(unsigned.hash) == vector["hash"]
    assert orjson.dumps(unsigned.body(sign(key_of(vector), unsigned.hash))) == orjson.dumps(vector["request_body"])


def test_of_a_tpsl_order_only_the_legs_are_signed_and_sent() -> None:
    ticket = replace(
        LIMIT, type=OrderType.TPSL, side=Side.SELL, quantity=Decimal(0), price=Decimal(0), reduce_only=True,
        legs_close=TpslType.POSITION, take_profit=PROFIT, stop_loss=LOSS,
    )  # fmt: skip
    unsigned = unsigned_order(ticket)
    body = unsigned.body([sign(KEY, digest) for digest in unsigned.hashes])
    assert len(unsigned.messages) == 2
    assert "settlement" not in body
    assert (body["qty"], body["price"], body["side"], body["tpSlType"]) == ("0", "0", "SELL", "POSITION")
    whole = position_leg_quantity(max_position_value=TERMS.max_position_value, price=PROFIT.price, step=TERMS.step_size)
    assert body["takeProfit"]["debuggingAmounts"]["syntheticAmount"] == str(int(-whole * BTC.synthetic_resolution))
    for name, message in zip(("takeProfit", "stopLoss"), unsigned.messages, strict=True):
        assert body[name]["settlement"]["starkKey"] == hex(SIGNER.public_key)
        assert body[name]["debuggingAmounts"]["collateralAmount"] == str(message.quote_amount)
    assert body["id"] == str(hash_of(unsigned.order, public_key=SIGNER.public_key, domain=TESTNET))


def test_two_equal_legs_are_signed_each() -> None:
    twins = replace(LIMIT, legs_close=TpslType.ORDER, take_profit=PROFIT, stop_loss=replace(LOSS, price=PROFIT.price))
    unsigned = unsigned_order(twins)
    signatures = [sign(KEY, digest) for digest in unsigned.hashes]
    assert unsigned.messages[1] == unsigned.messages[2]
    body = unsigned.body(signatures)
    assert body["settlement"]["signature"]["r"] == hex(signatures[0].r)
    assert body["takeProfit"]["settlement"] == body["stopLoss"]["settlement"]
    assert all(verifies(SIGNER.public_key, *pair) for pair in zip(unsigned.hashes, signatures, strict=True))


@pytest.mark.parametrize("given", [0, 2])
def test_each_message_needs_its_signature(given: int) -> None:
    unsigned = unsigned_order(LIMIT)
    with pytest.raises(ValueError, match="1 signatures are needed"):
        unsigned.body([sign(KEY, 1)] * given)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"type": OrderType.TWAP}, "type is not offered"),
        ({"side": Side.UNKNOWN}, "neither buy nor sell"),
        ({"time_in_force": TimeInForce.FOK}, "time in force"),
        ({"time_in_force": TimeInForce.TOB}, "TOB is post-only"),
        ({"type": OrderType.MARKET}, "market order is IOC"),
        ({"type": OrderType.MARKET, "time_in_force": TimeInForce.IOC, "post_only": True}, "not post-only"),
        ({"type": OrderType.CONDITIONAL}, "has a condition"),
        ({"take_profit": PROFIT}, "say what they close"),
        ({"legs_close": TpslType.ORDER}, "say what they close"),
        ({"type": OrderType.TPSL, "price": Decimal(0), "reduce_only": True}, "has a leg"),
        ({"price": Decimal(0)}, "no price of its own"),
        ({"quantity": Decimal(0)}, "no quantity"),
        ({"quantity": Decimal(-1)}, "not negative"),
        ({"fee_rate": Decimal("NaN")}, "not a number"),
        ({"builder_id": 5}, "builder"),
        ({"legs_close": TpslType.ORDER, "stop_loss": replace(LOSS, price=Decimal(0))}, "above 0"),
        (
            {"type": OrderType.TPSL, "price": Decimal(0), "legs_close": TpslType.ORDER, "stop_loss": LOSS},
            "reduce-only and not post-only",
        ),
    ],
)
def test_what_the_venue_would_not_have_is_no_order(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidTicket, match=fault):
        unsigned_order(replace(LIMIT, **changes))


@pytest.mark.parametrize(
    ("best", "side", "tick", "price"),
    [
        ("100", Side.BUY, "0.5", "101"),  # 100.75 up
        ("100", Side.SELL, "0.5", "99"),  # 99.25 down
        ("103", Side.BUY, "5", "105"),  # 103.7725 up
        ("77260", Side.BUY, "1", "77840"),  # 77839.45 up
        ("0.001", Side.SELL, "0.001", "0.001"),  # never under one tick
        ("200", Side.BUY, "0.1", "201.5"),  # 201.5 is on the tick
    ],
)
def test_a_market_order_is_signed_for_a_price_beyond_the_best_one(best: str, side: Side, tick: str, price: str) -> None:
    assert market_price(Decimal(best), side, tick_size=Decimal(tick)) == Decimal(price)


@pytest.mark.parametrize("amount", ["0", "-1", "0.0000001", "1.1234567", "NaN"])
def test_only_whole_quanta_of_collateral_are_moved(amount: str) -> None:
    with pytest.raises(Unsignable):
        unsigned_transfer(
            signer=SIGNER,
            recipient_vault=3,
            recipient_key=SIGNER.public_key,
            amount=Decimal(amount),
            nonce=1,
            now=datetime.fromisoformat("2026-01-01T00:00:00+00:00"),
        )
