"""TWAP orders over time: what is due of them, pause and resume. Prices are read before the account is locked."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models.functions import Now

from astrade.core import errors
from marketdata.selectors import markets_by_id
from trading.domain import twap
from trading.domain.batch import Batch
from trading.domain.lifecycle import Side
from trading.domain.margin import Board
from trading.domain.state import OrderState
from trading.domain.twap import Market
from trading.loading import AccountRef, OrderRef
from trading.models import TwapPlan
from trading.services.bookings import booking, order_body_of
from trading.services.orders import limits, market_view, own_orders_facing
from trading.services.risk_days import opens_risk_day


class DueSlice(NamedTuple):
    """A TWAP order that has something to do."""

    account_id: int
    order_id: int
    market_id: int
    side: str
    price: Decimal | None


_COLUMNS = ("order__account_id", "order_id", "order__market_id", "order__side", "order__price")


def due_slices(*, at_most: int, account_id: int | None = None) -> list[DueSlice]:
    """TWAP orders whose next moment has come, the longest overdue first; the database's clock decides."""
    due = TwapPlan.objects.filter(due_at__lte=Now()).order_by("due_at")
    if account_id is not None:
        due = due.filter(order__account_id=account_id)
    return [DueSlice(*row) for row in due.values_list(*_COLUMNS)[:at_most]]


def run_due_slices(account_id: int, *, at_most: int = 100) -> int:
    """Do what is due of an account's TWAP orders, each in a transaction of its own; returns of how many something was.

    One that fails holds up no other; its error is raised at last.
    """
    done, failures = 0, list[Exception]()
    for due in due_slices(at_most=at_most, account_id=account_id):
        try:
            done += run_slice(due)
        except Exception as exc:  # raised below
            failures.append(exc)
    if failures:
        raise ExceptionGroup("TWAP slices failed", failures)
    return done


@opens_risk_day
def run_slice(due: DueSlice) -> bool:
    """Trade a TWAP order's due slice, or end the order; False if nothing is due under the account's lock any more.

    May be called by anybody at any time: what is due is read again with the order.
    """
    terms, side = markets_by_id()[due.market_id], Side(due.side)
    view, quotes, _ = market_view(terms.symbol)
    facing = own_orders_facing(terms, view, side=side, limit=due.price)
    account, named = AccountRef(account_id=due.account_id), OrderRef(order_id=due.order_id)
    market = Market(terms=terms, view=view, board=Board(markets=markets_by_id(), quotes=quotes), limits=limits())
    with booking(account, market_id=terms.id, order=named, orders=facing) as batch:
        order = batch.account.order
        return order is not None and twap.run_slice(batch, order, market)


def pause_order(*, account: AccountRef, order: OrderRef) -> dict[str, Any]:
    """Pause a TWAP order and return it; a paused one is left as it is. Raises NotFound, OrderTypeNotOffered for another
    type, OrderNotOpen. Locks the account.
    """
    return _change(account, order, twap.pause)


def resume_order(*, account: AccountRef, order: OrderRef) -> dict[str, Any]:
    """Let a paused TWAP order go on and return it; one that isn't paused is left as it is. Raises as `pause_order`."""
    return _change(account, order, twap.resume)


def _change(account: AccountRef, order: OrderRef, change: Callable[..., None]) -> dict[str, Any]:
    markets = markets_by_id()
    with booking(account, order=order) as batch:
        found = _found(batch)
        change(batch, found, symbol=markets[found.market_id].symbol)
        return order_body_of(batch.account, found)


def _found(batch: Batch) -> OrderState:
    if batch.account.order is None:
        raise errors.NotFound
    return batch.account.order
