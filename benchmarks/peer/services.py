"""One practice market order, the way such services are usually written: an ORM session and one transaction."""

import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from fastapi import HTTPException
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.peer import booking, config
from benchmarks.peer.database import redis
from benchmarks.peer.models import Account, AccountEvent, Fill, Instrument, LedgerEntry, Order, Position, Posting, User
from benchmarks.peer.schemas import OrderIn


async def read_book(symbol: str) -> dict[str, Any]:
    """The live book; 503 when it is missing or stale."""
    raw = await redis.get(config.BOOK_KEY.format(symbol=symbol))
    if raw is None:
        raise HTTPException(503, "No market data")
    book: dict[str, Any] = json.loads(raw)
    if time.time() - book["at_ms"] / 1000 > config.BOOK_STALE_AFTER_S:
        raise HTTPException(503, "Stale market data")
    return book


async def get_instrument(session: AsyncSession, form: OrderIn) -> Instrument:
    """The instrument, if the order fits its rules."""
    instrument = await session.scalar(select(Instrument).where(Instrument.symbol == form.symbol))
    if instrument is None or not instrument.is_trading:
        raise HTTPException(400, "Unknown or halted instrument")
    if form.quantity < instrument.min_quantity or form.quantity % instrument.step_size:
        raise HTTPException(400, "Quantity below minimum or off step")
    return instrument


async def get_position(session: AsyncSession, account: Account, instrument: Instrument) -> Position:
    """The account's position in the instrument, a new one if there is none."""
    query = select(Position).where(Position.account_id == account.id, Position.instrument_id == instrument.id)
    position = await session.scalar(query)
    if position is None:
        position = Position(
            account_id=account.id,
            instrument_id=instrument.id,
            quantity=Decimal(0),
            entry_notional=Decimal(0),
            realized_pnl=Decimal(0),
        )
        session.add(position)
    return position


def post_ledger(session: AsyncSession, account: Account, *, fee: Decimal, pnl: Decimal, reference: str) -> None:
    """One balanced entry for fee and PnL; moves the cached balance."""
    account.balance -= fee
    postings = [
        Posting(pot="cash", asset=account.currency, amount=-fee, running_balance=account.balance),
        Posting(pot="fees", asset=account.currency, amount=fee),
    ]
    if pnl:
        account.balance += pnl
        postings += [
            Posting(pot="cash", asset=account.currency, amount=pnl, running_balance=account.balance),
            Posting(pot="trading", asset=account.currency, amount=-pnl),
        ]
    session.add(LedgerEntry(account_id=account.id, kind="trade", reference=reference, postings=postings))


def add_events(session: AsyncSession, account: Account, order: Order, fill: Fill, position: Position) -> None:
    """What subscribers of the account will be told, in order."""
    details: list[tuple[str, dict[str, Any]]] = [
        ("order_update", {"id": str(order.uuid), "status": order.status, "filled": str(order.filled_quantity)}),
        ("trade_update", {"order": str(order.uuid), "price": str(fill.price), "quantity": str(fill.quantity)}),
        ("position_update", {"quantity": str(position.quantity), "realized_pnl": str(position.realized_pnl)}),
        ("balance_update", {"balance": str(account.balance)}),
    ]
    for kind, data in details:
        account.last_sequence += 1
        session.add(AccountEvent(account_id=account.id, sequence=account.last_sequence, kind=kind, data=data))


async def place_market_order(session: AsyncSession, *, user: User, form: OrderIn) -> Order:
    """Fill a market order against the live book and book it; the same client_order_id returns the first order."""
    book = await read_book(form.symbol)
    account = await session.scalar(select(Account).where(Account.user_id == user.id).with_for_update())
    if account is None or account.is_frozen:
        raise HTTPException(403, "No account to trade on")
    known = select(Order).where(Order.account_id == account.id, Order.client_order_id == form.client_order_id)
    if (existing := await session.scalar(known)) is not None:
        return existing
    instrument = await get_instrument(session, form)
    position = await get_position(session, account, instrument)
    try:
        fee_rate = instrument.taker_fee_rate
        execution = booking.execute(book, side=form.side, quantity=form.quantity, fee_rate=fee_rate)
    except booking.BookTooThin as exc:
        raise HTTPException(400, "Not enough liquidity") from exc
    if not booking.has_margin(
        position, execution, side=form.side, balance=account.balance, leverage=account.max_leverage
    ):
        raise HTTPException(400, "Not enough margin")
    order, fill = make_order(session, account, instrument, form=form, execution=execution)
    fill.realized_pnl = booking.apply_to_position(position, execution, side=form.side)
    post_ledger(session, account, fee=execution.fee, pnl=fill.realized_pnl, reference=str(order.uuid))
    add_events(session, account, order, fill, position)
    await session.commit()
    return order


def make_order(
    session: AsyncSession, account: Account, instrument: Instrument, *, form: OrderIn, execution: booking.Execution
) -> tuple[Order, Fill]:
    """The filled order and its fill, added to the session."""
    account.last_order_number += 1
    now = datetime.now(UTC)
    order = Order(
        uuid=uuid4(),
        number=account.last_order_number,
        account_id=account.id,
        instrument_id=instrument.id,
        client_order_id=form.client_order_id,
        side=form.side,
        type=form.type,
        quantity=form.quantity,
        filled_quantity=execution.quantity,
        average_price=execution.price,
        fee=execution.fee,
        status="filled",
        created_at=now,
        updated_at=now,
    )
    fill = Fill(
        order=order, account_id=account.id, price=execution.price, quantity=execution.quantity, fee=execution.fee
    )
    session.add_all([order, fill])
    return order, fill
