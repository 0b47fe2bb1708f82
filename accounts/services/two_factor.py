"""The second factor: codes of an authenticator (RFC 6238), and recovery codes for when it is lost.

Each code works once. Every try counts against the authenticator before it is looked at, and a good one clears the
count, so however many are sent at once, no more than the limit are looked at (API.md, "rate limits").
"""

import base64
import hmac
import secrets
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import segno
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.db import transaction

from accounts import selectors
from accounts.errors import TwoFactorInvalid, TwoFactorRequired
from accounts.models import RecoveryCode, TotpDevice, User
from accounts.sealing import seal, unseal
from accounts.services.locks import locked_user
from accounts.tokens import digest_of
from astrade.core import audit, throttling
from astrade.core.errors import AstradeError, NotFound, NotPermitted

PURPOSE = "totp"
ISSUER = "AsTrade"
DIGITS, PERIOD_S, DRIFT_STEPS, SECRET_BYTES = 6, 30, 1, 20
RECOVERY_CODES, RECOVERY_BYTES = 10, 10
FAILURES = throttling.LIMITS["sign_in_failures"]


@dataclass(frozen=True, slots=True)
class Setup:
    """What an authenticator needs, shown once: the secret (base32), its `otpauth://` URI and that as a QR code."""

    secret: str
    uri: str
    qr_svg: str


@transaction.atomic
def begin_setup(user_id: int, *, now: datetime) -> Setup:
    """A new authenticator, in place of one that was never confirmed; raises NotPermitted where one is in force."""
    user = locked_user(user_id)
    if selectors.second_factor_of(user_id) is not None:
        raise NotPermitted("Two-factor sign-in is on; disable it first")
    TotpDevice.objects.filter(user=user).delete()
    secret, device = secrets.token_bytes(SECRET_BYTES), TotpDevice(user=user, created_at=now)
    device.secret = seal(secret, purpose=PURPOSE, row=device.uuid)
    device.save()
    uri = TOTP(secret, DIGITS, SHA1(), PERIOD_S).get_provisioning_uri(user.email or str(user.uuid), ISSUER)
    return Setup(base64.b32encode(secret).decode(), uri, segno.make(uri).svg_inline(scale=5))


def confirm(user_id: int, *, code: str, now: datetime) -> list[str]:
    """Put the authenticator into force by a code of it; returns the recovery codes, shown once.

    Raises NotFound where no set-up was begun, TwoFactorInvalid, RateLimited.
    """
    begun = TotpDevice.objects.filter(user_id=user_id, confirmed_at=None).first()
    if begun is None:
        raise NotFound("No two-factor set-up was begun")
    with counted(begun.uuid), transaction.atomic():
        user = locked_user(user_id)
        device = TotpDevice.objects.filter(pk=begun.pk, confirmed_at=None).first()
        if device is None or not _spend_step(device, code, now=now):
            raise TwoFactorInvalid
        device.confirmed_at = now
        device.save(update_fields=["confirmed_at"])
        audit.record("two_factor.enabled", actor_id=user_id, subject=user)
        return _new_recovery_codes(user)


def disable(user_id: int, *, code: str | None, now: datetime) -> None:
    """Take the second factor away by one last code; raises as `require_fresh`."""
    with _checked(user_id, code, now=now) as user:
        _remove(user)
        audit.record("two_factor.disabled", actor_id=user_id, subject=user)


@transaction.atomic
def remove_for(user_id: int, *, actor_id: int) -> bool:
    """Support's way for somebody who lost everything; False where there was no second factor. Raises NotFound."""
    user = locked_user(user_id)
    removed = _remove(user)
    if removed:
        audit.record("two_factor.removed", actor_id=actor_id, on_behalf_of_id=user_id, subject=user)
    return removed


def require_fresh(user_id: int, *, code: str | None, now: datetime) -> None:
    """Spend a code sent with a call that wants one.

    Raises TwoFactorRequired where none was sent or two-factor sign-in is off, TwoFactorInvalid, RateLimited.
    """
    with _checked(user_id, code, now=now):
        pass


def require_where_enrolled(user_id: int, *, code: str | None, now: datetime) -> None:
    """As `require_fresh`, but nothing is asked of somebody without a second factor."""
    if selectors.second_factor_of(user_id) is not None:
        require_fresh(user_id, code=code, now=now)


def spend(user: User, code: str, *, now: datetime) -> None:
    """Spend a code of a user whose row the caller has locked, within `counted`; raises TwoFactorInvalid."""
    device = TotpDevice.objects.filter(user=user).exclude(confirmed_at=None).first()
    if device is None or not (_spend_step(device, code, now=now) or _spend_recovery(user, code, now=now)):
        raise TwoFactorInvalid


@contextmanager
def trying(user_id: int, *, code: str | None) -> Iterator[str]:
    """A try at a code sent with a call that wants one: the block spends it (`spend`) before anything else, in the
    transaction of what it is for. What else the block refuses doesn't count against the authenticator.

    Raises TwoFactorRequired where none was sent or two-factor sign-in is off, RateLimited.
    """
    device = selectors.second_factor_of(user_id)
    if device is None:
        raise TwoFactorRequired("Two-factor sign-in has to be set up first")
    if not code:
        raise TwoFactorRequired
    refusal: AstradeError | None = None
    with counted(device):
        try:
            yield code
        except TwoFactorInvalid:
            raise
        except AstradeError as exc:
            refusal = exc
    if refusal is not None:
        raise refusal


@contextmanager
def _checked(user_id: int, code: str | None, *, now: datetime) -> Iterator[User]:
    with trying(user_id, code=code) as sent, transaction.atomic():
        user = locked_user(user_id)
        spend(user, sent, now=now)
        yield user


@contextmanager
def counted(device: uuid.UUID) -> Iterator[None]:
    """A try at a code of that authenticator, which the block makes; raises RateLimited instead once there were too many
    that failed.
    """
    identity = f"2fa:{device}"
    throttling.refuse(throttling.hit(FAILURES, identity))
    yield
    throttling.forget(FAILURES, identity)


def _codes(secret: bytes) -> HOTP:
    return HOTP(secret, DIGITS, SHA1())  # what every authenticator knows


def _spend_step(device: TotpDevice, code: str, *, now: datetime) -> bool:
    codes = _codes(unseal(device.secret, purpose=PURPOSE, row=device.uuid))
    present, sent = int(now.timestamp()) // PERIOD_S, code.replace(" ", "").encode("utf-8", "replace")
    for step in range(present - DRIFT_STEPS, present + DRIFT_STEPS + 1):
        if step > device.last_step and hmac.compare_digest(codes.generate(step), sent):
            device.last_step = step
            device.save(update_fields=["last_step"])
            return True
    return False


def _spend_recovery(user: User, code: str, *, now: datetime) -> bool:
    unspent = RecoveryCode.objects.filter(user=user, digest=_recovery_digest(code), spent_at=None)
    if not unspent.update(spent_at=now):
        return False
    audit.record("two_factor.recovery_code_used", actor_id=user.pk, subject=user)
    return True


def _recovery_digest(code: str) -> bytes:
    return digest_of(code.replace("-", "").replace(" ", "").upper())


def _new_recovery_codes(user: User) -> list[str]:
    plain = [base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode() for _ in range(RECOVERY_CODES)]
    RecoveryCode.objects.filter(user=user).delete()
    RecoveryCode.objects.bulk_create([RecoveryCode(user=user, digest=_recovery_digest(code)) for code in plain])
    return ["-".join(code[start : start + 4] for start in range(0, len(code), 4)) for code in plain]


def _remove(user: User) -> bool:
    RecoveryCode.objects.filter(user=user).delete()
    removed, _ = TotpDevice.objects.filter(user=user).delete()
    return bool(removed)
