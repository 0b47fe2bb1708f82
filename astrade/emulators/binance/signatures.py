"""Signatures as the exchange checks them (binance-api.md §5)."""

import base64
import hashlib
import hmac
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

SIGNATURE = "signature"


def rest_payload(query: str, body: str) -> str:
    """Query and body as they were sent, percent-encoded and without a separator, but for the signature."""
    return _unsigned(query) + _unsigned(body)


def rpc_payload(params: Mapping[str, str]) -> str:
    """Parameters of the WebSocket API by name, not encoded."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params) if name != SIGNATURE)


def is_hmac(secret: str, payload: str, signature: str) -> bool:
    """Whether it is the hexadecimal HMAC-SHA256, in whatever case."""
    expected = hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.lower().encode())


def is_ed25519(private_key: str, payload: str, signature: str) -> bool:
    """Whether it is the base64 signature of the PEM key's owner."""
    key = load_pem_private_key(private_key.encode(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    try:
        key.public_key().verify(base64.b64decode(signature, validate=True), payload.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def ed25519_pem(seed: str) -> str:
    """A private key that belongs to `seed`. For emulated accounts only: anybody can derive it."""
    return pem_of(hashlib.sha256(seed.encode()).digest())


def pem_of(private_bytes: bytes) -> str:
    """An Ed25519 private key of 32 bytes as PEM."""
    key = Ed25519PrivateKey.from_private_bytes(private_bytes)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _unsigned(text: str) -> str:
    return "&".join(part for part in text.split("&") if not part.startswith(f"{SIGNATURE}="))
