"""What may stand in an order's way beside its market's rules: halts, limits an owner set themself, the risk day."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from astrade.core.days import LocalDay, local_day

OWN_LIMITS = ("max_daily_loss", "max_daily_notional")
LOOSENING_TAKES = timedelta(hours=24)


class HaltScope(StrEnum):
    """How far a halt reaches."""

    GLOBAL = "global"
    VENUE = "venue"
    MARKET = "market"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """A row of `trading.models.TradingHalt` that was not lifted; those of other markets and accounts are not loaded."""

    scope: HaltScope
    venue: str
    reason: str
    since: datetime
    until: datetime | None

    def concerns(self, *venues: str, now: datetime) -> bool:
        """Whether it is in force at `now` for an order that has to do with these venues."""
        is_over = self.until is not None and self.until <= now
        return not is_over and (self.scope is not HaltScope.VENUE or self.venue in venues)


@dataclass(frozen=True, slots=True)
class OwnLimit:
    """A limit that owners set themselves, in their account's currency; a value of None is no limit.

    Tightening takes effect at once, loosening after 24 hours: until `next_at` the old `value` holds. Without `next_at`
    nothing is pending.
    """

    value: Decimal | None
    next_value: Decimal | None = None
    next_at: datetime | None = None

    def at(self, now: datetime) -> "OwnLimit":
        """The same limit as it stands at `now`: what was pending has come or not."""
        return OwnLimit(self.next_value) if self.next_at is not None and self.next_at <= now else self

    def changed(self, wanted: Decimal | None, *, now: datetime) -> "OwnLimit":
        """The limit after its owner wished for `wanted`; the last wish counts, asking for the present value cancels
        what is pending."""
        current = self.at(now)
        is_looser = current.value is not None and (wanted is None or wanted > current.value)
        if not is_looser:
            return OwnLimit(wanted)
        if current.next_at is not None and current.next_value == wanted:
            return current
        return OwnLimit(current.value, wanted, now + LOOSENING_TAKES)

    def columns(self, name: str) -> dict[str, Any]:
        """Its columns on the account."""
        return {name: self.value, f"{name}_next": self.next_value, f"{name}_next_at": self.next_at}


def first_limit(wanted: Decimal | None, *, others: Iterable[OwnLimit], now: datetime) -> OwnLimit:
    """The limit of an account that is opened beside (or after) `others`: opening one is no way to loosen at once, so it
    starts with the tightest of theirs, and what was `wanted` comes after 24 hours where that is looser.
    """
    present = [limit.value for other in others if (limit := other.at(now)).value is not None]
    return OwnLimit(min(present, default=None)).changed(wanted, now=now)


def own_limit(account: Any, name: str) -> OwnLimit:
    """One of `OWN_LIMITS`, as an account state or row holds it."""
    return OwnLimit(*(getattr(account, column) for column in (name, f"{name}_next", f"{name}_next_at")))


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskDay:
    """A row of `trading.models.RiskDay`: what the account stood at when its owner's local day began."""

    starts_at: datetime
    ends_at: datetime
    equity: Decimal
    net_deposits: Decimal
    traded_notional: Decimal

    def holds(self, now: datetime) -> bool:
        """Whether `now` falls into it."""
        return self.starts_at <= now < self.ends_at


def risk_day(now: datetime, *, zone: str, previous: str, changed_at: datetime | None) -> LocalDay:
    """The day of risk limits at `now`, by the time zone in force at its start (DESIGN §4.4).

    A change of zone made at `changed_at` applies from the next midnight of the `previous` one; the day that begins
    there lasts to the first midnight of the new zone.
    """
    if changed_at is None:
        return local_day(now, zone=zone)
    last = local_day(changed_at, zone=previous)
    boundary = changed_at if changed_at == last.starts_at else last.ends_at
    if now < boundary:
        return local_day(now, zone=previous)
    day = local_day(now, zone=zone)
    return LocalDay(max(day.starts_at, boundary), day.ends_at)
