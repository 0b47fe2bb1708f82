"""What a TWAP order does over its duration: its slices, pause and end. Pure, built on `booking`.

A slice is an order of its own (market, or limit IOC at the price limit) whose fills move its parent too. It passes
every check of an order placed at that moment, on what its parent reserved. One that has to wait (stale prices, a halt,
a market that doesn't trade, a frozen account) or finds nothing is carried over; anything else that refuses it cancels
the parent, as it would a resting order, and is kept with its figures.

At a venue a slice is an order that is sent there, one at a time, and its parent adds up what the venue told of them.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from astrade.core import errors
from astrade.core.errors import AstradeError
from astrade.core.messages import MarketView
from astrade.core.money import plain
from trading.domain import admission, booking, filling, slicing
from trading.domain.admission import Limits
from trading.domain.batch import Batch
from trading.domain.conditional import NOTHING_TO_REDUCE, end_refused, reason_of
from trading.domain.ending import announce, end_order, tell
from trading.domain.lifecycle import OrderSource, OrderStatus, OrderType, TimeInForce
from trading.domain.live import OVERFILLED
from trading.domain.margin import Board, summarise
from trading.domain.shapes import Terms
from trading.domain.slicing import TwapState
from trading.domain.state import OrderRequest, OrderState

DURATION_OVER, PAUSED, RESUMED = "duration_over", "paused", "resumed"
NO_LIQUIDITY, OUT_OF_REACH, IN_FLIGHT = "no_liquidity", "price_limit_out_of_reach", "slice_in_flight"
WAITS = (
    errors.MarketDataStale,
    errors.TradingHalted,
    errors.MarketNotTrading,
    errors.UserFrozen,
    errors.AccountFrozen,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What a slice is decided on beside its account; without a `view` there are no prices."""

    terms: Terms
    view: MarketView | None
    board: Board
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """What the slices of an order traded so far: base units, exact notional, fees, and how many of them did."""

    quantity: Decimal
    notional: Decimal
    fee: Decimal
    slices: int


def run_slice(batch: Batch, order: OrderState, market: Market) -> bool:
    """Do what is due of a TWAP order; False if that is nothing (yet, or any more).

    Slices that are overdue together are one slice, within `slicing.CATCH_UP`.
    """
    plan, due_at = order.twap, order.due_at
    if plan is None or due_at is None or batch.now < due_at:
        return False
    request = _due(batch, order, plan, market)
    if request is None:
        return True
    try:
        trades = _rehearse(batch, order, request, market)
    except WAITS as refusal:
        _carry_over(batch, order, market.terms, reason=reason_of(refusal))
    except AstradeError as refusal:
        end_refused(batch, order, request, refusal, to=OrderStatus.CANCELLED, board=market.board)
    else:
        if trades:
            _trade(batch, order, request, market)
        else:
            _carry_over(batch, order, market.terms, reason=NO_LIQUIDITY if order.price is None else OUT_OF_REACH)
    return True


def launch_slice(batch: Batch, order: OrderState, market: Market, *, in_flight: bool) -> OrderState | None:
    """As `run_slice` on an account at a venue: returns the slice that is to be sent, if one is. While one is
    `in_flight`, nobody knows what is left to trade, and the next one waits.
    """
    plan, due_at = order.twap, order.due_at
    if plan is None or due_at is None or batch.now < due_at:
        return None
    if in_flight and batch.now >= plan.ends_at:
        return None
    request = _due(batch, order, plan, market)
    if request is None:
        return None
    if in_flight:
        _carry_over(batch, order, market.terms, reason=IN_FLIGHT)
        return None
    try:
        trial, copied = batch.rehearsal(order)
        _launch(trial, copied, request, market)
    except (*WAITS, errors.PriceOutsideBand) as refusal:
        _carry_over(batch, order, market.terms, reason=reason_of(refusal))
    except AstradeError as refusal:
        end_refused(batch, order, request, refusal, to=OrderStatus.CANCELLED, board=market.board)
    else:
        return _launch(batch, order, request, market)
    return None


def _launch(batch: Batch, order: OrderState, request: OrderRequest, market: Market) -> OrderState:
    """Admit the slice on what its parent reserved; raises the refusal's error."""
    if market.view is None:
        raise errors.MarketDataStale
    sums = batch.account.orders_on(market.terms.id)
    sums.add(order, sign=-1)
    child = booking.admit(
        batch,
        request,
        terms=market.terms,
        view=market.view,
        board=market.board,
        limits=market.limits,
        fingerprint="",
        parent=order,
    )
    sums.add(order)
    batch.touch(order)
    return child


def follow_slices(batch: Batch, order: OrderState, traded: Traded, *, board: Board) -> bool:
    """Let a TWAP order at a venue be what its slices together are; whether that changed it. One that has ended goes on
    counting: a slice may still have been on its way.
    """
    if order.twap is None or order.filled_quantity == traded.quantity:
        return False
    was_live = order.is_live
    if was_live:
        batch.account.orders_on(order.market_id).add(order, sign=-1)
    if traded.quantity > order.quantity:  # the venue traded more than a slice asked for, which is that slice's anomaly
        batch.note_change(order, {"quantity": [plain(order.quantity), plain(traded.quantity)]}, reason=OVERFILLED)
        order.quantity = traded.quantity
    order.filled_quantity, order.filled_notional, order.fee = traded.quantity, traded.notional, traded.fee
    order.twap.executed_slices = traded.slices
    if not order.remaining:
        batch.move(order, OrderStatus.FILLED)
    elif was_live:
        batch.move(order, OrderStatus.PARTIALLY_FILLED)
    batch.touch(order)
    if order.is_live:
        batch.account.orders_on(order.market_id).add(order)
    announce(batch, order, board=board, summary=summarise(batch.account, board))
    return True


def pause(batch: Batch, order: OrderState, *, symbol: str) -> None:
    """Let a TWAP order trade no more until it is resumed; what it reserves stays reserved. Again changes nothing.

    Raises OrderTypeNotOffered for another type, OrderNotOpen for one that ended.
    """
    plan = _open_plan(batch, order)
    if plan.paused_at is None:
        plan.paused_at = batch.now
        batch.note_change(order, {}, reason=PAUSED)
        tell(batch, order, symbol=symbol)


def resume(batch: Batch, order: OrderState, *, symbol: str) -> None:
    """Let a paused TWAP order go on where it stopped: all that is to come moves on by the pause. Raises as `pause`."""
    plan = _open_plan(batch, order)
    if plan.paused_at is not None:
        slicing.resume(plan, now=batch.now)
        batch.note_change(order, {}, reason=RESUMED)
        tell(batch, order, symbol=symbol)


def _open_plan(batch: Batch, order: OrderState) -> TwapState:
    plan = order.twap
    if plan is None:
        raise errors.OrderTypeNotOffered("Only TWAP orders can be paused", details={"type": order.type})
    if not order.is_live or (plan.paused_at is None and batch.now >= plan.ends_at):
        raise errors.OrderNotOpen(details={"status": order.status})
    return plan


def _due(batch: Batch, order: OrderState, plan: TwapState, market: Market) -> OrderRequest | None:
    """The slice that is due, its moment noted; None where the order ended instead."""
    if batch.now >= plan.ends_at:
        end_order(batch, order, to=OrderStatus.EXPIRED, board=market.board, reason=DURATION_OVER)
        return None
    request = _slice(batch, order, plan, market.terms)
    if not request.quantity:
        end_order(batch, order, to=OrderStatus.CANCELLED, board=market.board, reason=NOTHING_TO_REDUCE)
        return None
    plan.next_slice = plan.passed(batch.now)
    return request


def _slice(batch: Batch, order: OrderState, plan: TwapState, terms: Terms) -> OrderRequest:
    """The order that the slice is; of a reduce-only one no larger than the position, so 0 where there is none."""
    passed = plan.passed(batch.now)
    quantity = plan.due_quantity(
        quantity=order.quantity, filled=order.filled_quantity, step=terms.step_size, passed=passed
    )
    if order.reduce_only:
        quantity = min(quantity, filling.reducible(batch.account, order))
    return OrderRequest(
        side=order.side,
        type=OrderType.MARKET if order.price is None else OrderType.LIMIT,
        quantity=quantity,
        price=order.price,
        time_in_force=TimeInForce.IOC,
        reduce_only=order.reduce_only,
        client_order_id=f"twap~{order.uuid.hex}~{passed}",  # no client can take the name, and each is given once
        tag=order.tag,
        source=OrderSource.TWAP,
    )


def _rehearse(batch: Batch, order: OrderState, request: OrderRequest, market: Market) -> bool:
    """Whether the slice would trade anything, tried on a copy; raises what refuses it."""
    if market.view is None:
        raise errors.MarketDataStale
    trial, copied = batch.rehearsal(order)
    return bool(_execute(trial, copied, request, market, market.view).filled_quantity)


def _trade(batch: Batch, order: OrderState, request: OrderRequest, market: Market) -> None:
    if market.view is None:
        return
    child = _execute(batch, order, request, market, market.view)
    tell(batch, child, symbol=market.terms.symbol)
    announce(batch, order, board=market.board, summary=summarise(batch.account, market.board))


def _execute(batch: Batch, order: OrderState, request: OrderRequest, market: Market, view: MarketView) -> OrderState:
    """Trade the slice on what its parent reserved; raises the refusal's error. Its limit was admitted with its parent:
    how far that is from today's mark is no fault.
    """
    account, terms, before = batch.account, market.terms, summarise(batch.account, market.board)
    account.orders_on(terms.id).add(order, sign=-1)
    checked = replace(request, type=OrderType.MARKET, price=None)
    booking.check_request(
        batch,
        checked,
        open_part=checked,
        terms=terms,
        view=view,
        board=market.board,
        leverage=account.leverage_on(terms.id),
        limits=market.limits,
    )
    child = booking.take_for_platform(batch, request, terms=terms, view=view)
    child.parent_id, child.parent_uuid = order.id, order.uuid
    _add_fills(batch, order, child)
    if order.is_live:
        account.orders_on(terms.id).add(order)
    if not order.reduce_only:
        admission.check_margin(before, summarise(account, market.board))
    return child


def _add_fills(batch: Batch, order: OrderState, child: OrderState) -> None:
    """What a slice traded is what its parent traded; the fills stay the slice's."""
    if order.twap is None or not child.filled_quantity:
        return
    order.filled_quantity += child.filled_quantity
    order.filled_notional += child.filled_notional
    order.fee += child.fee
    order.twap.executed_slices += 1
    batch.move(order, OrderStatus.PARTIALLY_FILLED if order.remaining else OrderStatus.FILLED)


def _carry_over(batch: Batch, order: OrderState, terms: Terms, *, reason: str) -> None:
    batch.note_change(order, {}, reason=reason)
    tell(batch, order, symbol=terms.symbol)
