"""Opening an account at Extended by the user's wallet, in two steps (extended-api.md §13).

    row = begin(user_id, network=…, wallet=…, origin=…, now=…)
    to_sign(row)                                        what the wallet is to sign
    complete(user_id, answer=…, code=…, now=…)          the connection

Whatever is interrupted is completed by calling `complete` again, or by beginning again: a wallet is always registered
with the same key, so the venue has one account for it, and there is one connection at the end.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Q

from accounts.models import CredentialState, KeyOrigin, Onboarding, Signing, StarkKey, VenueCredential
from accounts.services import two_factor
from accounts.services.locks import locked_user
from accounts.services.stark_keys import BroughtKey, check_key, generate_stark_key, signer_of
from accounts.services.venue_connections import Offer, check_network, keep_account
from accounts.stark import from_hex, key_of_wallet
from astrade.core.errors import IdempotencyConflict, NotFound, ValidationFailed
from astrade.venues.errors import InvalidSignature, InvalidVenueCredentials
from astrade.venues.ethereum import TypedData, message_digest, wallet_of
from astrade.venues.extended.account_wire import Account
from astrade.venues.extended.client import client_of
from astrade.venues.extended.onboarding import (
    Registration,
    SignedRegistration,
    create_api_key,
    key_derivation,
    register,
)
from astrade.venues.extended.profiles import Network, profile_of
from astrade.venues.extended.signing import Signature, registration_hash, sign

LASTS = timedelta(minutes=10)
CLAIMED_FOR = timedelta(seconds=60)  # longer than the venue's three calls may take
DESCRIPTION = "AsTrade"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToSign:
    """What a wallet is asked for; `key` where its signature is the seed of the Stark key."""

    registration: TypedData
    api_key: str
    key: TypedData | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletAnswer:
    """The wallet's signatures, 65 bytes each."""

    onboarding: uuid.UUID
    registration: bytes = field(repr=False)
    api_key: bytes = field(repr=False)
    key: bytes | None = field(default=None, repr=False)


def begin(user_id: int, *, network: Network, wallet: str, origin: KeyOrigin, now: datetime) -> Onboarding:
    """What is completed within `LASTS`. `wallet` is an EIP-55 address; `origin` says whether its Stark key is of the
    server's making (`generated`) or comes from a signature of the wallet (`derived`), which can bring it back.

    Raises ValidationFailed for a network that isn't offered. Sends nothing.
    """
    check_network(network)
    return Onboarding.objects.create(
        user_id=user_id, network=network, wallet=wallet, key_origin=origin, created_at=now, expires_at=now + LASTS
    )


def to_sign(row: Onboarding) -> ToSign:
    """The same for the same row, whenever it is asked."""
    registration, profile = _registration(row), profile_of(Network(row.network))
    derives = row.key_origin == KeyOrigin.DERIVED
    return ToSign(
        registration=registration.typed(profile),
        api_key=registration.api_key_message,
        key=key_derivation(row.wallet, profile) if derives else None,
    )


def complete(user_id: int, *, answer: WalletAnswer, code: str | None, now: datetime) -> VenueCredential:
    """Register the wallet, have an API key made and connect the account; once done, the same connection again.

    Checks the signatures here, spends the second factor's code where there is one, then calls the venue outside of any
    transaction. Raises NotFound for one that isn't the user's or has expired, ValidationFailed, InvalidSignature with
    the field at fault, TwoFactorRequired, TwoFactorInvalid, IdempotencyConflict while another call completes it, and as
    `connect_extended`. Unknown and Unavailable: call again.
    """
    row = Onboarding.objects.filter(user_id=user_id, uuid=answer.onboarding).select_related("credential").first()
    if row is None:
        raise NotFound("No such onboarding")
    _check_signatures(row, answer)
    if row.credential is not None:
        return _still_connected(row.credential)
    if now >= row.expires_at:
        raise NotFound("The onboarding has expired; begin again")
    two_factor.require_where_enrolled(user_id, code=code, now=now)
    with _claimed(row, now=now):
        key = _key_of(row, answer, now=now)
        account = _registered(row, answer, key)
        offer = Offer(
            network=Network(row.network),
            signing=Signing.DELEGATED,
            vault=account.l2_vault,
            key=key,
            api_key=_api_key(row, answer, account),
        )
        return keep_account(user_id, offer=offer, now=now, also=partial(_finish, row))


def _registration(row: Onboarding) -> Registration:
    return Registration.at(row.created_at, wallet=row.wallet, profile=profile_of(Network(row.network)))


def _check_signatures(row: Onboarding, answer: WalletAnswer) -> None:
    wanted = to_sign(row)
    if (wanted.key is None) != (answer.key is None):
        message = "Not wanted: the key is made here." if wanted.key is None else "Required: it gives the key."
        raise ValidationFailed(details={"fields": {"wallet_signature": [message]}})
    signed = {
        "registration_signature": (wanted.registration.digest, answer.registration),
        "api_key_signature": (message_digest(wanted.api_key), answer.api_key),
    }
    if wanted.key is not None and answer.key is not None:
        signed["wallet_signature"] = (wanted.key.digest, answer.key)
    for name, (digest, signature) in signed.items():
        if wallet_of(digest, signature) != row.wallet:
            raise InvalidSignature(details={"fields": {name: ["Not the wallet's signature of what was to be signed."]}})


def _still_connected(credential: VenueCredential) -> VenueCredential:
    if credential.state == CredentialState.REMOVED:
        raise NotFound("The account was disconnected since; begin again")
    return credential


@contextmanager
def _claimed(row: Onboarding, *, now: datetime) -> Iterator[None]:
    """One call completes it at a time; a process that dies lets go after `CLAIMED_FOR`."""
    own, until = Onboarding.objects.filter(pk=row.pk), now + CLAIMED_FOR
    free = own.filter(Q(claimed_until=None) | Q(claimed_until__lt=now), credential=None)
    if not free.update(claimed_until=until):
        raise IdempotencyConflict("This onboarding is being completed")
    try:
        yield
    finally:
        own.filter(claimed_until=until).update(claimed_until=None)


def _key_of(row: Onboarding, answer: WalletAnswer, *, now: datetime) -> BroughtKey:
    if answer.key is not None:
        return BroughtKey(KeyOrigin.DERIVED, key_of_wallet(answer.key))
    with transaction.atomic():
        user = locked_user(row.user_id)
        row.stark_key = _key_registered_for(row) or generate_stark_key(user, network=Network(row.network), now=now)
        row.save(update_fields=["stark_key"])
    return BroughtKey(KeyOrigin.GENERATED, public_key=int(row.stark_key.public_key, 16))


def _key_registered_for(row: Onboarding) -> StarkKey | None:
    """The key of the wallet's registration before, else one that was never used."""
    own = StarkKey.objects.filter(user_id=row.user_id, network=row.network, origin=KeyOrigin.GENERATED)
    before = own.filter(onboardings__wallet=row.wallet).order_by("pk").first()
    return before or own.filter(onboardings=None, credentials=None).order_by("pk").first()


def _registered(row: Onboarding, answer: WalletAnswer, key: BroughtKey) -> Account:
    """The wallet's main account, which the venue has opened now or before."""
    public_key = check_key(key)
    digest = registration_hash(wallet=int(row.wallet, 16), public_key=public_key)
    signed = SignedRegistration(
        registration=_registration(row),
        wallet_signature=answer.registration,
        public_key=public_key,
        stark_signature=_stark_signature(row, key, digest),
    )
    account = client_of(profile_of(Network(row.network))).send(register(signed)).default_account
    if from_hex(account.l2_key) != public_key:
        message = "This wallet has an account with another key already: connect that one."
        raise InvalidVenueCredentials(details={"fields": {"wallet": [message]}})
    return account


def _stark_signature(row: Onboarding, key: BroughtKey, digest: int) -> Signature:
    if key.private_key is not None:
        return sign(key.private_key, digest)
    assert row.stark_key is not None
    with signer_of(row.stark_key) as signer:
        return signer.sign(digest)


def _api_key(row: Onboarding, answer: WalletAnswer, account: Account) -> str:
    """A new one with each call: one whose answer was lost is known to nobody."""
    if account.number is None:
        raise InvalidVenueCredentials(details={"fields": {"wallet": ["The venue names no account."]}})
    call = create_api_key(
        account.number, time=_registration(row).time, signature=answer.api_key, description=DESCRIPTION
    )
    return client_of(profile_of(Network(row.network))).send(call)


def _finish(row: Onboarding, credential: VenueCredential) -> None:
    Onboarding.objects.filter(pk=row.pk).update(credential=credential)
