"""Change price or quantity of an order that still lives, keeping its identity and history. Pure, like `booking`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import NoReturn

from astrade.core import errors
from astrade.core.attributes import attributes
from astrade.core.messages import MarketView
from astrade.core.money import plain
from trading.domain import admission
from trading.domain.admission import Limits
from trading.domain.batch import Batch
from trading.domain.bodies import text_of
from trading.domain.booking import check_request
from trading.domain.ending import announce
from trading.domain.filling import take
from trading.domain.lifecycle import OrderStatus, OrderType
from trading.domain.margin import Board, summarise
from trading.domain.shapes import Terms
from trading.domain.state import OrderRequest, OrderState

REPLACED = "replaced"
ON_THE_WAY = frozenset({OrderStatus.SUBMITTED, OrderStatus.UNKNOWN})
Wanted = Mapping[str, tuple[Decimal | None, Decimal]]  # name → before, after


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What an order is to become; None leaves a value as it is. `quantity` is the new total, with what is filled."""

    quantity: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None

    def of(self, order: OrderState) -> Wanted:
        """Before and after of each value that would really change."""
        wanted = attributes(self, self.__slots__)
        return {
            name: (getattr(order, name), value)
            for name, value in wanted.items()
            if value is not None and value != getattr(order, name)
        }


def replace_order(
    batch: Batch,
    order: OrderState,
    changes: Changes,
    *,
    version: int | None,
    terms: Terms,
    view: MarketView | None,
    board: Board,
    limits: Limits,
) -> None:
    """Change a live order; a new price that crosses fills as taker at once. Raises the refusal's error.

    An order that already is as wished is left alone, whatever version is named: a repeat of the same call finds its own
    work. One that is still on its way is not open yet. What only shrinks an order is held against size rules alone,
    keeps its place in the queue, and needs no `view`; anything else passes all checks of a new order and is admitted
    anew.
    """
    wanted = _wanted(order, changes, version=version, now=batch.now)
    if not wanted:
        return
    account, before = batch.account, summarise(batch.account, board)
    account.orders_on(terms.id).add(order, sign=-1)
    request = _request_of(order, wanted)
    if _only_shrinks(wanted):
        admission.check_account(account)
        admission.check_size(request, terms)
        _note(batch, order, wanted)
    else:
        _admit_anew(batch, order, request, wanted, terms=terms, view=view, board=board, limits=limits)
    if order.is_live:
        account.orders_on(terms.id).add(order)
    after = summarise(account, board)
    admission.check_margin(before, after)
    announce(batch, order, board=board, summary=after)


def successor_of(
    order: OrderState, changes: Changes, *, version: int | None, client_order_id: str, now: datetime
) -> OrderRequest | None:
    """What is to take the place of an order that can't be changed itself, for what of it is not filled; None where it
    is as wished. Raises as `replace_order`.
    """
    wanted = _wanted(order, changes, version=version, now=now)
    if not wanted:
        return None
    request = _request_of(order, wanted)
    left = request.quantity - order.filled_quantity
    return replace(request, quantity=left, client_order_id=client_order_id, leverage=None)


def _wanted(order: OrderState, changes: Changes, *, version: int | None, now: datetime) -> Wanted:
    """What would change, empty for nothing. Raises OrderNotOpen, VersionConflict, ValidationFailed."""
    wanted = changes.of(order)
    if not wanted and (order.is_live or order.status is OrderStatus.FILLED):
        return wanted
    if not order.is_live or order.is_expired(now) or order.status in ON_THE_WAY:
        raise errors.OrderNotOpen(details={"status": order.status})
    if version is not None and version != order.version:
        raise errors.VersionConflict(details={"version": order.version})
    _check_fits(order, wanted)
    return wanted


def _only_shrinks(wanted: Wanted) -> bool:
    return all(name == "quantity" and before is not None and after < before for name, (before, after) in wanted.items())


def _check_fits(order: OrderState, wanted: Wanted) -> None:
    if order.type is OrderType.TWAP:
        raise errors.OrderTypeNotOffered("A TWAP order can't be replaced", details={"type": order.type})
    if order.role is not None:
        _refuse("id", "A take profit or stop loss is changed on its position.")
    for name, (before, after) in wanted.items():
        if before is None:
            _refuse(name, f"An order of type {order.type} has none.")
        if name == "trigger_price" and order.status is not OrderStatus.UNTRIGGERED:
            _refuse(name, "The order is triggered already.")
        if name == "quantity" and after <= order.filled_quantity:
            _refuse(name, f"Must exceed what is filled: {plain(order.filled_quantity)}.")


def _refuse(field: str, why: str) -> NoReturn:
    raise errors.ValidationFailed(details={"fields": {field: [why]}})


def _request_of(order: OrderState, wanted: Wanted) -> OrderRequest:
    """The order as it is to be, as if it were asked for today; one that has triggered is a limit order."""
    kept = attributes(order, OrderRequest.__slots__)
    if order.status is not OrderStatus.UNTRIGGERED:
        kept |= {"type": OrderType.LIMIT, "trigger_price": None, "trigger_by": None}
    return OrderRequest(**kept | {name: after for name, (_, after) in wanted.items()})


def _admit_anew(
    batch: Batch,
    order: OrderState,
    request: OrderRequest,
    wanted: Wanted,
    *,
    terms: Terms,
    view: MarketView | None,
    board: Board,
    limits: Limits,
) -> None:
    """The order loses its place in the queue; one that rests takes what its new price reaches."""
    if view is None:
        raise errors.MarketDataStale(details={"symbol": terms.symbol})
    open_part = replace(request, quantity=request.quantity - order.filled_quantity)
    leverage = batch.account.leverage_on(terms.id)
    check_request(
        batch, request, open_part=open_part, terms=terms, view=view, board=board, leverage=leverage, limits=limits
    )
    _note(batch, order, wanted)
    order.rules_id, order.admitted_sequence, order.admitted_at = terms.rules_id, view.book.sequence, batch.now
    if not order.is_resting:
        return
    fills = order.fill_count
    take(batch, order, terms=terms, view=view)
    if not order.remaining:
        batch.move(order, OrderStatus.FILLED)
    elif order.fill_count > fills:
        batch.move(order, OrderStatus.PARTIALLY_FILLED)


def _note(batch: Batch, order: OrderState, wanted: Wanted) -> None:
    for name, (_, after) in wanted.items():
        setattr(order, name, after)
    change = {name: [text_of(before), text_of(after)] for name, (before, after) in wanted.items()}
    batch.note_change(order, change, reason=REPLACED)
