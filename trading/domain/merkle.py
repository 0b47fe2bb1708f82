"""Balances under one hash a day: the texts that are hashed, and the tree above them (docs/proofs.md).

The tree is that of RFC 9162, section 2.1: leaves and nodes are hashed with different first bytes, and a node without a
neighbour moves up as it is. Each leaf carries a nonce of its own, so that nobody can find a neighbour's balance by
trying values.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from astrade.core.clock import to_ms
from trading.domain.ledger import fixed, text_hash

HASH_BYTES = 32
LEAF, NODE = b"\x00", b"\x01"


def leaf_nonce(salt: bytes, account: UUID) -> str:
    """The account's nonce under a root with this secret salt."""
    return hashlib.sha256(salt + account.bytes).hexdigest()


def leaf_text(*, nonce: str, account: UUID, asset: str, balance: Decimal, entry_count: int, head_hash: str) -> str:
    """What a leaf commits to: the account's cash after its entry number `entry_count`, whose hash is `head_hash`."""
    return f"leaf|{nonce}|{account}|{asset}|{fixed(balance)}|{entry_count}|{head_hash}"


def leaf_hash(text: str) -> bytes:
    """The leaf of a text."""
    return hashlib.sha256(LEAF + text.encode()).digest()


def root_hash(*, number: int, at: datetime, accounts: int, root: str, previous_hash: str) -> str:
    """The hash of a published root, by which it is chained to the one before."""
    return text_hash(f"root|{number}|{to_ms(at)}|{accounts}|{root}|{previous_hash}")


def tree_levels(leaves: bytes) -> list[bytes]:
    """All levels of the tree above concatenated leaf hashes, from the leaves to the root alone; one leaf at least."""
    levels, pair = [leaves], 2 * HASH_BYTES
    while len(below := levels[-1]) > HASH_BYTES:
        whole = len(below) - len(below) % pair
        nodes = [hashlib.sha256(NODE + below[start : start + pair]).digest() for start in range(0, whole, pair)]
        levels.append(b"".join(nodes) + below[whole:])
    return levels


def siblings(position: int, *, size: int) -> Sequence[tuple[int, int]]:
    """Level and position of each node that leads from a leaf to the root of a tree of `size` leaves."""
    found, level = [], 0
    while size > 1:
        if position ^ 1 < size:
            found.append((level, position ^ 1))
        position, size, level = position // 2, (size + 1) // 2, level + 1
    return found
