"""Orders that are on their way (`trading.domain.arriving`): which have arrived, and what becomes of them."""

from decimal import Decimal
from typing import NamedTuple

from django.db.models import QuerySet
from django.db.models.functions import Now

from astrade.core.clock import system_clock
from marketdata import live
from marketdata.selectors import markets_by_id
from trading.domain import arriving
from trading.domain.lifecycle import OrderStatus, Side
from trading.domain.margin import Board
from trading.loading import AccountRef, OrderRef
from trading.models import Order
from trading.services.bookings import booking
from trading.services.due import DUE_AT_ONCE, Due
from trading.services.orders import limits, market_view, own_orders_facing
from trading.services.risk_days import opens_risk_day


class Arrived(NamedTuple):
    """An order that has arrived and was not decided yet."""

    account_id: int
    id: int
    market_id: int
    side: str
    price: Decimal | None


def arrivals() -> list[Due]:
    """Accounts with orders that have arrived, the longest due first; the database's clock decides."""
    accounts = dict.fromkeys(_arrived().values_list("account_id", flat=True)[:DUE_AT_ONCE])
    return [Due(account_id, deliver_orders) for account_id in accounts]


def deliver_orders(account_id: int) -> int:
    """Decide an account's orders that have arrived, in the order of their arrival, each in a transaction of its own;
    returns how many were. Those of a market without fresh prices wait for them.
    """
    rows = _arrived().filter(account_id=account_id).values_list(*Arrived._fields)
    return sum(deliver_order(Arrived(*row)) for row in rows[:DUE_AT_ONCE])


@opens_risk_day
def deliver_order(arrived: Arrived) -> bool:
    """Decide an order on the present market; False if it was decided or ended before, or there are no fresh prices.

    May be called by anybody at any time: status and time are read again under the account's lock.
    """
    terms = markets_by_id()[arrived.market_id]
    view, quotes, _ = market_view(terms.symbol)
    if view is None or live.is_stale(view.quote.at, now=system_clock()):
        return False
    facing = own_orders_facing(terms, view, side=Side(arrived.side), limit=arrived.price)
    account, named = AccountRef(account_id=arrived.account_id), OrderRef(order_id=arrived.id)
    board = Board(markets=markets_by_id(), quotes=quotes)
    with booking(account, market_id=terms.id, order=named, orders=facing) as batch:
        order = batch.account.order
        if order is None:
            return False
        return arriving.arrive(batch, order, terms=terms, view=view, board=board, limits=limits())


def _arrived() -> QuerySet[Order]:
    return Order.objects.filter(status=OrderStatus.SUBMITTED, arrives_at__lte=Now()).order_by("arrives_at", "id")
