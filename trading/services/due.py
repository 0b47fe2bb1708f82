"""What becomes due by the clock alone: orders whose time is over, slices, dead-man switches, proposals of staff. The
database's clock decides.

Each booking decides again under its account's lock, so what is done twice, late or by two processes is done once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now

from marketdata.selectors import markets_by_id
from trading.domain.dead_man import switch_body, unprotected_positions
from trading.domain.ending import EXPIRED, end_orders
from trading.domain.lifecycle import LIVE, OrderStatus
from trading.loading import ORDERS_AT_ONCE, AccountRef, OrdersRef
from trading.models import DeadManSwitch, Order, TradingAccount
from trading.services.adjustments import expire_adjustments, overdue_accounts
from trading.services.bookings import booking, present_board
from trading.services.twap import due_slices, run_due_slices, send_due_slices
from trading.services.venue_orders import cancel_all, send_cancel
from trading.venues.choice import venue_account

DUE_AT_ONCE = 500
SWITCHED = "dead_man_switch"


@dataclass(frozen=True, slots=True)
class Due:
    """A piece of work whose moment has come, and the account it is on; run it outside a transaction."""

    account_id: int
    run: Callable[[int], object]


def due_work() -> list[Due]:
    """What is due now, the longest overdue first, at most `DUE_AT_ONCE` accounts of each kind."""
    practice = Order.objects.filter(account__venue=TradingAccount.Venue.PRACTICE)
    orders = practice.filter(status__in=sorted(LIVE), expires_at__lte=Now()).order_by("expires_at")
    expired = dict.fromkeys(orders.values_list("account_id", flat=True)[:DUE_AT_ONCE])
    switches = DeadManSwitch.objects.filter(fires_at__lte=Now()).order_by("fires_at")
    silent = switches.values_list("account_id", flat=True)[:DUE_AT_ONCE]
    slices = dict.fromkeys(due.account_id for due in due_slices(at_most=DUE_AT_ONCE))
    return [
        *(Due(account_id, expire_orders) for account_id in expired),
        *(Due(account_id, fire_switch) for account_id in silent),
        *(Due(account_id, run_due_slices) for account_id in slices),
        *(Due(account_id, expire_adjustments) for account_id in overdue_accounts(DUE_AT_ONCE)),
    ]


def venue_work() -> list[Due]:
    """What is due now and is sent to a venue."""
    accounts = dict.fromkeys(due.account_id for due in due_slices(at_most=DUE_AT_ONCE, at_venues=True))
    return [Due(account_id, send_due_slices) for account_id in accounts]


def expire_orders(account_id: int) -> int:
    """End an account's orders whose time is over; returns how many. A frozen account's too; needs no prices."""
    board = present_board()
    with booking(AccountRef(account_id=account_id), orders=OrdersRef(expired=True)) as batch:
        return len(end_orders(batch, batch.account.orders, to=OrderStatus.EXPIRED, board=board, reason=EXPIRED))


def set_switch(*, account: AccountRef, timeout_s: int) -> dict[str, Any]:
    """Let the account's orders be cancelled unless this is called again within `timeout_s` seconds; 0 switches it off.

    Returns when it will fire, and the positions that would lose take profit or stop loss. An event tells when it is
    switched on or off, not of each renewal. At a venue its own switch is set as well, after ours: VenueError is raised
    where that could not be done. Locks the account. Raises NotFound.
    """
    with booking(account, orders=OrdersRef()) as batch:
        switch = DeadManSwitch.objects.filter(account_id=batch.account.id).first()
        was_on = switch is not None and switch.fires_at is not None
        fires_at = batch.now + timedelta(seconds=timeout_s) if timeout_s else None
        if was_on or fires_at is not None:
            row = DeadManSwitch(account_id=batch.account.id, timeout_s=timeout_s, fires_at=fires_at)
            DeadManSwitch.objects.bulk_create(
                [row], update_conflicts=True, unique_fields=["account"], update_fields=["timeout_s", "fires_at"]
            )
        body = switch_body(timeout_s=timeout_s, fires_at=fires_at)
        if was_on != (fires_at is not None):
            batch.emit(SWITCHED, body | {"state": "on" if fires_at else "off"})
        bare = unprotected_positions(batch.account, markets_by_id()) if fires_at else []
    if batch.account.is_live:
        venue_account(batch.account.id).set_switch(timeout_s)
    return body | {"unprotected_positions": bare}


def fire_switch(account_id: int) -> int:
    """Cancel all of an account's orders if its switch is due, and switch it off; returns how many were cancelled.

    A switch that was renewed or fired meanwhile is left alone.
    """
    board = present_board()
    with booking(AccountRef(account_id=account_id), orders=OrdersRef()) as batch:
        armed = DeadManSwitch.objects.filter(account_id=account_id, fires_at__lte=batch.now)
        if not armed.exists():
            return 0
        full = len(batch.account.orders) == ORDERS_AT_ONCE
        ended, wanted = cancel_all(batch, batch.account.orders, board=board, reason=SWITCHED)
        if batch.account.is_live or not full:  # otherwise it is still due; at a venue its own switch ends the rest
            armed.update(fires_at=None, fired_at=batch.now)
            batch.emit(SWITCHED, switch_body(timeout_s=0, fires_at=None) | {"state": "fired"})
    send_cancel(account_id, wanted)
    return len(ended)
