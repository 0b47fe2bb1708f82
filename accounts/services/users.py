"""The life of a user: signing up, their profile, being frozen, leaving."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, connection, transaction

from accounts import revocations, signals
from accounts.models import ApiKey, Onboarding, RecoveryCode, RefreshFamily, TotpDevice, User, UserState
from accounts.passwords import check_rules, is_password_of, normal_email
from accounts.ports import account_resolver
from accounts.services import safety, sessions, terms, venue_connections
from accounts.services.locks import locked_user
from accounts.services.sessions import Client, TokenPair
from astrade.core import audit
from astrade.core.clock import to_ms
from astrade.core.errors import EmailTaken, InvalidCredentials, NotPermitted, ValidationFailed
from astrade.core.fields import public_id

_ADD_TOTALS = """
UPDATE accounts_user AS u
   SET total_volume = u.total_volume + t.volume,
       total_trades = u.total_trades + t.trades,
       total_realized_pnl = u.total_realized_pnl + t.realized_pnl
  FROM unnest(%s::bigint[], %s::numeric[], %s::bigint[], %s::numeric[]) AS t (user_id, volume, trades, realized_pnl)
 WHERE u.id = t.user_id
"""


@dataclass(frozen=True, slots=True)
class TotalsDelta:
    """What a user's fills add to their totals: `volume` and `realized_pnl` in USD."""

    user_id: int
    volume: Decimal
    trades: int
    realized_pnl: Decimal


def sign_up(
    *, email: str, password: str, client: Client, now: datetime, display_name: str = "", time_zone: str = "UTC"
) -> TokenPair:
    """A new user with a first session; whoever listens to `user_registered` takes part in the transaction.

    Raises ValidationFailed for a bad address or weak password, EmailTaken however many try the address at once.
    """
    address = normal_email(email)
    check_rules(password)
    if User.objects.filter(email=address).exists():
        raise EmailTaken
    hashed = make_password(password)  # slow on purpose, so outside the transaction
    try:
        with transaction.atomic():
            user = User.objects.create(
                email=address, password=hashed, display_name=display_name or new_name(), time_zone=time_zone
            )
            signals.user_registered.send(sender=User, user_id=user.pk)
            return sessions.open_session(user, client=client, now=now)
    except IntegrityError as exc:
        if not User.objects.filter(email=address).exists():
            raise
        raise EmailTaken from exc


def new_name() -> str:
    """What boards call somebody who gave no name: never a part of their address."""
    return f"Trader {public_id().hex[:6]}"


def create_staff(*, email: str, password: str, is_superuser: bool = True) -> User:
    """A member of staff; they have no trading account. Raises ValidationFailed or EmailTaken."""
    address = normal_email(email)
    check_rules(password)
    try:
        with transaction.atomic():
            return User.objects.create_user(address, password, is_staff=True, is_superuser=is_superuser)
    except IntegrityError as exc:
        raise EmailTaken from exc


@transaction.atomic
def update_profile(user_id: int, *, now: datetime, ip: str | None = None, **changes: Any) -> User:
    """Change what is named of `display_name`, `time_zone`, `one_tap_account` (None: practice) and `cool_off_until`, and
    note the `accepted_terms`, accepted from `ip`.

    Raises NotFound where the one-tap account isn't the user's own, ValidationFailed for a second change of zone within
    24 hours or for terms that aren't the present ones, CoolOffInForce where a cool-off would end earlier.
    """
    user = locked_user(user_id)
    terms.accept(user, changes.pop("accepted_terms", ()), ip=ip, now=now)
    one_tap: uuid.UUID | None = changes.get("one_tap_account")
    if one_tap is not None:
        account_resolver(user_id=user_id, account_uuid=one_tap)
    if changes.get("time_zone", user.time_zone) != user.time_zone:
        safety.check_zone_change(user, now=now)
        changes |= {"previous_time_zone": user.time_zone, "time_zone_changed_at": now}
    if "cool_off_until" in changes:
        safety.check_cool_off(user, until=changes["cool_off_until"], now=now)
    for name, value in changes.items():
        setattr(user, name, value)
    user.save(update_fields=list(changes))
    if changes.get("cool_off_until"):
        after = {"cool_off_until": to_ms(changes["cool_off_until"])}
        audit.record("user.cool_off_set", actor_id=user_id, subject=user, after=after)
    return user


@transaction.atomic
def add_credentials(user_id: int, *, email: str, password: str) -> User:
    """E-mail and password for a user who has none; raises EmailTaken where they do or another does."""
    address = normal_email(email)
    check_rules(password)
    user = locked_user(user_id)
    if user.email is not None:
        raise EmailTaken("This user already signs in with an e-mail address")
    user.email = address
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save(update_fields=["email", "password"])
    except IntegrityError as exc:
        raise EmailTaken from exc
    audit.record("user.credentials_added", actor_id=user_id, subject=user)
    return user


def change_password(user_id: int, *, current_password: str, new_password: str, family: uuid.UUID, now: datetime) -> int:
    """Set a new password and end all other sessions; how many those were.

    Raises InvalidCredentials (a wrong one counts as a failed sign-in), RateLimited or ValidationFailed.
    """
    proven = User.objects.get(pk=user_id)
    if not is_password_of(proven, current_password, email=proven.email or ""):
        raise InvalidCredentials("The current password is wrong")
    check_rules(new_password, field="new_password")
    if new_password == current_password:
        raise ValidationFailed(details={"fields": {"new_password": ["The new password is the current one."]}})
    hashed = make_password(new_password)
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=user_id)
        if user.password != proven.password:
            raise InvalidCredentials("The current password is wrong")  # changed by another call in between
        user.password = hashed
        user.save(update_fields=["password"])
        audit.record("user.password_changed", actor_id=user_id, subject=user)
        others = RefreshFamily.objects.filter(user_id=user_id).exclude(uuid=family)
        return sessions.revoke(others, reason="password_changed", now=now)


@transaction.atomic
def freeze_user(user_id: int, *, actor_id: int | None, reason: str) -> bool:
    """Stop a user from acting, at once and everywhere; False where they were frozen already.

    Raises NotFound for a closed user, NotPermitted for a member of staff freezing themself.
    """
    user = locked_user(user_id)
    if user_id == actor_id:
        raise NotPermitted("Nobody can freeze themself")
    if user.state == UserState.FROZEN:
        return False
    _set_state(user, UserState.FROZEN, actor_id=actor_id, reason=reason)
    signals.user_frozen.send(sender=User, user_id=user_id)
    revocations.user_stopped(user)
    return True


@transaction.atomic
def unfreeze_user(user_id: int, *, actor_id: int | None, reason: str) -> bool:
    """Let a frozen user act again, their sessions included; False where they weren't frozen."""
    user = locked_user(user_id)
    if user.state != UserState.FROZEN:
        return False
    _set_state(user, UserState.ACTIVE, actor_id=actor_id, reason=reason)
    revocations.user_released(user)
    return True


def _set_state(user: User, state: UserState, *, actor_id: int | None, reason: str) -> None:
    before, user.state = user.state, state
    user.save(update_fields=["state"])
    action = "user.frozen" if state == UserState.FROZEN else "user.unfrozen"
    audit.record(
        action,
        actor_id=actor_id,
        on_behalf_of_id=user.pk,
        subject=user,
        before={"state": before},
        after={"state": state.value, "reason": reason},
    )


@transaction.atomic
def close_user(user_id: int, *, now: datetime) -> None:
    """Close a user for good and forget who they were; what they traded stays, under no name.

    Receivers of `user_closing` and `venue_disconnecting` refuse by raising, with 4005 while anything is open. Ends all
    sessions and keys, and lets go of accounts at venues.
    """
    user = locked_user(user_id)
    signals.user_closing.send(sender=User, user_id=user_id)
    venue_connections.disconnect_all(user)
    user.state, user.email, user.email_verified = UserState.CLOSED, None, False
    user.display_name, user.time_zone, user.one_tap_account = "", "UTC", None
    user.provider = user.cavos_user_id = user.claimed_email = ""
    user.is_staff = user.is_superuser = False
    user.set_unusable_password()
    user.save()
    TotpDevice.objects.filter(user=user).delete()
    RecoveryCode.objects.filter(user=user).delete()
    Onboarding.objects.filter(user=user).delete()
    families, keys = RefreshFamily.objects.filter(user=user), ApiKey.objects.filter(user=user)
    sessions.revoke(families, reason="closed", now=now)
    families.update(user_agent="", ip=None)
    key_ids = list(keys.filter(revoked_at__isnull=True).values_list("pk", flat=True))
    keys.filter(pk__in=key_ids).update(revoked_at=now)
    keys.update(name="", ip_allow_list=[])
    audit.record("user.closed", actor_id=user_id, subject=user, after={"state": UserState.CLOSED.value})
    revocations.api_keys_revoked(key_ids)
    revocations.user_stopped(user)


def add_totals(deltas: Sequence[TotalsDelta]) -> None:
    """Add to several users' totals in one statement, each user at most once in `deltas`.

    Not safe to repeat: the reader of account events calls it in the transaction that stores its position.
    """
    if not deltas:
        return
    ordered = sorted(deltas, key=lambda delta: delta.user_id)
    columns: list[Any] = [
        [delta.user_id for delta in ordered],
        [delta.volume for delta in ordered],
        [delta.trades for delta in ordered],
        [delta.realized_pnl for delta in ordered],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_ADD_TOTALS, columns)
