"""Stark keys as they are written, and as a wallet makes them (extended-api.md §11.10, §13). No database here."""

import hashlib
import re

from astrade.venues.extended.signing import CURVE_ORDER

KEY_BYTES = 32
WALLET_SIGNATURE_BYTES = 65
_FELT = re.compile(r"(?:0x)?[0-9a-f]{1,64}", re.IGNORECASE)
_UNBIASED_BELOW = 2**256 - 2**256 % CURVE_ORDER


def as_hex(value: int) -> str:
    """A key's one spelling: `0x`, lower case, no leading zero."""
    return hex(value)


def from_hex(text: str) -> int | None:
    """What hexadecimal text stands for, with or without `0x`; None for any other text."""
    return int(text, 16) if _FELT.fullmatch(text) else None


def key_of_wallet(signature: bytes) -> int:
    """The private key that a wallet's 65-byte signature of `AccountCreation` gives: its r, ground (§13.1).

    Raises ValueError, without the signature, for another length.
    """
    if len(signature) != WALLET_SIGNATURE_BYTES:
        raise ValueError(f"a wallet's signature has {WALLET_SIGNATURE_BYTES} bytes")
    seed = signature[:KEY_BYTES].lstrip(b"\0") or b"\0"
    for attempt in range(256):
        digest = int.from_bytes(hashlib.sha256(seed + bytes([attempt])).digest())
        if digest < _UNBIASED_BELOW and (key := digest % CURVE_ORDER):
            return key
    raise ValueError("no key can be ground from this signature")  # one in 2**1000
