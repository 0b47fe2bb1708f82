"""Credentials as text: signed access tokens, random secrets and their digests. No database here.

An access token is a JWT (HS256) signed by the first key of the ring; `kid` says which key of the ring verifies it, so
keys rotate without signing anybody out. Everything else is 256 random bits of which only the SHA-256 is ever stored.
"""

import base64
import hashlib
import hmac
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

import jwt
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from jwt.types import Options

from astrade.core.errors import InvalidCredentials, TokenExpired

ALGORITHM = "HS256"
ACCESS_TYPE = "access"
CHALLENGE_TYPE = "2fa"
CHALLENGE_LIFETIME_S = 300
KEY_LENGTH_MIN = 32  # characters of a configured signing secret
API_KEY_MARK = "ak_"
_DECODE_OPTIONS: Options = {"verify_exp": False, "verify_iat": False, "require": ["exp", "iat", "sub", "fam", "typ"]}

Ring = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What an access token says; `expires_at_s` in seconds since the Unix epoch."""

    user: uuid.UUID
    family: uuid.UUID
    tier: str
    is_staff: bool
    expires_at_s: int


@lru_cache(maxsize=4)
def _ring(configured: tuple[str, ...], secret_keys: tuple[str, ...]) -> Ring:
    if configured:
        pairs = [entry.partition(":") for entry in configured]
        if any(not kid or len(secret) < KEY_LENGTH_MIN for kid, _, secret in pairs):
            raise ImproperlyConfigured(f"JWT_KEYS wants kid:secret, each secret of {KEY_LENGTH_MIN} characters or more")
        return tuple((kid, secret.encode()) for kid, _, secret in pairs)
    derived = [hmac.digest(secret.encode(), b"accounts.tokens.access", "sha256") for secret in secret_keys]
    return tuple((hashlib.sha256(key).hexdigest()[:8], key) for key in derived)


def key_ring() -> Ring:
    """(kid, key) pairs, the signing one first: `JWT_KEYS`, or derived from `SECRET_KEY` and its fallbacks."""
    return _ring(tuple(settings.JWT_KEYS), (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


def access_lifetime() -> timedelta:
    """How long an access token is good for."""
    return timedelta(minutes=settings.ACCESS_TOKEN_EXPIRE_MINUTES)


def sign_access(*, user: uuid.UUID, family: uuid.UUID, tier: str, is_staff: bool, now: datetime) -> str:
    """A new access token of this user and session."""
    kid, key = key_ring()[0]
    issued_at = int(now.timestamp())
    claims = {
        "sub": str(user),
        "fam": str(family),
        "tier": tier,
        "staff": is_staff,
        "typ": ACCESS_TYPE,
        "iat": issued_at,
        "jti": secrets.token_hex(8),  # no two tokens are alike, however fast they follow each other
        "exp": issued_at + int(access_lifetime().total_seconds()),
    }
    return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": kid})


@lru_cache(maxsize=8192)
def _verified(raw: str, ring: Ring) -> AccessClaims:
    """Claims whose signature was checked; kept, because the same token comes with every request of its half hour."""
    key = dict(ring).get(jwt.get_unverified_header(raw).get("kid", ""))
    if key is None:
        raise jwt.InvalidKeyError("unknown kid")
    claims = jwt.decode(raw, key, algorithms=[ALGORITHM], options=_DECODE_OPTIONS)
    if claims["typ"] != ACCESS_TYPE:
        raise jwt.InvalidTokenError("not an access token")
    return AccessClaims(
        user=uuid.UUID(claims["sub"]),
        family=uuid.UUID(claims["fam"]),
        tier=str(claims["tier"]),
        is_staff=claims["staff"] is True,
        expires_at_s=int(claims["exp"]),
    )


def read_access(raw: str, *, now: datetime) -> AccessClaims:
    """The claims of a token that we signed and that hasn't expired; raises InvalidCredentials or TokenExpired."""
    try:
        claims = _verified(raw, key_ring())
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError) as exc:
        raise InvalidCredentials("The access token is not valid") from exc
    if claims.expires_at_s <= now.timestamp():
        raise TokenExpired("The access token has expired")
    return claims


@dataclass(frozen=True, slots=True)
class Challenge:
    """Who has proven a password and owes a code; `mark` tells whether the password is still that one."""

    user: uuid.UUID
    mark: str


def sign_challenge(challenge: Challenge, *, now: datetime) -> str:
    """What a sign-in is continued with, for five minutes."""
    kid, key = key_ring()[0]
    expires_at = int(now.timestamp()) + CHALLENGE_LIFETIME_S
    claims = {"sub": str(challenge.user), "mark": challenge.mark, "typ": CHALLENGE_TYPE, "exp": expires_at}
    return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": kid})


def read_challenge(raw: str, *, now: datetime) -> Challenge:
    """The challenge that we signed; raises InvalidCredentials or TokenExpired."""
    options: Options = {"verify_exp": False, "require": ["exp", "sub", "mark", "typ"]}
    try:
        key = dict(key_ring())[jwt.get_unverified_header(raw)["kid"]]
        claims = jwt.decode(raw, key, algorithms=[ALGORITHM], options=options)
        challenge = Challenge(uuid.UUID(claims["sub"]), str(claims["mark"]))
        if claims["typ"] != CHALLENGE_TYPE:
            raise jwt.InvalidTokenError("not a challenge")
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError) as exc:
        raise InvalidCredentials("The challenge is not valid") from exc
    if int(claims["exp"]) <= now.timestamp():
        raise TokenExpired("The challenge has expired; sign in again")
    return challenge


def password_mark(encoded: str) -> str:
    """What a password's hash is recognised by without telling anything of it."""
    return hmac.digest(key_ring()[0][1], b"accounts.tokens.mark" + encoded.encode(), "sha256").hex()[:32]


def new_secret() -> str:
    """256 random bits as URL-safe text."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


def new_api_key() -> tuple[str, str]:
    """A new API key and the prefix by which people tell it from others."""
    prefix = API_KEY_MARK + secrets.token_hex(4)
    return f"{prefix}_{new_secret()}", prefix


def digest_of(secret: str) -> bytes:
    """SHA-256: enough for a secret of 256 random bits, which no dictionary holds."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
