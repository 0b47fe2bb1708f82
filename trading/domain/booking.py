"""Decide and collect: what placing, filling and cancelling an order writes (DESIGN §4.1). Pure: no database,
no clock.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from astrade.core import errors
from astrade.core.messages import BookSnapshot, MarketView
from astrade.core.money import ZERO
from trading.domain import admission, bodies, simulator
from trading.domain.admission import Limits
from trading.domain.batch import Batch
from trading.domain.lifecycle import EntryKind, LedgerAccount, OrderStatus, OrderType, Side, TimeInForce
from trading.domain.margin import Board, MarginSummary, summarise
from trading.domain.positions import apply_fill
from trading.domain.shapes import Terms
from trading.domain.simulator import Execution, Profile
from trading.domain.state import AccountState, OrderRequest, OrderState

AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})


def admit(
    batch: Batch,
    request: OrderRequest,
    *,
    terms: Terms,
    view: MarketView,
    board: Board,
    limits: Limits,
    fingerprint: str,
) -> OrderState:
    """Check an order, fill what it gets at once, let the rest wait or end it; raises the refusal's error.

    After a refusal `batch` and its account state are spoilt: throw both away.
    """
    account, quote = batch.account, view.quote
    admission.check_account(account)
    admission.check_rules(request, terms)
    admission.check_band(request, terms, quote)
    admission.check_fresh(view, now=batch.now, stale_after_s=limits.stale_after_s)
    leverage = account.leverage_on(terms.id) if request.leverage is None else request.leverage
    admission.check_leverage(account, terms, leverage=leverage)
    admission.check_open_orders(account, at_most=limits.open_orders_max)
    admission.check_reduction(account, request, market_id=terms.id)
    admission.check_spot(account, request, terms)
    admission.check_post_only(request, quote)

    before = summarise(account, board)
    if leverage != account.leverage_on(terms.id):
        account.leverage[terms.id] = batch.leverage[terms.id] = leverage
    order = _new_order(batch, request, terms=terms, leverage=leverage, fingerprint=fingerprint)
    order.admitted_sequence = view.book.sequence
    _take(batch, order, terms=terms, view=view)
    _settle(batch, order)
    after = summarise(account, board)
    admission.check_margin(before, after)
    _announce(batch, order, board=board, summary=after)
    return order


def fill_resting(batch: Batch, order: OrderState, *, board: Board, book: BookSnapshot, traded_through: bool) -> bool:
    """Give a resting order what the market offers it now; False if that is nothing or it no longer rests.

    Nothing is given to a frozen user or account: what it left in the book waits to be cancelled. A reduce-only order is
    cut to the position it may reduce, and cancelled once there is none.
    """
    if not order.is_resting or order.price is None or not admission.may_trade(batch.account):
        return False
    account, terms = batch.account, board.markets[order.market_id]
    remaining = _reducible(account, order) if order.reduce_only else order.remaining
    if not remaining:
        cancel(batch, order, board=board, reason="nothing_to_reduce")
        return True
    position = account.positions.get(terms.id)
    execution = simulator.rest(
        terms,
        profile=Profile(account.simulator),
        side=order.side,
        price=order.price,
        remaining=remaining,
        book=book,
        traded_through=traded_through,
        taken=position.taken(order.side, sequence=book.sequence) if position else ZERO,
    )
    if execution is None:
        return False
    account.orders_on(terms.id).add(order, sign=-1)
    _execute(batch, order, execution, terms=terms, book_sequence=book.sequence, is_taker=False)
    batch.move(order, OrderStatus.PARTIALLY_FILLED if order.remaining else OrderStatus.FILLED)
    if order.is_resting:
        account.orders_on(terms.id).add(order)
    _announce(batch, order, board=board, summary=summarise(account, board))
    return True


def cancel(batch: Batch, order: OrderState, *, board: Board, reason: str) -> None:
    """End an open order; raises OrderNotOpen if it already ended."""
    if not order.is_live:
        raise errors.OrderNotOpen(details={"status": order.status})
    if order.is_resting:
        batch.account.orders_on(order.market_id).add(order, sign=-1)
    batch.move(order, OrderStatus.CANCELLED, reason=reason)
    _announce(batch, order, board=board, summary=summarise(batch.account, board))


def _new_order(batch: Batch, request: OrderRequest, *, terms: Terms, leverage: int, fingerprint: str) -> OrderState:
    account = batch.account
    account.order_count += 1
    order = OrderState(
        id=batch.next_id(),
        uuid=batch.new_uuid(),
        market_id=terms.id,
        rules_id=terms.rules_id,
        number=account.order_count,
        client_order_id=request.client_order_id,
        fingerprint=fingerprint,
        side=request.side,
        type=request.type,
        time_in_force=TimeInForce.IOC if request.type is OrderType.MARKET else request.time_in_force,
        quantity=request.quantity,
        price=request.price,
        post_only=request.post_only,
        reduce_only=request.reduce_only,
        leverage=leverage,
        tag=request.tag,
        source=request.source,
        status=OrderStatus.NEW,
        reason="",
        filled_quantity=ZERO,
        filled_notional=ZERO,
        fee=ZERO,
        fill_count=0,
        admitted_sequence=0,
        version=0,
        created_at=batch.now,
        updated_at=batch.now,
    )
    batch.touch(order)
    return order


def _take(batch: Batch, order: OrderState, *, terms: Terms, view: MarketView) -> None:
    account, book = batch.account, view.book
    position = account.positions.get(terms.id)
    low, high = admission.band_of(terms, view.quote)
    executions = simulator.take(
        terms,
        view,
        profile=Profile(account.simulator),
        side=order.side,
        quantity=order.quantity,
        limit=order.price,
        protection=high if order.side is Side.BUY else low,
        taken=position.taken(order.side, sequence=book.sequence) if position else ZERO,
        seed=simulator.seed_of(account.uuid, order.number, order.fill_count),
    )
    if order.time_in_force is TimeInForce.FOK and sum((e.quantity for e in executions), ZERO) < order.quantity:
        return
    for execution in executions:
        _execute(batch, order, execution, terms=terms, book_sequence=book.sequence, is_taker=True)


def _settle(batch: Batch, order: OrderState) -> None:
    if not order.remaining:
        batch.move(order, OrderStatus.FILLED)
    elif order.time_in_force in AT_ONCE:
        no_liquidity = "no_liquidity" if order.type is OrderType.MARKET else "not_fillable_at_once"
        batch.move(order, OrderStatus.CANCELLED, reason=no_liquidity)
    else:
        batch.move(order, OrderStatus.PARTIALLY_FILLED if order.filled_quantity else OrderStatus.OPEN)
        batch.account.orders_on(order.market_id).add(order)


def _execute(
    batch: Batch, order: OrderState, execution: Execution, *, terms: Terms, book_sequence: int, is_taker: bool
) -> None:
    """One execution: order sums, position, fill row, ledger entries, `trade_update`."""
    account, notional = batch.account, execution.price * execution.quantity
    seed = simulator.seed_of(account.uuid, order.number, order.fill_count)
    order.filled_quantity += execution.quantity
    order.filled_notional += notional
    order.fee += execution.fee
    order.fill_count += 1
    batch.touch(order)
    position = batch.position_on(terms.id)
    realized, closed = apply_fill(
        position,
        side=order.side,
        price=execution.price,
        quantity=execution.quantity,
        fee=execution.fee,
        at=batch.now,
        next_uuid=batch.new_uuid(),
    )
    _note_taken(batch, order.side, execution.quantity, market_id=terms.id, sequence=book_sequence)
    fill = _fill(batch, order, execution, realized=realized, is_taker=is_taker)
    if closed is not None:
        batch.close_position(closed, market_id=terms.id)
    batch.insert("fill", _fill_row(batch, fill, order=order, seed=seed, book_sequence=book_sequence))
    reference = f"fill:{fill.uuid}"
    batch.post(EntryKind.TRADE_PNL, amount=realized, against=LedgerAccount.TRADING, reference=reference)
    batch.post(EntryKind.COMMISSION, amount=-execution.fee, against=LedgerAccount.FEES, reference=reference)
    batch.emit("trade_update", bodies.fill_body(fill, order=order.uuid, symbol=terms.symbol))


@dataclass(slots=True, kw_only=True)
class _Fill:
    uuid: UUID
    number: int
    side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    is_taker: bool
    realized_pnl: Decimal
    at: datetime


def _fill(batch: Batch, order: OrderState, execution: Execution, *, realized: Decimal, is_taker: bool) -> _Fill:
    batch.account.fill_count += 1
    return _Fill(
        uuid=batch.new_uuid(),
        number=batch.account.fill_count,
        side=order.side,
        price=execution.price,
        quantity=execution.quantity,
        fee=execution.fee,
        fee_asset=batch.account.cash.asset,
        is_taker=is_taker,
        realized_pnl=realized,
        at=batch.now,
    )


def _fill_row(batch: Batch, fill: _Fill, *, order: OrderState, seed: int, book_sequence: int) -> dict[str, object]:
    return {name: getattr(fill, name) for name in _Fill.__slots__} | {
        "id": batch.next_id(),
        "account_id": batch.account.id,
        "order_id": order.id,
        "market_id": order.market_id,
        "venue_trade_id": f"{order.uuid}:{order.fill_count}",
        "seed": seed,
        "book_sequence": book_sequence,
    }


def _note_taken(batch: Batch, side: Side, quantity: Decimal, *, market_id: int, sequence: int) -> None:
    position = batch.position_on(market_id)
    if position.book_sequence != sequence:
        position.book_sequence, position.taken_bids, position.taken_asks = sequence, ZERO, ZERO
    if side is Side.BUY:
        position.taken_asks += quantity
    else:
        position.taken_bids += quantity


def _reducible(account: AccountState, order: OrderState) -> Decimal:
    position = account.positions.get(order.market_id)
    held = position.quantity if position else ZERO
    return min(order.remaining, abs(held)) if held * order.side.sign < 0 else ZERO


def _announce(batch: Batch, order: OrderState, *, board: Board, summary: MarginSummary) -> None:
    account, terms = batch.account, board.markets[order.market_id]
    body = bodies.order_body(order, account=account.uuid, venue=account.venue, symbol=terms.symbol)
    batch.emit("order_update", body)
    position = batch.positions.get(terms.id)
    if position is not None:
        leverage, version = account.leverage_on(terms.id), position.version
        for closed in batch.closed:
            data = bodies.closed_position_body(
                closed, symbol=terms.symbol, leverage=leverage, version=version, closed_at=batch.now
            )
            batch.emit("position_update", data)
        if position.quantity:
            mark = board.mark_of(position)
            data = bodies.position_body(position, market=terms, mark=mark, leverage=leverage, summary=summary)
            batch.emit("position_update", data)
    batch.emit("balance_update", bodies.balance_body(summary, asset=account.cash.asset))
