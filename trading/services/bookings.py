"""What every booking shares: lock and load, decide, write, announce. The only place that calls the writer."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

from astrade.core.errors import MarketDataStale
from marketdata import live
from marketdata.selectors import markets_by_id
from trading.announcing import announce_on_commit
from trading.domain import bodies
from trading.domain.batch import Batch
from trading.domain.margin import Board
from trading.domain.state import AccountState, OrderState
from trading.loading import AccountRef, OrderRef, OrdersRef, load_account
from trading.models.base import ROW_ID_BLOCK
from trading.pipeline import transaction
from trading.writer import statement_of

UUIDS_AT_ONCE = 8


def _uuids() -> Iterator[UUID]:
    """Random UUIDs, the system asked for several at a time: most bookings want six."""
    while True:
        block = os.urandom(16 * UUIDS_AT_ONCE)
        for start in range(0, len(block), 16):
            yield UUID(bytes=block[start : start + 16], version=4)


@contextmanager
def booking(
    account: AccountRef,
    *,
    market_id: int | None = None,
    order: OrderRef | None = None,
    orders: OrdersRef | None = None,
) -> Iterator[Batch]:
    """One transaction on one account: yields a batch under the account's lock, writes it at the end if it says
    anything.

    Whatever the block raises rolls everything back. Raises NotFound for an account that is not the caller's.
    """
    with transaction() as last:
        state, now = load_account(account, market_id=market_id, order=order, orders=orders)
        batch = Batch(state, now=now, new_uuid=partial(next, _uuids()), row_ids=ROW_ID_BLOCK)
        yield batch
        if batch.frames:
            last.append(statement_of(batch))
    announce_on_commit(state.id, batch.frames)  # now, or with the transaction that this one is a part of


def present_board() -> Board:
    """Every market's terms with the quotes that are to be had; none while Redis is down (call it outside a
    transaction).
    """
    try:
        quotes = live.quotes()
    except MarketDataStale:
        quotes = {}
    return Board(markets=markets_by_id(), quotes=quotes)


def order_body_of(account: AccountState, order: OrderState) -> dict[str, Any]:
    """The order as its owner is shown it."""
    symbol = markets_by_id()[order.market_id].symbol
    return bodies.order_body(order, account=account.uuid, venue=account.venue, symbol=symbol)
