"""Secrets at rest: AES-256-GCM under a ring of keys, each ciphertext bound to its purpose and row (DESIGN §6).

    sealed = seal(secret, purpose="totp", row=device.uuid)        under the first key of the ring
    secret = unseal(sealed, purpose="totp", row=device.uuid)      under the key that it names; raises SealBroken
    is_current(sealed)                                            whether the first key sealed it: see `rotate_keys`

The ring is that of the `key_sources` which the settings name (the environment, a file, a Vault), else `ENCRYPTION_KEY`
alone; the demo and tests, which have none, derive one from `SECRET_KEY`. To change keys put a new one first, restart
the processes, run `manage.py rotate_keys`, then drop the old one.
"""

import hashlib
import os
import uuid
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from accounts.key_sources import KeySource, key_source

FORMAT = 1
NONCE_BYTES = 12
SECRET_LENGTH_MIN = 32
ID_LENGTH_MAX = 32
Ring = dict[str, AESGCM]


class SealBroken(Exception):
    """A sealed secret was changed, moved to another row, or its key is not in the ring; tells nothing of the secret."""


def seal(secret: bytes, *, purpose: str, row: uuid.UUID) -> bytes:
    """Format byte, length and name of the key, nonce, ciphertext with tag."""
    ring = key_ring()
    name = next(iter(ring))
    nonce = os.urandom(NONCE_BYTES)
    head = bytes((FORMAT, len(name))) + name.encode()
    return head + nonce + ring[name].encrypt(nonce, secret, _bound_to(head, purpose, row))


def unseal(sealed: "bytes | memoryview[int]", *, purpose: str, row: uuid.UUID) -> bytes:
    """What was sealed for that purpose and row; raises SealBroken."""
    sealed = bytes(sealed)
    head = _head_of(sealed)
    key, body = key_ring().get(_name_in(head)), sealed[len(head) :]
    if key is None or sealed[0] != FORMAT:
        raise SealBroken("the key that sealed this is not in the ring")
    try:
        return key.decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], _bound_to(head, purpose, row))
    except (InvalidTag, ValueError) as exc:
        raise SealBroken("the seal is broken") from exc


def is_current(sealed: "bytes | memoryview[int]") -> bool:
    """Whether the ring's first key sealed it."""
    return _name_in(_head_of(bytes(sealed))) == next(iter(key_ring()))


def _head_of(sealed: bytes) -> bytes:
    return sealed[: 2 + sealed[1]] if len(sealed) > 1 else b""


def _name_in(head: bytes) -> str:
    return head[2:].decode("ascii", "replace")


def _bound_to(head: bytes, purpose: str, row: uuid.UUID) -> bytes:
    return head + purpose.encode() + b"\0" + row.bytes


def key_ring() -> Ring:
    """Keys by name, the sealing one first; raises ImproperlyConfigured for one that is malformed or weak."""
    return _ring(key_source(), settings.ENCRYPTION_KEY)


@lru_cache(maxsize=8)
def _ring(source: KeySource | None, single: str) -> Ring:
    entries = source.entries() if source else ()
    if source is None:
        secret = single or settings.SECRET_KEY  # production has keys of its own, see `astrade.settings.demands`
        return {_fingerprint(secret): _cipher(secret)}
    pairs = [entry.partition(":") for entry in entries]
    names = [name for name, _, _ in pairs]
    if not pairs:
        raise ImproperlyConfigured("The key ring is empty")
    if len(set(names)) < len(names) or not all(0 < len(name) <= ID_LENGTH_MAX and name.isascii() for name in names):
        raise ImproperlyConfigured(
            f"Encryption keys are id:secret, each id once and of 1 to {ID_LENGTH_MAX} ASCII characters"
        )
    if any(len(secret) < SECRET_LENGTH_MIN for _, _, secret in pairs):
        raise ImproperlyConfigured(f"An encryption key has {SECRET_LENGTH_MIN} random characters or more")
    return {name: _cipher(secret) for name, _, secret in pairs}


def _fingerprint(secret: str) -> str:
    return hashlib.sha256(b"accounts.sealing.name" + secret.encode()).hexdigest()[:8]


def _cipher(secret: str) -> AESGCM:
    derived = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"accounts.sealing").derive(secret.encode())
    return AESGCM(derived)
