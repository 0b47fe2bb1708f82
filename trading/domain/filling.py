"""What an order trades, and what a fill writes (DESIGN §4.1). Pure: no database, no clock."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from astrade.core.attributes import attributes
from astrade.core.messages import BookSnapshot, MarketView
from astrade.core.money import ZERO
from trading.domain import admission, bodies, insurance, protection, simulator
from trading.domain.batch import Batch
from trading.domain.ending import prevent_self_trade
from trading.domain.fill_basis import Basis, basis_of_take
from trading.domain.lifecycle import EntryKind, LedgerAccount, Side, TimeInForce
from trading.domain.positions import apply_fill
from trading.domain.shapes import Terms
from trading.domain.simulator import Execution, Profile, Taking
from trading.domain.state import AccountState, OrderState


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
        taken=taken_of(account, order, sequence=view.book.sequence),
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
        execute(batch, order, execution, terms=terms, book_sequence=book.sequence, is_taker=True, basis=basis)
        note_taken(batch, order.side, execution.quantity, market_id=terms.id, sequence=book.sequence)
        basis = None  # with the first one's row: it is that of all of them
    _join_queue(account, order, book=book)


def worst_price(side: Side, executions: Iterable[Execution]) -> Decimal:
    """How far into the book a taker went."""
    prices = [execution.price for execution in executions]
    return max(prices) if side is Side.BUY else min(prices)


def execute(
    batch: Batch,
    order: OrderState,
    execution: Execution,
    *,
    terms: Terms,
    book_sequence: int,
    is_taker: bool,
    basis: Basis | None,
    trade_id: str | None = None,
    at: datetime | None = None,
) -> None:
    """Book one execution: order sums, position, fill row, ledger entries, `trade_update`. `trade_id` and `at` are a
    venue's; the simulator's executions are of now and numbered by order.
    """
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
    fill = _fill(batch, order, execution, realized=realized, is_taker=is_taker, at=at or batch.now)
    if closed is not None:
        batch.close_position(closed, market_id=terms.id)
    row = _fill_row(batch, fill, order=order, seed=seed, book_sequence=book_sequence)
    batch.insert("fill", row | {"basis": basis, "venue_trade_id": trade_id or f"{order.uuid}:{order.fill_count}"})
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


def _fill(
    batch: Batch, order: OrderState, execution: Execution, *, realized: Decimal, is_taker: bool, at: datetime
) -> _Fill:
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
        at=at,
    )


def _fill_row(batch: Batch, fill: _Fill, *, order: OrderState, seed: int, book_sequence: int) -> dict[str, object]:
    return attributes(fill, _Fill.__slots__) | {
        "id": batch.next_id(),
        "account_id": batch.account.id,
        "order_id": order.id,
        "market_id": order.market_id,
        "seed": seed,
        "book_sequence": book_sequence,
    }


def taken_of(account: AccountState, order: OrderState, *, sequence: int) -> Decimal:
    """What the account took from book state `sequence` already on the side that the order takes from."""
    position = account.positions.get(order.market_id)
    return position.taken(order.side, sequence=sequence) if position else ZERO


def note_taken(batch: Batch, side: Side, quantity: Decimal, *, market_id: int, sequence: int) -> None:
    """Note what the account took from book state `sequence`."""
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
