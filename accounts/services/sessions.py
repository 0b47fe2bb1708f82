"""Signing in, staying signed in, signing out.

A sign-in opens a family of refresh tokens. Each token works once and is replaced by the next; presenting a spent one
means that two parties hold it, so the family ends, whoever of them is the thief. This holds for a client's own race as
well: of two refreshes sent at once with one token exactly one gets a pair, and the other ends the session. Clients
refresh one at a time.
"""

import hmac
import logging
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from accounts import revocations, selectors
from accounts.errors import TwoFactorRequired
from accounts.models import RefreshFamily, RefreshToken, User, UserState
from accounts.passwords import user_by_password
from accounts.services import two_factor
from accounts.tokens import (
    CHALLENGE_LIFETIME_S,
    Challenge,
    access_lifetime,
    digest_of,
    new_secret,
    password_mark,
    read_challenge,
    sign_access,
    sign_challenge,
)
from astrade.core import audit
from astrade.core.errors import AstradeError, InvalidCredentials, NotFound, TokenExpired, UserFrozen

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Client:
    """Where a person signs in from, as shown in their list of sessions."""

    ip: str | None = None
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client needs to act as `user`; `expires_in` is the access token's life in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    user: User
    token_type: str = "Bearer"


def refresh_lifetime() -> timedelta:
    """How long a refresh token, and so an unused session, is good for."""
    return timedelta(days=settings.REFRESH_TOKEN_EXPIRE_DAYS)


def sign_in(*, email: str, password: str, client: Client, now: datetime) -> TokenPair:
    """A new session for whoever these credentials prove.

    Raises InvalidCredentials, RateLimited or UserFrozen; TwoFactorRequired with a `challenge` for `answer_challenge`.
    """
    proven = user_by_password(email=email, password=password)
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=proven.pk)
        if user.password != proven.password or user.state == UserState.CLOSED:
            raise InvalidCredentials("Wrong e-mail address or password")  # changed while it was being checked
        if user.state == UserState.FROZEN:
            raise UserFrozen
        if selectors.second_factor_of(user.pk) is not None:
            challenge = sign_challenge(Challenge(user.uuid, password_mark(user.password)), now=now)
            raise TwoFactorRequired(details={"challenge": challenge, "expires_in": CHALLENGE_LIFETIME_S}, status=401)
        return open_session(user, client=client, now=now)


def answer_challenge(*, challenge: str, code: str, client: Client, now: datetime) -> TokenPair:
    """The session that a sign-in with a second factor ends in.

    Raises InvalidCredentials or TokenExpired for the challenge, TwoFactorInvalid, RateLimited or UserFrozen.
    """
    begun = read_challenge(challenge, now=now)
    user_id = selectors.user_row_id(begun.user)
    device = selectors.second_factor_of(user_id)
    if device is None:
        raise InvalidCredentials("The challenge is not valid")  # the second factor was given up meanwhile
    with two_factor.counted(device), transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=user_id)
        if user.state == UserState.CLOSED or not hmac.compare_digest(password_mark(user.password), begun.mark):
            raise InvalidCredentials("The challenge is not valid")
        if user.state == UserState.FROZEN:
            raise UserFrozen
        two_factor.spend(user, code, now=now)
        return open_session(user, client=client, now=now)


def open_session(user: User, *, client: Client, now: datetime) -> TokenPair:
    """A new family with its first pair; the caller holds the lock on the user, or has just made them."""
    user.last_login = now
    user.save(update_fields=["last_login"])
    family = RefreshFamily.objects.create(
        user=user,
        user_agent=client.user_agent,
        ip=client.ip,
        created_at=now,
        last_used_at=now,
        expires_at=now + refresh_lifetime(),
    )
    return _issue(family, user=user, now=now)


def _issue(family: RefreshFamily, *, user: User, now: datetime) -> TokenPair:
    secret = new_secret()
    RefreshToken.objects.create(
        family=family, digest=digest_of(secret), created_at=now, expires_at=now + refresh_lifetime()
    )
    access = sign_access(user=user.uuid, family=family.uuid, tier=user.tier, is_staff=user.is_staff, now=now)
    return TokenPair(access, secret, int(access_lifetime().total_seconds()), user)


def refresh(refresh_token: str, *, now: datetime) -> TokenPair:
    """Spend a refresh token for the next pair. Locks the token, then its family.

    Raises InvalidCredentials for an unknown token, TokenExpired for an expired, revoked or spent one (which also ends
    the family), UserFrozen, which spends nothing.
    """
    with transaction.atomic():
        outcome = _rotate(digest_of(refresh_token), now=now)
    if isinstance(outcome, AstradeError):
        raise outcome  # outside the transaction, so that the end of a reused family is committed
    return outcome


def _rotate(digest: bytes, *, now: datetime) -> TokenPair | AstradeError:
    token = RefreshToken.objects.select_for_update().filter(digest=digest).first()
    if token is None:
        return InvalidCredentials("The refresh token is not valid")
    family = RefreshFamily.objects.select_for_update(of=("self",)).select_related("user").get(pk=token.family_id)
    if family.revoked_at is not None or family.user.state == UserState.CLOSED:
        return TokenExpired("The session was revoked")
    if token.spent_at is not None:
        _end_reused(family, now=now)
        return TokenExpired("The refresh token was used before; the session is revoked")
    if token.expires_at <= now:
        return TokenExpired("The refresh token has expired")
    if family.user.state == UserState.FROZEN:
        return UserFrozen()
    token.spent_at = now
    token.save(update_fields=["spent_at"])
    family.last_used_at, family.expires_at = now, now + refresh_lifetime()
    family.save(update_fields=["last_used_at", "expires_at"])
    return _issue(family, user=family.user, now=now)


def _end_reused(family: RefreshFamily, *, now: datetime) -> None:
    revoke(RefreshFamily.objects.filter(pk=family.pk), reason="reused", now=now)
    user = family.user
    audit.record(
        "session.reused", actor_id=None, on_behalf_of_id=user.pk, subject=user, after={"family": str(family.uuid)}
    )
    logger.warning("refresh_token_reused", extra={"user_id": user.pk, "family": str(family.uuid)})


@transaction.atomic
def revoke(families: QuerySet[RefreshFamily], *, reason: str, now: datetime) -> int:
    """End these sessions everywhere, tokens and sockets included; how many of them were still live."""
    live = families.filter(revoked_at__isnull=True).select_for_update(of=("self",), no_key=True).order_by("pk")
    ended = dict(live.values_list("pk", "uuid"))
    RefreshFamily.objects.filter(pk__in=ended).update(revoked_at=now, revoke_reason=reason)
    revocations.families_revoked(ended.values())
    return len(ended)


def sign_out(user_id: int, *, family: uuid.UUID, refresh_token: str | None, now: datetime) -> int:
    """End the session of `refresh_token`, or else the caller's own; raises InvalidCredentials for another's token."""
    mine = RefreshFamily.objects.filter(user_id=user_id)
    named = mine.filter(tokens__digest=digest_of(refresh_token)) if refresh_token else mine.filter(uuid=family)
    if not named.exists():
        raise InvalidCredentials("The refresh token is not valid")
    return revoke(named, reason="signed_out", now=now)


def sign_out_everywhere(user_id: int, *, now: datetime) -> int:
    """End all sessions of a user; their API keys stay."""
    return revoke(RefreshFamily.objects.filter(user_id=user_id), reason="signed_out", now=now)


def revoke_session(user_id: int, *, session: uuid.UUID, now: datetime) -> int:
    """End one session of a user; raises NotFound where it isn't theirs or has ended."""
    ended = revoke(selectors.sessions_of(user_id, now=now).filter(uuid=session), reason="revoked", now=now)
    if not ended:
        raise NotFound("No such session")
    return ended
