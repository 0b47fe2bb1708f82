"""Accounts at venues: connected once the venue has confirmed them, used by their sealed keys, let go of again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from accounts import selectors, signals
from accounts.models import CredentialState, Signing, StarkKey, User, Venue, VenueCredential
from accounts.sealing import seal, unseal
from accounts.services import two_factor
from accounts.services.locks import locked_user
from accounts.services.stark_keys import BroughtKey, SealedKey, check_key, forget_private_key, hold_key
from accounts.stark import as_hex, from_hex
from astrade.core import audit
from astrade.core.errors import ValidationFailed
from astrade.venues.errors import InvalidVenueCredentials
from astrade.venues.extended import account_calls
from astrade.venues.extended.account_wire import Account
from astrade.venues.extended.calls import Access
from astrade.venues.extended.client import client_of
from astrade.venues.extended.profiles import Network, profile_of

PURPOSE = "venue_api_key"
ACTIVE_AT_VENUE = "ACTIVE"
ACCOUNTS_MAX = 10  # of one user on one network


@dataclass(frozen=True, slots=True)
class Offer:
    """What a user says their account at Extended is."""

    network: Network
    signing: Signing
    vault: int
    key: BroughtKey
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class VenueAccess:
    """What a connected account is used with. `access` holds the opened API key and the owner, the user's row id."""

    credential_id: int
    venue: Venue
    network: Network
    signing: Signing
    account_id: int
    vault: int
    stark_key: SealedKey = field(repr=False)
    public_key: int
    access: Access


class ConnectedRow(Protocol):
    """A `VenueCredential` with its key, or the columns of both read in another way; its secrets are sealed."""

    @property
    def id(self) -> int: ...
    @property
    def uuid(self) -> UUID: ...
    @property
    def user_id(self) -> int: ...
    @property
    def venue(self) -> str: ...
    @property
    def network(self) -> str: ...
    @property
    def signing(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def api_key(self) -> "bytes | memoryview[int] | None": ...
    @property
    def venue_account_id(self) -> int: ...
    @property
    def vault(self) -> int: ...
    @property
    def stark_key(self) -> SealedKey: ...


def connect_extended(user_id: int, *, offer: Offer, code: str | None, now: datetime) -> VenueCredential:
    """Keep an account at Extended, once key pair and account are proven: a further one, or where its vault is connected
    already that one by new keys.

    Checks the keys here, spends the second factor's code where there is one, asks the venue outside of any transaction,
    and only then writes. `venue_connected` is sent. Raises ValidationFailed, InvalidSignature, InvalidVenueCredentials
    with the field at fault, TwoFactorRequired, TwoFactorInvalid, or VenueError where the venue refuses or is away; then
    nothing was changed.
    """
    check_network(offer.network)
    check_key(offer.key)
    two_factor.require_where_enrolled(user_id, code=code, now=now)
    return keep_account(user_id, offer=offer, now=now)


def check_network(network: Network) -> None:
    """Raises ValidationFailed for a network that this server doesn't connect to."""
    if network not in settings.EXTENDED_NETWORKS:
        raise ValidationFailed(details={"fields": {"network": ["Not offered by this server."]}})


def keep_account(
    user_id: int, *, offer: Offer, now: datetime, also: Callable[[VenueCredential], None] | None = None
) -> VenueCredential:
    """`connect_extended` from where the user has shown who they are; `also` is done in the transaction that writes."""
    public_key = check_key(offer.key)
    client = client_of(profile_of(offer.network))
    account = client.send(account_calls.account_info(), Access(offer.api_key, owner=user_id))
    account_id = _check_account(offer, public_key=public_key, account=account)
    try:
        with transaction.atomic():
            row = _connect(locked_user(user_id), offer, public_key=as_hex(public_key), account_id=account_id, now=now)
            if also is not None:
                also(row)
            return row
    except IntegrityError as exc:  # another user has the vault, or was a moment earlier with the key
        match _constraint_of(exc):
            case "venue_credential_vault_once":
                raise _refused("vault", "This account is connected by another user.") from exc
            case "accounts_starkkey_public_key_key":
                raise offer.key.refused("This key is connected by another user.") from exc
        raise


def disconnect(
    user_id: int, *, venue: Venue, network: Network, vault: int | None = None, code: str | None, now: datetime
) -> None:
    """Let go of an account and wipe its secrets; spends the second factor's code where there is one.

    A receiver of `venue_disconnecting` may refuse. Raises NotFound where none is connected, ValidationFailed where
    several are and `vault` names none.
    """
    selectors.venue_credential_of(user_id, venue=venue, network=network, vault=vault)
    two_factor.require_where_enrolled(user_id, code=code, now=now)
    with transaction.atomic():
        locked_user(user_id)
        row = selectors.venue_credential_of(user_id, venue=venue, network=network, vault=vault)
        _let_go(row, actor_id=user_id)


def disconnect_all(user: User) -> None:
    """As `disconnect`, whatever is connected, in the caller's transaction, which has locked the user."""
    for row in selectors.venue_credentials_of(user.pk):
        _let_go(row, actor_id=user.pk)


def access_of(row: ConnectedRow) -> VenueAccess:
    """What a connected account is used with, its API key opened; to sign with its key see `stark_keys.signer_of`. No
    query where `stark_key` was selected along.

    Raises InvalidVenueCredentials where it was let go of, or the venue refuses it; SealBroken.
    """
    if row.api_key is None or row.state != CredentialState.ACTIVE:
        raise InvalidVenueCredentials(details={"account": "Not connected to its venue."})
    return VenueAccess(
        credential_id=row.id,
        venue=Venue(row.venue),
        network=Network(row.network),
        signing=Signing(row.signing),
        account_id=row.venue_account_id,
        vault=row.vault,
        stark_key=row.stark_key,
        public_key=int(row.stark_key.public_key, 16),
        access=Access(unseal(row.api_key, purpose=PURPOSE, row=row.uuid).decode(), owner=row.user_id),
    )


def mark_refused(credential_id: int) -> None:
    """Note that the venue no longer knows the API key: nothing is sent with it until the user connects again."""
    active: QuerySet[VenueCredential] = VenueCredential.objects.filter(state=CredentialState.ACTIVE)
    active.filter(pk=credential_id).update(state=CredentialState.REFUSED)


def _check_account(offer: Offer, *, public_key: int, account: Account) -> int:
    if from_hex(account.l2_key) != public_key:
        raise offer.key.refused("Not the key of the account that the API key belongs to.")
    if account.l2_vault != offer.vault:
        raise _refused("vault", "Not the vault of the account that the API key belongs to.")
    if account.status != ACTIVE_AT_VENUE or account.number is None:
        raise _refused("api_key", "The account is not active at the venue.")
    return account.number


def _connect(user: User, offer: Offer, *, public_key: str, account_id: int, now: datetime) -> VenueCredential:
    connected = list(selectors.venue_credentials_at(user.pk, venue=Venue.EXTENDED, network=offer.network))
    before = next((row for row in connected if row.vault == offer.vault), None)
    if before is not None:
        _wipe(before)
        connected.remove(before)
    _check_beside(connected, offer, public_key=public_key)
    key = hold_key(user, offer.key, network=offer.network, now=now)
    row = _new_row(user, offer, key=key, account_id=account_id, now=now)
    row.created_at = now if before is None else before.created_at  # since when the account is connected
    row.save()
    after = {"venue": row.venue, "network": row.network, "signing": row.signing, "vault": row.vault}
    audit.record("venue.connected", actor_id=user.pk, subject=row, after={**after, "public_key": key.public_key})
    replaces = before.pk if before else None
    signals.venue_connected.send(sender=VenueCredential, user_id=user.pk, credential_id=row.pk, replaces=replaces)
    return row


def _new_row(user: User, offer: Offer, *, key: StarkKey, account_id: int, now: datetime) -> VenueCredential:
    row = VenueCredential(
        user=user,
        venue=Venue.EXTENDED,
        network=offer.network,
        signing=offer.signing,
        stark_key=key,
        venue_account_id=account_id,
        vault=offer.vault,
        checked_at=now,
    )
    row.api_key = seal(offer.api_key.encode(), purpose=PURPOSE, row=row.uuid)
    return row


def _check_beside(others: Sequence[VenueCredential], offer: Offer, *, public_key: str) -> None:
    """A wallet has so many accounts at the venue, each with a key of its own (extended-api.md §2)."""
    if len(others) >= ACCOUNTS_MAX:
        raise ValidationFailed(details={"fields": {"vault": [f"At most {ACCOUNTS_MAX} accounts on one network."]}})
    if public_key in {row.stark_key.public_key for row in others}:
        raise offer.key.refused("This is the key of another account that is connected.")


def _let_go(row: VenueCredential, *, actor_id: int) -> None:
    signals.venue_disconnecting.send(sender=VenueCredential, user_id=row.user_id, credential_id=row.pk)
    _wipe(row)
    after = {"venue": row.venue, "network": row.network, "vault": row.vault}
    audit.record("venue.disconnected", actor_id=actor_id, subject=row, after=after)


def _wipe(row: VenueCredential) -> None:
    row.state, row.api_key = CredentialState.REMOVED, None
    row.save(update_fields=["state", "api_key"])
    forget_private_key(row.stark_key)


def _refused(name: str, message: str) -> InvalidVenueCredentials:
    return InvalidVenueCredentials(details={"fields": {name: [message]}})


def _constraint_of(exc: IntegrityError) -> str:
    return str(getattr(getattr(exc.__cause__, "diag", None), "constraint_name", ""))
