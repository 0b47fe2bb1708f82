"""Decide and collect: what placing, filling and cancelling an order writes (DESIGN §4.1). Pure: no database,
no clock.
"""

from datetime import timedelta
from decimal import Decimal

from astrade.core import errors
from astrade.core.messages import BookSnapshot, MarketView
from astrade.core.money import ZERO
from trading.domain import admission, filling, risk, simulator
from trading.domain.admission import Limits
from trading.domain.batch import Batch
from trading.domain.ending import EXPIRED, announce, end_order
from trading.domain.fill_basis import basis_of_rest
from trading.domain.lifecycle import OrderStatus, OrderType, TimeInForce, TriggerBy
from trading.domain.margin import Board, summarise
from trading.domain.queues import Traded
from trading.domain.shapes import Terms
from trading.domain.simulator import Profile, Waiting
from trading.domain.slicing import TwapState, TwapTerms
from trading.domain.state import OrderRequest, OrderState

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
    travels: bool = False,
    parent: OrderState | None = None,
) -> OrderState:
    """Check an order, fill what it gets at once, let the rest wait or end it; raises the refusal's error.

    One that `travels` takes the account's simulated latency first (`trading.domain.arriving`). On an account at a venue
    it is `submitted`, to be sent once the batch is committed (`trading.domain.live`); but a TWAP order stays here, and
    is the `parent` of the slices that are sent.
    After a refusal `batch` and its account state are spoilt: throw both away.
    """
    account = batch.account
    if account.is_live:
        admission.check_offered_live(request, terms, venue=account.venue)
    leverage = account.leverage_on(terms.id) if request.leverage is None else request.leverage
    check_request(
        batch, request, open_part=request, terms=terms, view=view, board=board, leverage=leverage, limits=limits
    )
    before = summarise(account, board)
    if leverage != account.leverage_on(terms.id):
        account.leverage[terms.id] = batch.leverage[terms.id] = leverage
    order = _new_order(batch, request, terms=terms, leverage=leverage, fingerprint=fingerprint)
    order.admitted_sequence = view.book.sequence
    if parent is not None:
        order.parent_id, order.parent_uuid = parent.id, parent.uuid
    if request.twap is not None:
        order.twap = _plan(batch, order, request.twap, mark=view.quote.mark)
        batch.move(order, OrderStatus.OPEN)
        account.orders_on(terms.id).add(order)
    elif account.is_live or (travels and account.simulated_latency_ms):
        _send(batch, order, mark=view.quote.mark)
    else:
        enter(batch, order, terms=terms, view=view)
    after = summarise(account, board)
    admission.check_margin(before, after)
    announce(batch, order, board=board, summary=after)
    return order


def take_for_platform(batch: Batch, request: OrderRequest, *, terms: Terms, view: MarketView) -> OrderState:
    """An order of the platform's own (a liquidation, a slice): it takes what the market offers, no check holds it.

    The caller announces it, or throws the batch away if nothing was filled.
    """
    leverage = batch.account.leverage_on(terms.id)
    order = _new_order(batch, request, terms=terms, leverage=leverage, fingerprint="")
    order.admitted_sequence = view.book.sequence
    filling.take(batch, order, terms=terms, view=view)
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
    if not account.is_live:  # what the venue's book holds is for the venue to say
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
    if batch.account.is_live or not order.is_resting or order.price is None or not admission.may_trade(batch.account):
        return False
    if order.is_expired(batch.now):
        end_order(batch, order, to=OrderStatus.EXPIRED, board=board, reason=EXPIRED)
        return True
    account, terms = batch.account, board.markets[order.market_id]
    remaining = filling.reducible(account, order) if order.reduce_only else order.remaining
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
        taken=filling.taken_of(account, order, sequence=book.sequence),
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
    filling.execute(
        batch, order, rested.execution, terms=terms, book_sequence=book.sequence, is_taker=False, basis=basis
    )
    filling.note_taken(batch, order.side, rested.from_book, market_id=terms.id, sequence=book.sequence)
    batch.move(order, OrderStatus.PARTIALLY_FILLED if order.remaining else OrderStatus.FILLED)
    if order.is_resting:
        account.orders_on(terms.id).add(order)
    announce(batch, order, board=board, summary=summarise(account, board))
    return True


def cancel(batch: Batch, order: OrderState, *, board: Board, reason: str) -> None:
    """End an open order; raises OrderNotOpen if it already ended."""
    check_open(order)
    end_order(batch, order, to=OrderStatus.CANCELLED, board=board, reason=reason)


def check_open(order: OrderState) -> None:
    """Raise OrderNotOpen for an order that has ended."""
    if not order.is_live:
        raise errors.OrderNotOpen(details={"status": order.status})


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
        role=request.role,
    )
    batch.touch(order)
    return order


def enter(batch: Batch, order: OrderState, *, terms: Terms, view: MarketView) -> None:
    """Let an order that was admitted wait for its trigger, or take what it gets and let the rest wait or end."""
    if order.trigger_price is not None:
        batch.move(order, OrderStatus.UNTRIGGERED)
        batch.account.orders_on(terms.id).add(order)
    else:
        filling.take(batch, order, terms=terms, view=view)
        settle(batch, order)


def _send(batch: Batch, order: OrderState, *, mark: Decimal) -> None:
    if not batch.account.is_live:
        order.arrives_at = batch.now + timedelta(milliseconds=batch.account.simulated_latency_ms)
    order.reserve_price = mark if order.price is None else None
    batch.move(order, OrderStatus.SUBMITTED)
    batch.account.orders_on(order.market_id).add(order)


def _plan(batch: Batch, order: OrderState, asked: TwapTerms, *, mark: Decimal) -> TwapState:
    """A TWAP order's plan, from now on."""
    return TwapState(
        duration_s=asked.duration_s,
        slices=asked.slices,
        jitter=asked.jitter,
        seed=simulator.seed_of(batch.account.uuid, order.number, OrderType.TWAP),
        starts_at=batch.now,
        reserve_price=mark if order.price is None else order.price,
    )


def _trigger_by(request: OrderRequest) -> TriggerBy | None:
    """The mark unless said: one trade at a strange price stops nobody out."""
    prices = (request.trigger_price, request.take_profit, request.stop_loss)
    return None if all(price is None for price in prices) else request.trigger_by or TriggerBy.MARK


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
