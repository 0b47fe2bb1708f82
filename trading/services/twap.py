"""TWAP orders over time: what is due of them, pause and resume. Prices are read before the account is locked."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import Count, Q, Sum
from django.db.models.functions import Now

from astrade.core import errors
from astrade.core.errors import AstradeError
from astrade.core.messages import MarketView
from astrade.core.money import ZERO
from marketdata.selectors import markets_by_id
from trading.domain import twap
from trading.domain.batch import Batch
from trading.domain.lifecycle import LIVE, Side
from trading.domain.margin import Board
from trading.domain.state import OrderState
from trading.domain.twap import Market, Traded
from trading.loading import AccountRef, OrderRef
from trading.models import Order, TradingAccount, TwapPlan
from trading.services.bookings import booking, order_body_of, present_board
from trading.services.orders import limits, market_view, own_orders_facing
from trading.services.risk_days import opens_risk_day
from trading.services.venue_orders import prepare, send


class DueSlice(NamedTuple):
    """A TWAP order that has something to do."""

    account_id: int
    order_id: int
    market_id: int
    side: str
    price: Decimal | None


_COLUMNS = ("order__account_id", "order_id", "order__market_id", "order__side", "order__price")


def due_slices(*, at_most: int, account_id: int | None = None, at_venues: bool = False) -> list[DueSlice]:
    """TWAP orders whose next moment has come, the longest overdue first; the database's clock decides. Those of
    practice accounts, or those whose slices go to venues.
    """
    due = TwapPlan.objects.filter(due_at__lte=Now()).order_by("due_at")
    if account_id is not None:
        due = due.filter(order__account_id=account_id)
    practice = Q(order__account__venue=TradingAccount.Venue.PRACTICE)
    due = due.filter(~practice if at_venues else practice)
    return [DueSlice(*row) for row in due.values_list(*_COLUMNS)[:at_most]]


def run_due_slices(account_id: int, *, at_most: int = 100) -> int:
    """Do what is due of an account's TWAP orders, each in a transaction of its own; returns of how many something was.

    One that fails holds up no other; its error is raised at last.
    """
    return _each(due_slices(at_most=at_most, account_id=account_id), run_slice)


def send_due_slices(account_id: int, *, at_most: int = 100) -> int:
    """As `run_due_slices`, on an account at a venue."""
    return _each(due_slices(at_most=at_most, account_id=account_id, at_venues=True), send_slice)


def _each(slices: Sequence[DueSlice], run: Callable[[DueSlice], bool]) -> int:
    done, failures = 0, list[Exception]()
    for due in slices:
        try:
            done += run(due)
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
    terms, (market, view) = markets_by_id()[due.market_id], _market(due)
    facing = own_orders_facing(terms, view, side=Side(due.side), limit=due.price)
    account, named = AccountRef(account_id=due.account_id), OrderRef(order_id=due.order_id)
    with booking(account, market_id=due.market_id, order=named, orders=facing) as batch:
        order = batch.account.order
        return order is not None and twap.run_slice(batch, order, market)


@opens_risk_day
def send_slice(due: DueSlice) -> bool:
    """Commit and send a TWAP order's due slice, or end the order; False if nothing is due any more. Call it outside any
    transaction.

    What the venue refuses, or whose answer is lost, is the slice's own fate: the next one carries on.
    """
    follow_slices(due.account_id, due.order_id)
    (market, view), outgoing = _market(due), None
    named = OrderRef(order_id=due.order_id)
    with booking(AccountRef(account_id=due.account_id), market_id=due.market_id, order=named) as batch:
        order = batch.account.order
        if order is None:
            return False
        in_flight = Order.objects.filter(parent_id=due.order_id, status__in=sorted(LIVE)).exists()
        child = twap.launch_slice(batch, order, market, in_flight=in_flight)
        if child is not None and view is not None:
            outgoing = prepare(batch, child, terms=market.terms, view=view, board=market.board)
    if outgoing is not None:
        with suppress(AstradeError):  # kept with the slice
            send(outgoing)
    return True


def follow_slices(account_id: int, order_id: int) -> None:
    """Let a TWAP order at a venue be what its slices together are. Any number of times."""
    board = present_board()
    with booking(AccountRef(account_id=account_id), order=OrderRef(order_id=order_id)) as batch:
        order = batch.account.order
        if order is None or order.twap is None:
            return
        sums = Order.objects.filter(parent_id=order_id, filled_quantity__gt=0).aggregate(
            quantity=Sum("filled_quantity", default=ZERO),
            notional=Sum("filled_notional", default=ZERO),
            fee=Sum("fee", default=ZERO),
            slices=Count("pk"),
        )
        twap.follow_slices(batch, order, Traded(**sums), board=board)


def _market(due: DueSlice) -> tuple[Market, MarketView | None]:
    terms = markets_by_id()[due.market_id]
    view, quotes, _ = market_view(terms.symbol)
    board = Board(markets=markets_by_id(), quotes=quotes)
    return Market(terms=terms, view=view, board=board, limits=limits()), view


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
