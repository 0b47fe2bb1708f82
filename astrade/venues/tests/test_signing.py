"""Signatures for Extended, bit for bit as its own SDK makes them."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from astrade.venues.extended.signing import (
    CURVE_ORDER,
    FIELD,
    MAINNET,
    NONCE_MAX,
    TESTNET,
    L2Config,
    OrderMessage,
    Signature,
    TransferMessage,
    Unsignable,
    WithdrawalMessage,
    hash_of,
    new_private_key,
    order_message,
    position_leg_quantity,
    public_key_of,
    sign,
    verifies,
)

# Made by running the vendor's SDK (x10-python-trading-starknet 2.6.0); the keys are throw-away test keys.
VECTORS = json.loads(Path(__file__).with_name("extended_signing_vectors.json").read_text())
DOMAINS = {"testnet": TESTNET, "mainnet": MAINNET}
BTC = L2Config(0x4254432D3600000000000000000000, 1_000_000, 1, 1_000_000)


def named(kind: str) -> Any:
    """The vectors of one kind as parameters."""
    return pytest.mark.parametrize("vector", VECTORS[kind], ids=[vector["name"] for vector in VECTORS[kind]])


def key_of(vector: dict[str, Any]) -> int:
    return int(vector["inputs"]["private_key"], 16)


def signed(vector: dict[str, Any]) -> tuple[int, Signature]:
    """Hash and signature that a vector (or a leg of one) holds."""
    return int(vector["hash"], 16), Signature(int(vector["r"], 16), int(vector["s"], 16))


def l2_of(vector: dict[str, Any]) -> L2Config:
    l2 = vector["market_l2"]
    return L2Config(
        int(l2["synthetic_id"], 16),
        l2["synthetic_resolution"],
        int(l2["collateral_id"], 16),
        l2["collateral_resolution"],
    )


def leg_message(vector: dict[str, Any], leg: dict[str, Any]) -> OrderMessage:
    """The message of an order's leg from what was asked for."""
    inputs, name = vector["inputs"], leg["leg"]
    price = inputs["price"] if name == "order" else inputs[name]["price"]
    return order_message(
        l2=l2_of(vector),
        buys=(inputs["side"] == "BUY") == (name == "order"),
        quantity=Decimal(inputs["qty"]),
        price=Decimal(price),
        fee_rate=Decimal(inputs["fee_rate"]) + Decimal(inputs.get("builder_fee", 0)),
        vault=inputs["vault"],
        nonce=inputs["nonce"],
        expires_ms=inputs["expiry_epoch_millis"],
    )


@named("orders")
def test_orders_and_their_legs_are_signed_as_the_sdk_does(vector: dict[str, Any]) -> None:
    key, domain = key_of(vector), DOMAINS[vector["inputs"]["network"]]
    assert public_key_of(key) == int(vector["public_key"], 16)
    for leg in vector["legs"]:
        message = leg_message(vector, leg)
        amounts = (message.base_amount, message.quote_amount, message.fee_amount, message.expiration_s)
        told = ("base_amount", "quote_amount", "fee_amount", "settlement_expiration_seconds")
        assert amounts == tuple(leg[name] for name in told)
        digest, signature = signed(leg)
        assert hash_of(message, public_key=public_key_of(key), domain=domain) == digest
        assert sign(key, digest) == signature
        assert verifies(public_key_of(key), digest, signature)


@named("transfers")
def test_transfers_are_signed_as_the_sdk_does(vector: dict[str, Any]) -> None:
    inputs, (digest, signature) = vector["inputs"], signed(vector)
    message = TransferMessage(
        recipient_position_id=inputs["receiver_vault"],
        sender_position_id=inputs["sender_vault"],
        collateral_id=1,
        amount=vector["amount_stark"],
        expiration_s=vector["expiration_seconds"],
        salt=inputs["nonce"],
    )
    key = key_of(vector)
    assert hash_of(message, public_key=public_key_of(key), domain=DOMAINS[inputs["network"]]) == digest
    assert sign(key, digest) == signature


@named("withdrawals")
def test_withdrawals_are_signed_as_the_sdk_does(vector: dict[str, Any]) -> None:
    inputs, (digest, signature) = vector["inputs"], signed(vector)
    message = WithdrawalMessage(
        recipient=int(inputs["recipient"], 16),
        position_id=inputs["vault"],
        collateral_id=1,
        amount=vector["amount_stark"],
        expiration_s=vector["expiration_seconds"],
        salt=inputs["nonce"],
    )
    key = key_of(vector)
    assert hash_of(message, public_key=public_key_of(key), domain=DOMAINS[inputs["network"]]) == digest
    assert sign(key, digest) == signature


def test_rounding_by_example() -> None:
    """extended-api.md §11.4: what is paid up, what is received down, the fee up from the exact notional."""
    terms: dict[str, Any] = {"l2": BTC, "quantity": Decimal("0.00123"), "price": Decimal("43445.1168")}
    terms |= {"fee_rate": Decimal("0.0005"), "vault": 1, "nonce": 1, "expires_ms": 1_000}
    bought, sold = order_message(buys=True, **terms), order_message(buys=False, **terms)
    assert (bought.base_amount, bought.quote_amount, bought.fee_amount) == (1230, -53437494, 26719)
    assert (sold.base_amount, sold.quote_amount, sold.fee_amount) == (-1230, 53437493, 26719)


@pytest.mark.parametrize(
    ("expires_ms", "seconds"), [(1_000, 1), (1_001, 2), (1_999, 2), (1_767_225_600_000, 1_767_225_600)]
)
def test_the_signed_expiration_is_two_weeks_after_the_expiry_rounded_up(expires_ms: int, seconds: int) -> None:
    message = order_message(
        l2=BTC, buys=True, quantity=Decimal(1), price=Decimal(1), fee_rate=Decimal(0), vault=1, nonce=1,
        expires_ms=expires_ms,
    )  # fmt: skip
    assert message.expiration_s == seconds + 14 * 86_400


@pytest.mark.parametrize(
    ("step", "quantity"),
    [("0.00001", "50000"), ("0.001", "50000"), ("0.5", "50000"), ("0.25", "50000"), ("10", "50000")],
)
def test_a_leg_over_a_position_covers_any_later_size(step: str, quantity: str) -> None:
    found = position_leg_quantity(max_position_value=Decimal(60_000), price=Decimal(60), step=Decimal(step))
    assert found == Decimal(quantity)


def test_a_legs_quantity_is_cut_at_the_steps_decimals() -> None:
    third = [
        position_leg_quantity(max_position_value=Decimal(1), price=Decimal(3), step=Decimal(step))
        for step in ("0.001", "0.5", "1", "10", "100")
    ]
    assert [str(quantity) for quantity in third] == ["16.666", "16", "16", "16.6", "16.66"]


ON_CURVE = public_key_of(77)
ORDER = OrderMessage(1, BTC.synthetic_id, 1, 1, -1, 1, 1, 1, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"base_amount": 2**63},
        {"base_amount": -(2**63) - 1},
        {"quote_amount": 2**63},
        {"fee_amount": -1},
        {"fee_amount": 2**64},
        {"position_id": 2**32},
        {"salt": 2**64},
        {"expiration_s": -1},
        {"base_asset_id": FIELD},
    ],
)
def test_what_the_settlement_cannot_hold_is_refused_by_name(changes: dict[str, int]) -> None:
    (name,) = changes
    with pytest.raises(Unsignable, match=name):
        hash_of(replace(ORDER, **changes), public_key=ON_CURVE, domain=TESTNET)


@pytest.mark.parametrize("public_key", [0, -1, FIELD, 5])
def test_a_public_key_off_the_curve_is_refused(public_key: int) -> None:
    with pytest.raises(Unsignable, match="public key"):
        hash_of(ORDER, public_key=public_key, domain=TESTNET)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e400", "0." + "1" * 300])
def test_an_amount_that_is_not_exact_is_refused(text: str) -> None:
    with pytest.raises(Unsignable):
        order_message(
            l2=BTC, buys=True, quantity=Decimal(text), price=Decimal("1.1"), fee_rate=Decimal(0), vault=1, nonce=1,
            expires_ms=1,
        )  # fmt: skip


@pytest.mark.parametrize("key", [0, -5, CURVE_ORDER, CURVE_ORDER + 1])
def test_a_private_key_out_of_range_is_refused_and_not_told(key: int) -> None:
    for call in (lambda: public_key_of(key), lambda: sign(key, 1)):
        with pytest.raises(Unsignable) as refused:
            call()
        assert str(refused.value) == "a private key lies between 1 and the curve's order"


@pytest.mark.parametrize("digest", [0, 2**251])
def test_a_hash_out_of_range_is_refused(digest: int) -> None:
    with pytest.raises(Unsignable, match="hash"):
        sign(5, digest)


def test_nobody_signed_a_hash_of_nought() -> None:
    """(x, 1) satisfies the equation for the key with that x, whoever asks."""
    assert not verifies(1, 0, Signature(1, 1))


NUMBERS = st.one_of(
    st.integers(-2, 2), st.integers(2**251 - 2, 2**251 + 2), st.integers(CURVE_ORDER - 2, CURVE_ORDER + 2),
    st.integers(FIELD - 2, FIELD + 2), st.integers(0, 2**256),
)  # fmt: skip


@example(public_key=ON_CURVE, digest=1, r=1, s=CURVE_ORDER - 1)  # its own inverse, which is too large
@example(public_key=ON_CURVE, digest=1, r=1, s=2**251)
@example(public_key=ON_CURVE, digest=1, r=1, s=pow(2**251, -1, CURVE_ORDER))
@example(public_key=5, digest=1, r=1, s=1)  # off the curve
@given(public_key=NUMBERS, digest=NUMBERS, r=NUMBERS, s=NUMBERS)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_no_integers_make_the_library_panic(public_key: int, digest: int, r: int, s: int) -> None:
    assert verifies(public_key, digest, Signature(r, s)) in (True, False)


def test_another_key_message_or_domain_is_another_signature() -> None:
    key, other = new_private_key(), new_private_key()
    public_key = public_key_of(key)
    digest = hash_of(ORDER, public_key=public_key, domain=TESTNET)
    signature = sign(key, digest)
    assert verifies(public_key, digest, signature)
    assert not verifies(public_key_of(other), digest, signature)
    for changed in (
        hash_of(replace(ORDER, salt=2), public_key=public_key, domain=TESTNET),
        hash_of(ORDER, public_key=public_key, domain=MAINNET),
        hash_of(ORDER, public_key=public_key_of(other), domain=TESTNET),
    ):
        assert changed != digest
        assert not verifies(public_key, changed, signature)


def test_new_keys_are_within_the_curves_order_and_differ() -> None:
    keys = {new_private_key() for _ in range(50)}
    assert len(keys) == 50
    assert all(0 < key < CURVE_ORDER for key in keys)
    assert NONCE_MAX == 2_147_483_647
