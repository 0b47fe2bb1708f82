"""Keys for programs: 256 random bits that only their owner ever saw, limited by scope, account, address and time."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network

from django.db import transaction

from accounts import revocations, selectors
from accounts.models import ApiKey, User
from accounts.ports import account_resolver
from accounts.services import two_factor
from accounts.services.locks import locked_user
from accounts.tokens import digest_of, new_api_key
from astrade.core import audit
from astrade.core.errors import NotFound, NotPermitted, ValidationFailed

KEYS_MAX = 50  # live ones per user


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key and, this once, its secret."""

    key: ApiKey
    secret: str


def create_api_key(
    user_id: int,
    *,
    name: str,
    scopes: Collection[str],
    now: datetime,
    account: uuid.UUID | None = None,
    ip_allow_list: Collection[str] = (),
    expires_at: datetime | None = None,
    code: str | None = None,
) -> NewApiKey:
    """A new key; `account` binds it to one of the user's trading accounts, `ip_allow_list` (CIDR) to networks.

    `withdraw` spends the second factor's `code`, whether or not the key comes to be. Raises TwoFactorRequired or
    TwoFactorInvalid for it, NotPermitted where `service` is asked for by somebody who isn't staff, NotFound for
    another's account, ValidationFailed for an expiry that has passed or too many keys.
    """
    if "withdraw" in scopes:
        two_factor.require_fresh(user_id, code=code, now=now)
    with transaction.atomic():
        user = locked_user(user_id)
        _check_scopes(user, scopes)
        _check_limits(user, expires_at=expires_at, now=now)
        secret, prefix = new_api_key()
        key = ApiKey.objects.create(
            user=user,
            name=name,
            prefix=prefix,
            digest=digest_of(secret),
            scopes=sorted(set(scopes)),
            account_id=account_resolver(user_id=user_id, account_uuid=account) if account else None,
            account_uuid=account,
            ip_allow_list=[str(ip_network(entry, strict=False)) for entry in ip_allow_list],
            created_at=now,
            expires_at=expires_at,
        )
        after = {"id": str(key.uuid), "scopes": key.scopes}
        audit.record("api_key.created", actor_id=user_id, subject=user, after=after)
        return NewApiKey(key, secret)


def _check_scopes(user: User, scopes: Collection[str]) -> None:
    if "service" in scopes and not user.is_staff:
        raise NotPermitted("Only staff give out keys with scope `service`")


def _check_limits(user: User, *, expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise ValidationFailed(details={"fields": {"expires_at": ["Must be in the future."]}})
    if selectors.api_keys_of(user.pk).count() >= KEYS_MAX:
        raise ValidationFailed(f"At most {KEYS_MAX} keys; revoke one first")


@transaction.atomic
def revoke_api_key(user_id: int, *, key: uuid.UUID, now: datetime) -> None:
    """End one of a user's keys at once; raises NotFound where it isn't theirs or has ended."""
    found = selectors.api_keys_of(user_id).select_for_update(of=("self",)).select_related("user").filter(uuid=key)
    row = found.first()
    if row is None:
        raise NotFound("No such API key")
    row.revoked_at = now
    row.save(update_fields=["revoked_at"])
    audit.record("api_key.revoked", actor_id=user_id, subject=row.user, after={"id": str(row.uuid)})
    revocations.api_keys_revoked([row.pk])
