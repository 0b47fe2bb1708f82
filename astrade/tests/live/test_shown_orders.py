"""What the venue shows or tells once more: what is new in it is booked, and only that."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from astrade.tests.live.trader import Trader
from trading.domain.lifecycle import OrderStatus
from trading.domain.reports import ShownOrder
from trading.models import Event, Fill, Order, VenueOrder
from trading.services.venue_reports import apply_shown, record_fill
from trading.venues.base import VenueAccount
from trading.venues.choice import venue_account


def at_venue(trader: Trader) -> VenueAccount:
    """The account as our client sees it."""
    return venue_account(trader.account.pk)


def shown(trader: Trader, order: Order) -> ShownOrder:
    """The order as the venue shows it now."""
    found: Sequence[ShownOrder] = at_venue(trader).find(VenueOrder.objects.get(order=order).external_id)
    return found[0]


def test_a_stop_limit_that_is_shown_as_open_has_fired(trader: Trader) -> None:
    trigger, price = trader.price("1.05"), trader.price("1.06")
    trader.place(type="stop_limit", trigger_price=trigger, price=price, time_in_force=None)
    order = Order.objects.get()
    now = shown(trader, order)
    assert (order.status, now.status) == ("untriggered", "untriggered")

    assert apply_shown(trader.account.pk, replace(now, status=OrderStatus.OPEN, at=now.at + timedelta(seconds=1)))

    order.refresh_from_db()
    assert order.status == "open"


def test_what_is_shown_late_changes_nothing(trader: Trader) -> None:
    trader.take()
    trader.sync()
    (position,) = trader.call("GET", "/account/positions").data
    path = f"/accounts/{trader.account.uuid}/positions/{position['id']}"
    assert trader.call("PATCH", path, {"stop_loss": trader.price("0.9")}).status == 200
    leg = Order.objects.get(status="untriggered")
    now = shown(trader, leg)
    resized = replace(now, quantity=Decimal("0.007"), at=now.at + timedelta(seconds=2))

    assert apply_shown(trader.account.pk, resized)
    assert not apply_shown(trader.account.pk, replace(resized, quantity=Decimal("0.004"), at=now.at))

    leg.refresh_from_db()
    assert leg.quantity == Decimal("0.007")


def test_what_says_nothing_new_leaves_no_trace(trader: Trader) -> None:
    trader.place()
    order = Order.objects.get()
    events, link = Event.objects.count(), VenueOrder.objects.get()
    now = shown(trader, order)

    assert not apply_shown(trader.account.pk, replace(now, at=now.at + timedelta(seconds=1)))
    assert not apply_shown(
        trader.account.pk, replace(now, status=OrderStatus.PARTIALLY_FILLED, at=now.at + timedelta(seconds=2))
    )

    assert (Event.objects.count(), VenueOrder.objects.get().shown_at) == (events, link.shown_at)
    order.refresh_from_db()
    assert order.status == "open"


def test_a_trade_told_twice_is_booked_once(trader: Trader) -> None:
    trader.take()
    (trade,) = at_venue(trader).trades_since(None, at_most=10)
    account_id = trader.account.pk

    first, second = record_fill(account_id, trade), record_fill(account_id, trade)

    assert first is not None and second is not None
    assert (first.is_new, second.is_new) == (True, False)
    assert Fill.objects.count() == 1
    assert trader.differences() == []
