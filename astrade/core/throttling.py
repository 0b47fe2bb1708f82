"""Rate limits shared by all processes: fixed windows counted in Redis, one round trip a call (API.md, "rate limits").

    LIMITS[scope]                       the declared limits; a view names its own by `throttle_scope = "sign_in"`
    hit(limit, identity)                count one and judge: `Verdict(limit, remaining, reset_s, admitted)`
    peek(limit, identity)               judge without counting
    forget(limit, identity)             start over, for example after a good sign-in
    limit_of(caller)                    the one that counts a caller's requests
    check(request, caller, scope)       what `ApiView` does on each call: counts, notes the verdict for headers, raises

Redis away: limits that protect credentials (`fails_open=False`) refuse, all others let through.
"""

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings
from limits.storage import RedisStorage
from redis.exceptions import NoScriptError

from astrade.core.addresses import rate_identity
from astrade.core.errors import RateLimited
from astrade.core.permissions import Caller
from astrade.core.redis import ask, redis_errors, sync_client

RETRY_WHEN_AWAY_S = 5


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` (times RATE_LIMIT_FACTOR) in each window of `window_s` seconds."""

    name: str
    amount: int
    window_s: int
    fails_open: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of one limit for one caller after a hit."""

    limit: int
    remaining: int
    reset_s: int
    admitted: bool


LIMITS: dict[str, Limit] = {
    limit.name: limit
    for limit in (
        Limit("standard", 1_000, 60),
        Limit("market_maker", 60_000, 300),
        Limit("anonymous", 120, 60),
        Limit("sign_in", 60, 60, fails_open=False),
        Limit("sign_in_failures", 10, 900, fails_open=False),  # per account, counted by accounts
        Limit("sign_up", 60, 600),
        Limit("provision", 10, 3_600),
    )
}


@lru_cache(maxsize=1)
def _storage() -> RedisStorage:
    return RedisStorage(settings.REDIS_URL, connection_pool=sync_client().connection_pool, key_prefix="rate")


def _amount(limit: Limit) -> int:
    return max(1, int(limit.amount * settings.RATE_LIMIT_FACTOR))


def _window(limit: Limit, identity: str) -> tuple[str, int]:
    now = int(time.time())
    return f"{limit.name}:{identity}:{now // limit.window_s}", limit.window_s - now % limit.window_s


def _judge(limit: Limit, *, count: int, reset_s: int) -> Verdict:
    amount = _amount(limit)
    return Verdict(limit=amount, remaining=max(0, amount - count), reset_s=reset_s, admitted=count <= amount)


def _count(key: str, window_s: int) -> int:
    """The count with one more: the library's script, called on the lean way to Redis."""
    storage = _storage()
    try:
        (count,) = ask(("EVALSHA", storage.lua_incr_expire.sha, 1, storage.prefixed_key(key), window_s, 1))
    except NoScriptError:
        return storage.incr(key, window_s)
    return int(count)


def hit(limit: Limit, identity: str) -> Verdict:
    """Count one; over the limit, or with Redis away and not `fails_open`, the verdict isn't admitted."""
    key, reset_s = _window(limit, identity)
    try:
        count = _count(key, limit.window_s)
    except redis_errors:
        return _without_redis(limit, reset_s)
    return _judge(limit, count=count, reset_s=reset_s)


def peek(limit: Limit, identity: str) -> Verdict:
    """As the next `hit` would be judged, without counting."""
    key, reset_s = _window(limit, identity)
    try:
        count = _storage().get(key)
    except redis_errors:
        return _without_redis(limit, reset_s)
    return _judge(limit, count=count + 1, reset_s=reset_s)


def forget(limit: Limit, identity: str) -> None:
    """Drop the present window's count; a Redis that is away has nothing to drop."""
    try:
        _storage().clear(_window(limit, identity)[0])
    except redis_errors:
        return


def _without_redis(limit: Limit, reset_s: int) -> Verdict:
    amount = _amount(limit)
    if limit.fails_open:
        return Verdict(limit=amount, remaining=amount, reset_s=reset_s, admitted=True)
    return Verdict(limit=amount, remaining=0, reset_s=RETRY_WHEN_AWAY_S, admitted=False)


def refuse(verdict: Verdict) -> None:
    """Raise RateLimited with `Retry-After` unless admitted."""
    if not verdict.admitted:
        raise RateLimited(details={"limit": verdict.limit}, retry_after_s=verdict.reset_s)


def limit_of(caller: Caller | None) -> Limit:
    """What a caller may ask by their tier, or anybody by their address."""
    return LIMITS["anonymous"] if caller is None else LIMITS.get(caller.tier, LIMITS["standard"])


def check(request: Any, caller: Caller | None, scope: str | None = None) -> None:
    """Count the request under `scope`, else by user and tier, else by address; raises RateLimited.

    `request` is Django's, after the request middleware: it holds `client_address` and takes `rate_verdict`.
    """
    if scope is not None:
        limit, identity = LIMITS[scope], rate_identity(request.client_address)
    else:
        limit = limit_of(caller)
        identity = rate_identity(request.client_address) if caller is None else f"u{caller.user_id}"
    request.rate_verdict = verdict = hit(limit, identity)
    refuse(verdict)
