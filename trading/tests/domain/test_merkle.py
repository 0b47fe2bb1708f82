"""The tree over balances: RFC 9162's, by example and against its recursive definition."""

import hashlib
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.merkle import leaf_hash, leaf_nonce, leaf_text, root_hash, siblings, tree_levels
from trading.tests.factories import D

# RFC 6962's well-known test data: the leaves of certificate-transparency's reference trees, and their roots by size
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def leaves_of(count: int) -> list[bytes]:
    """Different leaves."""
    return [hashlib.sha256(b"\x00" + str(n).encode()).digest() for n in range(count)]


def recursive(leaves: list[bytes]) -> bytes:
    """RFC 9162, 2.1.1: split at the largest power of two below the size."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + recursive(leaves[:split]) + recursive(leaves[split:])).digest()


@pytest.mark.parametrize(("size", "root"), ROOTS.items())
def test_roots_are_those_of_the_reference(size: int, root: str) -> None:
    leaves = [hashlib.sha256(b"\x00" + bytes.fromhex(data)).digest() for data in INPUTS[:size]]
    assert tree_levels(b"".join(leaves))[-1].hex() == root


@given(size=st.integers(1, 70), at=st.integers(0, 69))
def test_every_leaf_leads_to_the_root_by_its_siblings(size: int, at: int) -> None:
    leaves, position = leaves_of(size), at % size
    levels = tree_levels(b"".join(leaves))
    assert levels[-1] == recursive(leaves)

    node, place = leaves[position], position
    above = dict(siblings(position, size=size))
    for level in range(len(levels) - 1):
        if level in above:
            other = levels[level][above[level] * 32 : above[level] * 32 + 32]
            assert len(other) == 32
            pair = other + node if place % 2 else node + other
            node = hashlib.sha256(b"\x01" + pair).digest()
        place //= 2
    assert node == levels[-1]


def test_texts_by_example() -> None:
    account = UUID(int=1)
    assert leaf_nonce(b"s" * 32, account) == hashlib.sha256(b"s" * 32 + account.bytes).hexdigest()
    text = leaf_text(nonce="n", account=account, asset="USD", balance=D("-1.5"), entry_count=3, head_hash="h")
    assert text == "leaf|n|00000000-0000-0000-0000-000000000001|USD|-1.500000000000000000|3|h"
    assert leaf_hash(text) == hashlib.sha256(b"\x00" + text.encode()).digest()
    at = datetime(1970, 1, 2, tzinfo=UTC)
    told = root_hash(number=2, at=at, accounts=5, root="r", previous_hash="p")
    assert told == hashlib.sha256(b"root|2|86400000|5|r|p").hexdigest()
