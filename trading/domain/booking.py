"""Decide and collect: what placing, filling and cancelling an order writes (DESIGN §4.1). Pure: no database,
no clock.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from astrade.core import errors
from astrade.core.messages import BookSnapshot, MarketView
from astrade.core.money import ZERO
from trading.domain import admission, bodies, insurance, protection, risk, simulator
from trading.domain.admission import Limits
from trading.domain.batch import Batch
from trading.domain.ending import EXPIRED, announce, end_order, prevent_self_trade
from trading.domain.fill_basis import Basis, basis_of_rest, basis_of_take
from trading.domain.lifecycle import EntryKind, LedgerAccount, OrderStatus, OrderType, Side, TimeInForce, TriggerBy
from trading.domain.margin import Board, summarise
from trading.domain.positions import apply_fill
from trading.domain.queues import Traded
from trading.domain.shapes import Terms
from trading.domain.simulator import Execution, Profile, Taking, Waiting
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
    account = batch.account
    leverage = account.leverage_on(terms.id) if request.leverage is None else request.leverage
    check_request(
        batch, request, open_part=request, terms=terms, view=view, board=board, leverage=leverage, limits=limits
    )
    before = summarise(account, board)
    if leverage != account.leverage_on(terms.id):
        account.leverage[terms.id] = batch.leverage[terms.id] = leverage
    order = _new_order(batch, request, terms=terms, leverage=leverage, fingerprint=fingerprint)
    order.admitted_sequence = view.book.sequence
    if order.trigger_price is not None:
        batch.move(order, OrderStatus.UNTRIGGERED)
        account.orders_on(terms.id).add(order)
    else:
        take(batch, order, terms=terms, view=view)
        settle(batch, order)
    after = summarise(account, board)
    admission.check_margin(before, after)
    announce(batch, order, board=board, summary=after)
    return order


def take_for_platform(batch: Batch, request: OrderRequest, *, terms: Terms, view: MarketView) -> OrderState:
    """An order of the platform's own (a liquidation): it takes what the market offers, no check of a user's holds it.

    The caller announces it, or throws the batch away if nothing was filled.
    """
    leverage = batch.account.leverage_on(terms.id)
    order = _new_order(batch, request, terms=terms, leverage=leverage, fingerprint="")
    order.admitted_sequence = view.book.sequence
    take(batch, order, terms=terms, view=view)
    settle(batch, order)
    return order


def check_request(
    batch: Batch,
    request: OrderRequest,
    *,
    open_part: OrderRequest,
    terms: Terms,
    view: MarketView,
    board: Board,
    leverage: int,
    limits: Limits,
) -> None:
    """All that an order must pass but margin, in the order of DESIGN §4.4.

    `open_part` is the request less what is filled of it already: for a new order the request itself.
    """
    account, quote, now = batch.account, view.quote, batch.now
    adds = risk.adds_risk(
        account, market_id=terms.id, side=request.side, quantity=open_part.quantity, reduce_only=request.reduce_only
    )
    admission.check_account(account)
    if adds:
        risk.check_cool_off(account, now=now)
        risk.check_halts(account, terms, now=now)
    admission.check_rules(request, terms)
    admission.check_expiry(request, now=batch.now)
    admission.check_band(request, terms, quote)
    admission.check_trigger(request, terms, quote)
    admission.check_protection(request, terms, quote)
    admission.check_fresh(view, now=batch.now, stale_after_s=limits.stale_after_s)
    admission.check_leverage(account, terms, leverage=leverage)
    admission.check_open_orders(account, at_most=limits.open_orders_max)
    if adds:
        risk.check_position(account, open_part, terms, mark=quote.mark)
        risk.check_trading_cap(account, open_part, mark=quote.mark, now=now)
        risk.check_daily_loss(account, board, now=now)
    admission.check_reduction(account, open_part, market_id=terms.id)
    admission.check_spot(account, open_part, terms)
    admission.check_post_only(request, quote, facing=account.orders)


def fill_resting(
    batch: Batch,
    order: OrderState,
    *,
    board: Board,
    book: BookSnapshot,
    traded_through: bool,
    traded: Traded | None = None,
) -> bool:
    """Give a resting order what the market offers it now; False if that is nothing or it no longer rests.

    `traded` at its price counts once: not if it begins before what was counted for the order already.

    Nothing is given to a frozen user or account: what it left in the book waits to be cancelled. A reduce-only order is
    cut to the position it may reduce, and cancelled once there is none. An order that would add risk waits while
    trading is halted, and is cancelled where a cool-off or the daily loss limit stands in its way.
    """
    if not order.is_resting or order.price is None or not admission.may_trade(batch.account):
        return False
    if order.is_expired(batch.now):
        end_order(batch, order, to=OrderStatus.EXPIRED, board=board, reason=EXPIRED)
        return True
    account, terms = batch.account, board.markets[order.market_id]
    remaining = reducible(account, order) if order.reduce_only else order.remaining
    if not remaining:
        cancel(batch, order, board=board, reason="nothing_to_reduce")
        return True
    obstacle = risk.obstacle(account, order, terms, board=board, now=batch.now)
    if obstacle is not None:
        if obstacle != risk.HALTED:
            cancel(batch, order, board=board, reason=obstacle)
        return obstacle != risk.HALTED
    counts = traded is not None and traded.since >= order.queue_sequence
    waiting = Waiting(
        profile=Profile(account.simulator),
        side=order.side,
        quantity=remaining,
        price=order.price,
        traded_through=traded_through,
        taken=_taken(account, order, sequence=book.sequence),
        traded=traded.quantity if traded is not None and counts else ZERO,
        ahead=order.queue_ahead,
    )
    rested = simulator.rest(terms, book, waiting)
    if rested is None:
        return False
    account.orders_on(terms.id).add(order, sign=-1)
    if traded is not None and counts and order.queue_ahead is not None:
        order.queue_ahead = max(ZERO, order.queue_ahead - traded.quantity)
        order.queue_sequence = traded.until
    basis = basis_of_rest(book, waiting, rules_id=terms.rules_id, step=terms.step_size)
    _execute(batch, order, rested.execution, terms=terms, book_sequence=book.sequence, is_taker=False, basis=basis)
    _note_taken(batch, order.side, rested.from_book, market_id=terms.id, sequence=book.sequence)
    batch.move(order, OrderStatus.PARTIALLY_FILLED if order.remaining else OrderStatus.FILLED)
    if order.is_resting:
        account.orders_on(terms.id).add(order)
    announce(batch, order, board=board, summary=summarise(account, board))
    return True


def cancel(batch: Batch, order: OrderState, *, board: Board, reason: str) -> None:
    """End an open order; raises OrderNotOpen if it already ended."""
    if not order.is_live:
        raise errors.OrderNotOpen(details={"status": order.status})
    end_order(batch, order, to=OrderStatus.CANCELLED, board=board, reason=reason)


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
        admitted_at=batch.now,
        expires_at=request.expires_at,
        version=0,
        created_at=batch.now,
        updated_at=batch.now,
        trigger_price=request.trigger_price,
        trigger_by=_trigger_by(request),
        take_profit=request.take_profit,
        stop_loss=request.stop_loss,
    )
    batch.touch(order)
    return order


def _trigger_by(request: OrderRequest) -> TriggerBy | None:
    """The mark unless said: one trade at a strange price stops nobody out."""
    prices = (request.trigger_price, request.take_profit, request.stop_loss)
    return None if all(price is None for price in prices) else request.trigger_by or TriggerBy.MARK


def offered(batch: Batch, order: OrderState, *, terms: Terms, view: MarketView) -> list[Execution]:
    """What the market has for an arriving order now; changes nothing."""
    return simulator.take(terms, view, _wanted(batch.account, order, terms=terms, view=view))


def _wanted(account: AccountState, order: OrderState, *, terms: Terms, view: MarketView) -> Taking:
    low, high = admission.band_of(terms, view.quote)
    return Taking(
        profile=Profile(account.simulator),
        side=order.side,
        quantity=order.remaining,
        limit=order.price,
        protection=high if order.side is Side.BUY else low,
        taken=_taken(account, order, sequence=view.book.sequence),
        seed=simulator.seed_of(account.uuid, order.number, order.fill_count),
        stop=order.trigger_price,
    )


def take(batch: Batch, order: OrderState, *, terms: Terms, view: MarketView) -> None:
    """Give an arriving order what the market offers at once; first ends own orders it would have met."""
    account, book = batch.account, view.book
    wanted = _wanted(account, order, terms=terms, view=view)
    executions = simulator.take(terms, view, wanted)
    got = sum((execution.quantity for execution in executions), ZERO)
    if order.time_in_force is TimeInForce.FOK and got < order.remaining:
        return
    reach = order.price
    if got == order.remaining:
        reach = worst_price(order.side, executions)
    elif reach is None:
        low, high = admission.band_of(terms, view.quote)
        reach = high if order.side is Side.BUY else low
    prevent_self_trade(batch, order, reach=reach, symbol=terms.symbol)
    basis = basis_of_take(view, wanted, rules_id=terms.rules_id, executions=executions) if executions else None
    for execution in executions:
        _execute(batch, order, execution, terms=terms, book_sequence=book.sequence, is_taker=True, basis=basis)
        _note_taken(batch, order.side, execution.quantity, market_id=terms.id, sequence=book.sequence)
        basis = None  # with the first one's row: it is that of all of them
    _join_queue(account, order, book=book)


def _join_queue(account: AccountState, order: OrderState, *, book: BookSnapshot) -> None:
    """Note what stands before an order at its price, own orders there included: splitting one gains no place."""
    order.queue_sequence, order.queue_ahead = book.sequence, None
    if order.price is None:
        return
    shown = simulator.queue_ahead(book, order.side, price=order.price)
    if shown is not None:
        order.queue_ahead = shown + sum((own.remaining for own in _beside(account, order)), ZERO)


def _beside(account: AccountState, order: OrderState) -> Iterator[OrderState]:
    """The account's other orders that rest at the same price, of those that were loaded."""
    place = (order.market_id, order.side, order.price)
    for own in account.orders:
        if own.is_resting and own.id != order.id and (own.market_id, own.side, own.price) == place:
            yield own


def worst_price(side: Side, executions: Iterable[Execution]) -> Decimal:
    """How far into the book a taker went."""
    prices = [execution.price for execution in executions]
    return max(prices) if side is Side.BUY else min(prices)


def settle(batch: Batch, order: OrderState) -> None:
    """Move an order that took what it could to what it is now; what remains of it rests or ends."""
    if not order.remaining:
        batch.move(order, OrderStatus.FILLED)
    elif order.time_in_force in AT_ONCE or order.price is None:
        no_liquidity = "no_liquidity" if order.price is None else "not_fillable_at_once"
        batch.move(order, OrderStatus.CANCELLED, reason=no_liquidity)
    else:
        batch.move(order, OrderStatus.PARTIALLY_FILLED if order.filled_quantity else OrderStatus.OPEN)
        batch.account.orders_on(order.market_id).add(order)


def _execute(
    batch: Batch,
    order: OrderState,
    execution: Execution,
    *,
    terms: Terms,
    book_sequence: int,
    is_taker: bool,
    basis: Basis | None,
) -> None:
    """One execution: order sums, position, fill row, ledger entries, `trade_update`."""
    account, notional = batch.account, execution.price * execution.quantity
    seed = simulator.seed_of(account.uuid, order.number, order.fill_count)
    order.filled_quantity += execution.quantity
    order.filled_notional += notional
    account.traded_notional += notional
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
    fill = _fill(batch, order, execution, realized=realized, is_taker=is_taker)
    if closed is not None:
        batch.close_position(closed, market_id=terms.id)
    row = _fill_row(batch, fill, order=order, seed=seed, book_sequence=book_sequence)
    batch.insert("fill", row | {"basis": basis})
    reference = f"fill:{fill.uuid}"
    batch.post(EntryKind.TRADE_PNL, amount=realized, against=LedgerAccount.TRADING, reference=reference)
    batch.post(EntryKind.COMMISSION, amount=-execution.fee, against=LedgerAccount.FEES, reference=reference)
    insurance.cover(batch, reference=reference)
    batch.emit("trade_update", bodies.fill_body(fill, order=order.uuid, symbol=terms.symbol))
    protection.attach(batch, order, quantity=execution.quantity, terms=terms, sequence=book_sequence)


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


def _taken(account: AccountState, order: OrderState, *, sequence: int) -> Decimal:
    """What the account took from book state `sequence` already on the side that the order takes from."""
    position = account.positions.get(order.market_id)
    return position.taken(order.side, sequence=sequence) if position else ZERO


def _note_taken(batch: Batch, side: Side, quantity: Decimal, *, market_id: int, sequence: int) -> None:
    position = batch.position_on(market_id)
    if position.book_sequence != sequence:
        position.book_sequence, position.taken_bids, position.taken_asks = sequence, ZERO, ZERO
    if side is Side.BUY:
        position.taken_asks += quantity
    else:
        position.taken_bids += quantity


def reducible(account: AccountState, order: OrderState) -> Decimal:
    """How much of a reduce-only order stands against the position now, base units; 0 where there is none to reduce."""
    position = account.positions.get(order.market_id)
    held = position.quantity if position else ZERO
    return min(order.remaining, abs(held)) if held * order.side.sign < 0 else ZERO
