"""Our signatures against a second, independent implementation: hashes by hand with poseidon_py, keys by starknet-py."""

from dataclasses import astuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from poseidon_py.poseidon_hash import poseidon_hash_many
from starknet_py.hash.utils import message_signature, private_to_stark_key, verify_message_signature

from astrade.venues.extended.signing import (
    CURVE_ORDER,
    FIELD,
    MAINNET,
    TESTNET,
    Message,
    OrderMessage,
    Signature,
    StarknetDomain,
    TransferMessage,
    WithdrawalMessage,
    hash_of,
    public_key_of,
    sign,
    verifies,
)

# extended-api.md §11.2: the type texts' selectors and the domains' hashes
SELECTORS: dict[type[Message], int] = {
    OrderMessage: 0x36DA8D51815527CABFAA9C982F564C80FA7429616739306036F1F9B608DD112,
    TransferMessage: 0x1DB88E2709FDF2C59E651D141C3296A42B209CE770871B40413EA109846A3B4,
    WithdrawalMessage: 0x250A5FA378E8B771654BD43DCB34844534F9D1E29E16B14760D7936EA7F4B1D,
}
DOMAIN_SELECTOR = 0x1FF2F602E42168014D405A94F75E8A93D640751D71D16311266E140D8B0A210
DOMAIN_HASHES = {
    MAINNET: 0x38D7910D4785470E8138BA27E6130ABE78124C7F39B2AF4C28A5A426E631B79,
    TESTNET: 0x62A6F0272BBF7EBBC25BF7432754DA4522FF6D54A9C1015F3D4248A0B3941E7,
}
PUBLIC_KEY = public_key_of(77)

u32, u64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
assets = st.integers(0, FIELD - 1)
ORDERS = st.builds(OrderMessage, u32, assets, i64, assets, i64, assets, u64, u64, u64)
TRANSFERS = st.builds(TransferMessage, u32, u32, assets, u64, u64, u64)
WITHDRAWALS = st.builds(WithdrawalMessage, assets, u32, assets, u64, u64, u64)


def text(value: str) -> int:
    """A short string as the field holds it."""
    return int.from_bytes(value.encode(), "big")


def expected(message: Message, public_key: int, domain: StarknetDomain) -> int:
    """The hash as the reference writes it down."""
    struct = poseidon_hash_many([SELECTORS[type(message)], *(value % FIELD for value in astuple(message))])
    return int(poseidon_hash_many([text("StarkNet Message"), DOMAIN_HASHES[domain], public_key, struct]))


@pytest.mark.parametrize("domain", DOMAIN_HASHES, ids=lambda domain: domain.chain_id)
def test_the_domains_hashes_are_those_of_the_reference(domain: StarknetDomain) -> None:
    words = [text(domain.name), text(domain.version), text(domain.chain_id), int(domain.revision)]
    assert poseidon_hash_many([DOMAIN_SELECTOR, *words]) == DOMAIN_HASHES[domain]


@given(message=ORDERS | TRANSFERS | WITHDRAWALS, domain=st.sampled_from([MAINNET, TESTNET]))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_hashes_are_those_of_poseidon_by_hand(message: Message, domain: StarknetDomain) -> None:
    assert hash_of(message, public_key=PUBLIC_KEY, domain=domain) == expected(message, PUBLIC_KEY, domain)


@given(key=st.integers(1, CURVE_ORDER - 1), message=ORDERS)
@settings(max_examples=8, deadline=None, derandomize=True)  # over a tenth of a second each
def test_signatures_are_those_of_starknet_py_to_the_bit(key: int, message: OrderMessage) -> None:
    assert private_to_stark_key(key) == public_key_of(key)
    digest = hash_of(message, public_key=public_key_of(key), domain=TESTNET)
    ours = sign(key, digest)
    r, s = message_signature(digest, key, seed=None)
    assert ours == Signature(r, s)
    assert verify_message_signature(digest, [ours.r, ours.s], public_key_of(key))
    assert verifies(public_key_of(key), digest, Signature(r, s))
