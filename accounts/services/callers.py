"""From a credential to the `Caller` it proves. On the path of every request, so: no SQL for a signed-in person, one
indexed query for an API key."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.db import connection
from django.db.models import Q

from accounts import revocations, selectors
from accounts.models import ApiKey, RefreshFamily, User, UserState
from accounts.tokens import API_KEY_MARK, digest_of, read_access
from astrade.core import audit
from astrade.core.clock import system_clock
from astrade.core.errors import InvalidCredentials, NotPermitted, TokenExpired, UserFrozen
from astrade.core.permissions import SESSION_SCOPES, Caller

TOUCH_EVERY = timedelta(minutes=1)
_API_KEY = """
SELECT k.id, k.user_id, u.uuid, u.tier, u.state, u.is_staff, k.scopes, k.account_id, k.ip_allow_list, k.expires_at,
       k.revoked_at, k.last_used_at
  FROM accounts_apikey k JOIN accounts_user u ON u.id = k.user_id
 WHERE k.digest = %s
"""


@dataclass(frozen=True, slots=True)
class _KeyRow:
    key_id: int
    user_id: int
    user_uuid: uuid.UUID
    tier: str
    state: str
    is_staff: bool
    scopes: list[str]
    account_id: int | None
    ip_allow_list: list[str]
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


def authenticate_token(raw: str, *, client_ip: str | None, now: datetime | None = None) -> Caller:
    """The caller that an access token or API key proves.

    Raises InvalidCredentials for what we never gave out, TokenExpired for what has ended, UserFrozen, and NotPermitted
    for a key used from outside its networks.
    """
    instant = now or system_clock()
    if raw.startswith(API_KEY_MARK):
        return _by_api_key(raw, client_ip=client_ip, now=instant)
    claims = read_access(raw, now=instant)
    revocations.refuse_revoked(family=claims.family, user=claims.user, now=instant)
    return Caller(
        user_id=selectors.user_row_id(claims.user),
        user_uuid=claims.user,
        scopes=SESSION_SCOPES,
        tier=claims.tier,
        is_staff=claims.is_staff,
        family_id=str(claims.family),
    )


def _by_api_key(raw: str, *, client_ip: str | None, now: datetime) -> Caller:
    with connection.cursor() as cursor:
        cursor.execute(_API_KEY, [digest_of(raw)])
        found = cursor.fetchone()
    if found is None:
        raise InvalidCredentials("The API key is not valid")
    row = _KeyRow(*found)
    _refuse_ended(row, now=now)
    if row.ip_allow_list and not _is_within(client_ip, tuple(row.ip_allow_list)):
        raise NotPermitted("The API key isn't allowed from this address")
    if row.last_used_at is None or row.last_used_at <= now - TOUCH_EVERY:
        _touch(row.key_id, now=now)
    return Caller(
        user_id=row.user_id,
        user_uuid=row.user_uuid,
        scopes=frozenset(row.scopes) if row.is_staff else frozenset(row.scopes) - {"service"},
        source="api_key",
        tier=row.tier,
        api_key_id=row.key_id,
        account_id=row.account_id,
    )


def _refuse_ended(row: _KeyRow, *, now: datetime) -> None:
    if row.revoked_at is not None or row.state == UserState.CLOSED:
        raise TokenExpired("The API key was revoked")
    if row.expires_at is not None and row.expires_at <= now:
        raise TokenExpired("The API key has expired")
    if row.state == UserState.FROZEN:
        raise UserFrozen


def _touch(key_id: int, *, now: datetime) -> None:
    """Note the use, at most once a minute however many processes see the key."""
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - TOUCH_EVERY)
    ApiKey.objects.filter(stale, pk=key_id).update(last_used_at=now)


@lru_cache(maxsize=1024)
def _networks(cidrs: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(cidr) for cidr in cidrs)


def _is_within(client_ip: str | None, cidrs: tuple[str, ...]) -> bool:
    try:
        address = ip_address(client_ip or "")
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in _networks(cidrs))


def revoked_callers(callers: Sequence[Caller]) -> set[Caller]:
    """Those of `callers` whose session or key has ended or whose user may not act; at most two queries."""
    families = {caller.family_id for caller in callers if caller.family_id}
    keys = {caller.api_key_id for caller in callers if caller.api_key_id}
    now = system_clock()
    live_families = RefreshFamily.objects.filter(uuid__in=families, revoked_at=None, user__state=UserState.ACTIVE)
    live_keys = ApiKey.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=now), pk__in=keys, revoked_at=None, user__state=UserState.ACTIVE
    )
    live = {str(family) for family in live_families.values_list("uuid", flat=True)} if families else set()
    live_ids = set(live_keys.values_list("pk", flat=True)) if keys else set()
    return {caller for caller in callers if caller.family_id not in live and caller.api_key_id not in live_ids}


def report_impersonation(caller: Caller, *, ip: str | None) -> None:
    """Note that somebody with good credentials named another user in a header."""
    user = User(pk=caller.user_id)
    audit.record("user.impersonation_refused", actor_id=caller.user_id, subject=user, ip=ip)
