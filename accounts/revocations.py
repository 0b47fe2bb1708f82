"""Which sessions and users must not get through, told to every process within one round trip.

PostgreSQL is the truth: a revoked family has `revoked_at`, a user who may not act has a state. A token is good for half
an hour without asking it, so the few that were revoked since stand in one Redis set, `auth:revoked`: `f:<family>` and
`u:<user>`, and `ready`, which says that the set is whole. It lives a minute; without it the first to ask rebuilds it
from PostgreSQL. So what was committed while Redis was away is in force within that minute, and a Redis that is away or
empty lets nobody through: PostgreSQL is asked instead.
"""

import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from accounts.models import RefreshFamily, User, UserState
from accounts.tokens import access_lifetime
from astrade.core.errors import TokenExpired, UserFrozen
from astrade.core.redis import ask, channel_named, redis_errors, sync_client

KEY = "auth:revoked"
CHANNEL = channel_named("auth")
READY = "ready"
LIFETIME_S = 60
SLACK = timedelta(minutes=1)  # clocks of two machines


def refuse_revoked(*, family: uuid.UUID, user: uuid.UUID, now: datetime) -> None:
    """Raise TokenExpired for a revoked session or closed user, UserFrozen for a frozen one. One round trip to Redis."""
    members = (READY, f"f:{family}", f"u:{user}")
    try:
        ((ready, family_listed, user_listed),) = ask(("SMISMEMBER", KEY, *members))
        if not ready:
            rebuild(now=now)
    except redis_errors:
        ready = 0
    if not ready or family_listed or user_listed:
        _refuse_by_database(family)


def _refuse_by_database(family: uuid.UUID) -> None:
    """The truth about one session; also asked where Redis says no, so that a listing left behind refuses nobody."""
    row = RefreshFamily.objects.filter(uuid=family).values_list("revoked_at", "user__state").first()
    if row is None or row[0] is not None or row[1] == UserState.CLOSED:
        raise TokenExpired("The session was revoked")
    if row[1] == UserState.FROZEN:
        raise UserFrozen


def rebuild(*, now: datetime) -> None:
    """Fill the set from PostgreSQL; only what a token that hasn't expired could still claim."""
    since = now - access_lifetime() - SLACK
    families = RefreshFamily.objects.filter(revoked_at__gte=since).values_list("uuid", flat=True)
    users = User.objects.filter(state=UserState.FROZEN).values_list("uuid", flat=True)
    members = [READY, *(f"f:{family}" for family in families), *(f"u:{user}" for user in users)]
    with sync_client().pipeline(transaction=True) as pipe:
        pipe.sadd(KEY, *members)
        pipe.expire(KEY, LIFETIME_S)
        pipe.execute()


def announce_after_commit(*, members: Iterable[str] = (), messages: Iterable[Mapping[str, Any]] = ()) -> None:
    """List `members` and tell the sockets, once the transaction in progress has been committed."""
    listed, told = tuple(members), [json.dumps(message) for message in messages]

    def announce() -> None:
        with sync_client().pipeline(transaction=False) as pipe:
            if listed:
                pipe.sadd(KEY, *listed)
            for message in told:
                pipe.publish(CHANNEL, message)
            pipe.execute()

    transaction.on_commit(announce, robust=True)


def families_revoked(families: Iterable[uuid.UUID]) -> None:
    """Spread the word that these sessions ended."""
    names = [str(family) for family in families]
    if names:
        announce_after_commit(members=[f"f:{name}" for name in names], messages=[{"family": name} for name in names])


def user_stopped(user: User) -> None:
    """Spread the word that this user may no longer act."""
    announce_after_commit(members=[f"u:{user.uuid}"], messages=[{"user": user.pk}])


def api_keys_revoked(key_ids: Iterable[int]) -> None:
    """Spread the word that these keys ended; requests ask PostgreSQL about keys, sockets must be told."""
    announce_after_commit(messages=[{"api_key": key_id} for key_id in key_ids])


def user_released(user: User) -> None:
    """Take a user off the list who may act again."""
    transaction.on_commit(lambda: sync_client().srem(KEY, f"u:{user.uuid}"), robust=True)
