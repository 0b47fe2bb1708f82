"""TWAP orders, and a clock for them."""

from datetime import timedelta
from typing import Any

from django.db.models import F

from trading.domain.lifecycle import OrderType
from trading.domain.slicing import TwapTerms
from trading.models import Order, TradingAccount, TwapPlan
from trading.services.twap import run_due_slices
from trading.tests.factories import D, place


def place_twap(account: TradingAccount, quantity: str = "6", **changes: Any) -> Order:
    """Six slices in a minute, unless said otherwise."""
    plan = TwapTerms(
        duration_s=changes.pop("duration_s", 60), slices=changes.pop("slices", 6), jitter=D(changes.pop("jitter", "0"))
    )
    placed = place(account, quantity, **{"twap": plan, **changes, "type": OrderType.TWAP})
    return Order.objects.get(uuid=placed.body["id"])


def pass_time(seconds: float) -> None:
    """Let all TWAP orders be so much older."""
    gone = timedelta(seconds=seconds)
    TwapPlan.objects.update(starts_at=F("starts_at") - gone, due_at=F("due_at") - gone)


def look(account: TradingAccount, *, after: float = 0) -> int:
    """The timekeeper looks, so many seconds later."""
    pass_time(after)
    return run_due_slices(account.pk)
