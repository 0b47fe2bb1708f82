"""One-time tickets by which a browser, which can't set headers on a socket, says who it is."""

import json
import uuid
from typing import cast

from accounts import revocations
from accounts.services.callers import revoked_callers
from accounts.tokens import digest_of, new_secret
from astrade.core.clock import system_clock
from astrade.core.errors import AstradeError, InvalidCredentials, TokenExpired
from astrade.core.permissions import Caller
from astrade.core.redis import redis_errors, sync_client

LIFETIME_S = 60
RETRY_AFTER_S = 5


def _key_of(ticket: str) -> str:
    return f"auth:ticket:{digest_of(ticket).hex()}"


def issue_ws_ticket(caller: Caller) -> str:
    """A ticket for one socket within a minute, as exactly this caller; its digest alone is kept, in Redis."""
    ticket = new_secret()
    try:
        sync_client().set(_key_of(ticket), _packed(caller), ex=LIFETIME_S)
    except redis_errors as exc:
        raise AstradeError("Tickets can't be issued now", status=503, retry_after_s=RETRY_AFTER_S) from exc
    return ticket


def redeem_ws_ticket(ticket: str) -> Caller:
    """The caller a ticket was issued to; spends it. Raises InvalidCredentials for an unknown, used or expired one,
    TokenExpired where the session or key behind it has ended since, UserFrozen."""
    try:
        packed = cast("bytes | None", sync_client().getdel(_key_of(ticket)))
    except redis_errors as exc:
        raise AstradeError("Tickets can't be redeemed now", status=503, retry_after_s=RETRY_AFTER_S) from exc
    if packed is None:
        raise InvalidCredentials("The ticket is not valid")
    caller = _unpacked(packed)
    if caller.family_id:
        family = uuid.UUID(caller.family_id)
        revocations.refuse_revoked(family=family, user=caller.user_uuid, now=system_clock())
    elif revoked_callers([caller]):
        raise TokenExpired("The API key was revoked")
    return caller


def _packed(caller: Caller) -> bytes:
    return json.dumps(
        {
            "user_id": caller.user_id,
            "user_uuid": str(caller.user_uuid),
            "scopes": sorted(caller.scopes),
            "source": caller.source,
            "tier": caller.tier,
            "is_staff": caller.is_staff,
            "family_id": caller.family_id,
            "api_key_id": caller.api_key_id,
            "account_id": caller.account_id,
        }
    ).encode()


def _unpacked(packed: bytes) -> Caller:
    fields = json.loads(packed)
    return Caller(**{**fields, "user_uuid": uuid.UUID(fields["user_uuid"]), "scopes": frozenset(fields["scopes"])})
