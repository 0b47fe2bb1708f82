"""What is known about users, their sessions and keys; each by owner."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet

from accounts.models import ApiKey, CredentialState, RefreshFamily, TotpDevice, User, Venue, VenueCredential
from astrade.core.errors import NotFound, TokenExpired, ValidationFailed
from astrade.venues.extended.profiles import Network

KNOWN_USERS = 65_536  # entries of a process's cache, some 10 MiB


@lru_cache(maxsize=KNOWN_USERS)
def user_row_id(user_uuid: uuid.UUID) -> int:
    """Row id of a user; neither ever changes, so a process asks once. Raises TokenExpired for nobody."""
    row_id = User.objects.filter(uuid=user_uuid).values_list("pk", flat=True).first()
    if row_id is None:
        raise TokenExpired("The token's user doesn't exist")
    return row_id


def user_by_uuid(user_uuid: uuid.UUID) -> User:
    """The user with this public id; raises NotFound."""
    user = User.objects.filter(uuid=user_uuid).first()
    if user is None:
        raise NotFound("No such user")
    return user


def second_factor_of(user_id: int) -> uuid.UUID | None:
    """The authenticator whose codes a user's sign-in wants; None where a password is enough."""
    found = TotpDevice.objects.filter(user_id=user_id, confirmed_at__isnull=False)
    return found.values_list("uuid", flat=True).first()


@dataclass(frozen=True, slots=True)
class ZoneHistory:
    """A user's time zone, and the one it replaced at `changed_at` (None: never changed)."""

    zone: str
    previous: str
    changed_at: datetime | None


def zones_of(user_id: int) -> ZoneHistory:
    """Where a user's days begin and end; raises NotFound."""
    found = User.objects.filter(pk=user_id).values_list("time_zone", "previous_time_zone", "time_zone_changed_at")
    row = found.first()
    if row is None:
        raise NotFound("No such user")
    return ZoneHistory(*row)


def sessions_of(user_id: int, *, now: datetime) -> QuerySet[RefreshFamily]:
    """A user's live sessions."""
    return RefreshFamily.objects.filter(user_id=user_id, revoked_at__isnull=True, expires_at__gt=now)


def marked(families: QuerySet[RefreshFamily], *, current: str | None) -> QuerySet[RefreshFamily]:
    """Sessions that know by `current` whether they are the one that asks."""
    return families.annotate(current=ExpressionWrapper(Q(uuid=current), output_field=BooleanField()))


def api_keys_of(user_id: int) -> QuerySet[ApiKey]:
    """A user's keys that weren't revoked, expired ones too."""
    return ApiKey.objects.filter(user_id=user_id, revoked_at__isnull=True)


def api_key_of(user_id: int, *, key: uuid.UUID) -> ApiKey:
    """One of a user's keys; raises NotFound."""
    found = api_keys_of(user_id).filter(uuid=key).first()
    if found is None:
        raise NotFound("No such API key")
    return found


def venue_credentials_of(user_id: int) -> QuerySet[VenueCredential]:
    """A user's connected accounts at venues, those that the venue refuses too."""
    found = VenueCredential.objects.filter(user_id=user_id).exclude(state=CredentialState.REMOVED)
    return found.select_related("stark_key")


def venue_credentials_at(
    user_id: int, *, venue: Venue, network: Network, vault: int | None = None
) -> QuerySet[VenueCredential]:
    """Those of one venue and network, the longest connected first; of a vault there is one at most."""
    found = venue_credentials_of(user_id).filter(venue=venue, network=network)
    return (found if vault is None else found.filter(vault=vault)).order_by("created_at", "pk")


def venue_credential_of(user_id: int, *, venue: Venue, network: Network, vault: int | None = None) -> VenueCredential:
    """A user's connected account there; raises NotFound, and ValidationFailed where there are several and no `vault`
    says which is meant.
    """
    found = list(venue_credentials_at(user_id, venue=venue, network=network, vault=vault))
    if not found:
        raise NotFound("No account is connected there")
    if len(found) > 1:
        message = f"Several accounts are connected, name one: {', '.join(str(row.vault) for row in found)}."
        raise ValidationFailed(details={"fields": {"vault": [message]}})
    return found[0]
