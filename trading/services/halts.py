"""Halt switches: set and lifted by staff, on record, in force for the next order of every process (DESIGN §4.4)."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from astrade.core import audit
from astrade.core.clock import to_ms
from astrade.core.errors import ValidationFailed
from marketdata.models import Market, Venue
from trading.domain.limits import HaltScope
from trading.models import TradingAccount, TradingHalt

REASON_LENGTH = 200


@dataclass(frozen=True, slots=True)
class HaltTarget:
    """What a halt stops: everything, or the venue, market or account that is named."""

    scope: HaltScope
    venue: str = ""
    market: Market | None = None
    account: TradingAccount | None = None


def check_halt(target: HaltTarget, *, reason: str, now: datetime, until: datetime | None) -> None:
    """Raises ValidationFailed for a target that doesn't fit its scope, without a reason, or for a past `until`."""
    named = {"venue": bool(target.venue), "market": target.market is not None, "account": target.account is not None}
    wrong = {
        name: ["Required."] if name == target.scope else [f"Not for scope {target.scope}."]
        for name, given in named.items()
        if given != (name == target.scope)
    }
    if target.venue and target.venue not in Venue.values:
        wrong["venue"] = ["Unknown venue."]
    if not 0 < len(reason) <= REASON_LENGTH:
        wrong["reason"] = [f"1 to {REASON_LENGTH} characters are required."]
    if until is not None and until <= now:
        wrong["until"] = ["Must be in the future."]
    if wrong:
        raise ValidationFailed(details={"fields": wrong})


@transaction.atomic
def set_halt(
    target: HaltTarget, *, reason: str, actor_id: int | None, now: datetime, until: datetime | None = None
) -> TradingHalt:
    """Stop all orders that add risk, until lifted or `until`; each call makes a halt of its own.

    Raises what `check_halt` raises.
    """
    reason = reason.strip()
    check_halt(target, reason=reason, now=now, until=until)
    halt = TradingHalt.objects.create(
        scope=target.scope,
        venue=target.venue,
        market=target.market,
        account=target.account,
        reason=reason,
        since=now,
        until=until,
        set_by_id=actor_id,
    )
    _record("trading.halted", halt, actor_id=actor_id, reason=reason)
    return halt


@transaction.atomic
def lift_halt(halt_id: int, *, reason: str, actor_id: int | None, now: datetime) -> bool:
    """End a halt; False where it was lifted already or doesn't exist. Locks its row."""
    halt = TradingHalt.objects.select_for_update(of=("self",)).filter(pk=halt_id, ended_at__isnull=True).first()
    if halt is None:
        return False
    halt.ended_at, halt.ended_by_id = now, actor_id
    halt.save(update_fields=["ended_at", "ended_by"])
    _record("trading.halt_lifted", halt, actor_id=actor_id, reason=reason.strip()[:REASON_LENGTH])
    return True


def halts_in_force(now: datetime) -> QuerySet[TradingHalt]:
    """Halts that are neither lifted nor over, oldest first."""
    running = Q(until__isnull=True) | Q(until__gt=now)
    found = TradingHalt.objects.filter(running, ended_at__isnull=True)
    return found.select_related("market", "account").order_by("pk")


def _record(action: str, halt: TradingHalt, *, actor_id: int | None, reason: str) -> None:
    after = {
        "scope": halt.scope,
        "venue": halt.venue,
        "market": halt.market.symbol if halt.market else None,
        "account": str(halt.account.uuid) if halt.account else None,
        "reason": reason,
        "until": to_ms(halt.until) if halt.until else None,
    }
    owner = halt.account.user_id if halt.account else None
    audit.record(action, actor_id=actor_id, on_behalf_of_id=owner, subject=halt, after=after)
