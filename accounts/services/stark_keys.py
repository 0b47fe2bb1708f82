"""Stark keys: made or taken in here, sealed at once, opened for the time of a `with` block and by nothing else.

    with signer_of(key) as signer:
        signature = signer.sign(message_hash)

A private key is an integer in memory only while it is sealed, checked or signed with; no caller is ever given it.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn, Protocol
from uuid import UUID

from accounts.models import CredentialState, KeyOrigin, StarkKey, User
from accounts.sealing import seal, unseal
from accounts.stark import KEY_BYTES, as_hex
from astrade.core import audit
from astrade.core.errors import NotFound
from astrade.venues.errors import InvalidSignature, InvalidVenueCredentials
from astrade.venues.extended.profiles import Network
from astrade.venues.extended.signing import (
    HASH_BELOW,
    Signature,
    Unsignable,
    is_public_key,
    new_private_key,
    public_key_of,
    sign,
    verifies,
)

PURPOSE = "stark_key"
SENT_AS = {  # what a key is called where it is brought along
    KeyOrigin.IMPORTED: "stark_private_key",
    KeyOrigin.DERIVED: "wallet_signature",
    KeyOrigin.EXTERNAL: "stark_public_key",
    KeyOrigin.GENERATED: "stark_public_key",
}


class Signer:
    """Signs with one key until its `with` block ends; can be neither looked into nor copied."""

    __slots__ = ("_sign",)

    def __init__(self, sign_hash: Callable[[int], Signature]) -> None:
        self._sign: Callable[[int], Signature] | None = sign_hash

    def sign(self, message_hash: int) -> Signature:
        """The key's signature of a message's hash; raises Unsignable for what is none, or after the block."""
        if self._sign is None:
            raise Unsignable("the key is closed")
        return self._sign(message_hash)

    def close(self) -> None:
        """Forget the key."""
        self._sign = None

    def __repr__(self) -> str:
        return "<Signer>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer stays where it is")


class SealedKey(Protocol):
    """A `StarkKey`, or the columns of one that were read in another way; the private key is sealed."""

    @property
    def uuid(self) -> UUID: ...
    @property
    def public_key(self) -> str: ...
    @property
    def private_key(self) -> "bytes | memoryview[int] | None": ...


@contextmanager
def signer_of(key: SealedKey) -> Iterator[Signer]:
    """The only place where a private key is opened: a signer for the block. No query.

    Raises NotFound where the server holds none, SealBroken.
    """
    if key.private_key is None:
        raise NotFound("No private key is kept here")
    private_key = int.from_bytes(unseal(key.private_key, purpose=PURPOSE, row=key.uuid))
    signer = Signer(lambda message_hash: sign(private_key, message_hash))
    try:
        yield signer
    finally:
        signer.close()


def generate_stark_key(user: User, *, network: Network, now: datetime) -> StarkKey:
    """A new key of the server's making, uniform over the curve's order; the user is never shown it."""
    private_key = new_private_key()
    row = StarkKey(user=user, network=network, public_key=as_hex(public_key_of(private_key)), created_at=now)
    _keep(row, private_key, origin=KeyOrigin.GENERATED)
    return row


@dataclass(frozen=True, slots=True)
class BroughtKey:
    """A key that a connection is made by: both halves that a user has, the public one alone (`external`), or the public
    one of a key that was made here for this user (`generated`).
    """

    origin: KeyOrigin
    private_key: int | None = field(default=None, repr=False)
    public_key: int | None = None

    def refused(self, message: str) -> InvalidVenueCredentials:
        """A refusal that names what was sent, and shows nothing of it."""
        return InvalidVenueCredentials(details={"fields": {SENT_AS[self.origin]: [message]}})


def check_key(key: BroughtKey) -> int:
    """The public key, once a signature of a random hash by the private one, if there is one, was verified with it.

    Raises InvalidVenueCredentials for what is no key, InvalidSignature where two halves are not of one key.
    """
    if key.private_key is None:
        if key.public_key is None or not is_public_key(key.public_key):
            raise key.refused("Not a public key of the Stark curve.")
        return key.public_key
    try:
        own = public_key_of(key.private_key)
        probe = 1 + secrets.randbelow(HASH_BELOW - 1)
        signature = sign(key.private_key, probe)
    except Unsignable as exc:
        raise key.refused("Not a private key of the Stark curve.") from exc
    if not verifies(own if key.public_key is None else key.public_key, probe, signature):
        raise InvalidSignature(details={"fields": {"stark_public_key": ["Not the public key of the private one."]}})
    return own


def hold_key(user: User, key: BroughtKey, *, network: Network, now: datetime) -> StarkKey:
    """The row of a checked key that is proven to be the user's, with the private half sealed.

    The caller holds the user's lock; locks the key. A key is one row for good, so one that is known already is taken
    up again, from another user too once nothing of theirs is connected by it. Raises InvalidVenueCredentials for one
    that is in use by another user, was made here, or serves the other network.
    """
    name = as_hex(check_key(key))
    row = StarkKey.objects.select_for_update().filter(public_key=name).first()
    if key.origin is KeyOrigin.GENERATED:
        return _own(row, key, user=user, network=network)
    if row is None:
        row = StarkKey(user=user, network=network, public_key=name, created_at=now)
    else:
        _check_may_take(row, key, user=user, network=network)
    _keep(row, key.private_key, origin=key.origin)
    return row


def _own(row: StarkKey | None, key: BroughtKey, *, user: User, network: Network) -> StarkKey:
    if row is None or (row.user_id, row.network, row.origin) != (user.pk, network, KeyOrigin.GENERATED):
        raise key.refused("Not a key that was made here for you.")
    return row


def forget_private_key(row: StarkKey) -> None:
    """Wipe what the user has themself or can derive again; a key that was made here nobody else has, so it stays."""
    if row.origin != KeyOrigin.GENERATED and row.private_key is not None:
        row.private_key = None
        row.save(update_fields=["private_key"])


def _check_may_take(row: StarkKey, key: BroughtKey, *, user: User, network: Network) -> None:
    if row.network != network:
        raise key.refused(f"This key is used on the {row.network}; keys of one network never serve the other.")
    if row.origin == KeyOrigin.GENERATED:
        raise key.refused("This key was made here and is not brought along.")
    if row.user_id == user.pk:
        return
    if row.credentials.exclude(state=CredentialState.REMOVED).exists():
        raise key.refused("This key is connected by another user.")
    before, row.user = {"user_id": row.user_id}, user
    audit.record("stark_key.handed_over", actor_id=user.pk, subject=row, before=before, after={"user_id": user.pk})


def _keep(row: StarkKey, private_key: int | None, *, origin: KeyOrigin) -> None:
    row.origin, row.private_key = origin, None
    if private_key is not None:
        row.private_key = seal(private_key.to_bytes(KEY_BYTES), purpose=PURPOSE, row=row.uuid)
    row.save()
