"""What a venue says, booked: answers, orders it shows, trades it made (`trading.domain.live`).

Each report is one booking under the account's lock, in which what it is held against is read again: reports may come
twice, late, in any order and by several processes. A difference that nobody can explain opens a `Case`.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import F

from astrade.core.errors import NotFound
from astrade.core.money import plain
from marketdata.selectors import market_by_symbol
from trading.domain import live
from trading.domain.batch import Batch
from trading.domain.lifecycle import LIVE, OrderRole, OrderSource, OrderStatus
from trading.domain.live import NOT_FOUND, Told
from trading.domain.margin import Board
from trading.domain.reports import ShownOrder, VenueTrade
from trading.domain.state import OrderState
from trading.loading import AccountRef, OrderRef
from trading.models import Case, Order, VenueOrder
from trading.pipeline import run_together
from trading.services.bookings import booking, order_body_of, present_board
from trading.services.cases import open_case

logger = logging.getLogger(__name__)
LOOKUPS_MIN, LOOKUPS_OVER, LOOKED_UP_AFTER = 5, timedelta(seconds=60), timedelta(seconds=30)  # DESIGN §4.2
Body = Mapping[str, Any]
_KNOWN = """
SELECT json_build_object('order_id', v.order_id, 'lookups', v.lookups, 'status', o.status,
  'venue_order_id', o.venue_order_id)::text
FROM trading_venueorder v JOIN trading_order o ON o.id = v.order_id WHERE v.account_id = $1 AND v.external_id = $2
"""
_TAKE_SHOWN = """
UPDATE trading_venueorder SET shown_at = $2, lookups = 0, first_lookup_at = NULL, last_lookup_at = NULL
WHERE order_id = $1 AND (shown_at IS NULL OR shown_at < $2 OR (shown_at = $2 AND $3)) RETURNING 'taken'
"""
_BOOKED = "SELECT 'booked' FROM trading_fill WHERE account_id = $1 AND order_id = $2 AND venue_trade_id = $3"
_OVER = frozenset({OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.EXPIRED})
_SAYS_NOTHING_TO = {False: _OVER, True: _OVER | {OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED}}  # by whether it lives


class _AsKnown(msgspec.Struct):
    order_id: int
    lookups: int
    status: OrderStatus
    venue_order_id: int | None


_known_decoder = msgspec.json.Decoder(_AsKnown)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A trade of a known order: whether it was booked just now, and the TWAP order that its order is a slice of."""

    is_new: bool
    slice_of: int | None


@contextmanager
def _on_order(
    account_id: int, named: OrderRef, *, board: Board | None = None
) -> Iterator[tuple[Batch, OrderState, Board]]:
    board = board or present_board()
    with booking(AccountRef(account_id=account_id), order=named) as batch:
        order = batch.account.order
        if order is None:
            raise NotFound
        yield batch, order, board


def note_answer(account_id: int, order_id: int, *, venue_order_id: int, board: Board) -> Body:
    """The venue took the order under this id. Returns it as it is now; the money it binds is shown by `board`."""
    with _on_order(account_id, OrderRef(order_id=order_id), board=board) as (batch, order, _):
        order.venue_order_id = venue_order_id
        batch.touch(order)
        _note_anomaly(batch, order, live.take_answer(batch, order, board=board))
        return order_body_of(batch.account, order)


def lose_order(account_id: int, order_id: int, *, reason: str) -> Body:
    """Nobody knows whether the venue has the order; it is looked for from now on. Returns it as it is now."""
    with _on_order(account_id, OrderRef(order_id=order_id)) as (batch, order, board):
        live.lose(batch, order, board=board, reason=reason)
        return order_body_of(batch.account, order)


def refuse_order(account_id: int, order_id: int, *, reason: str) -> Body:
    """The venue refused the order, or it certainly never left. Returns it as it is now."""
    with _on_order(account_id, OrderRef(order_id=order_id)) as (batch, order, board):
        live.refuse(batch, order, board=board, reason=reason)
        return order_body_of(batch.account, order)


def apply_shown(account_id: int, shown: ShownOrder) -> bool:
    """Follow an order as the venue shows it, or adopt one that nobody here made; whether that said anything new.

    What is older than what was shown before is passed over, and so is, without the account's lock, what changes nothing
    whatever comes between. Raises UnknownMarket for an order of a market that isn't listed here.
    """
    (known,) = run_together((_KNOWN, [account_id, shown.external_id]))
    if known is None:
        return _adopt(account_id, shown)
    as_known = _known_decoder.decode(known)
    if _is_known(shown, as_known):
        return False
    with _on_order(account_id, OrderRef(order_id=as_known.order_id)) as (batch, order, board):
        (taken,) = run_together((_TAKE_SHOWN, [as_known.order_id, shown.at.isoformat(), order.is_live]))
        if taken is None:
            return False
        if order.venue_order_id is None:
            order.venue_order_id = shown.venue_order_id
            batch.touch(order)
        told = live.apply_order(batch, order, shown, board=board)
        if not told.changed and order.id in batch.orders:
            live.show(batch, order, board=board)
        _note_anomaly(batch, order, told)
        return told.changed


def _is_known(shown: ShownOrder, known: _AsKnown) -> bool:
    """Whether the venue shows what is booked already. No way leads back from these statuses but from `rejected`; what
    closes a position may still be shown with another size.
    """
    if shown.role is not None or known.lookups or known.venue_order_id is None:
        return False
    return known.status in _SAYS_NOTHING_TO[shown.status in LIVE or shown.status is OrderStatus.FILLED]


def _adopt(account_id: int, shown: ShownOrder) -> bool:
    market, board = market_by_symbol(shown.symbol), present_board()
    named = OrderRef(venue_order_id=shown.venue_order_id)
    with booking(AccountRef(account_id=account_id), market_id=market.id, order=named) as batch:
        if batch.account.order is not None or _is_linked(account_id, shown.external_id):
            return False  # meanwhile
        parent = None if shown.role is None else _parent_of(account_id, shown, market_id=market.id)
        order = live.adopt(batch, shown, board=board, market_id=market.id, rules_id=market.rules_id, parent=parent)
        VenueOrder.objects.create(
            order_id=order.id, account_id=account_id, external_id=shown.external_id, shown_at=shown.at
        )
    logger.info("venue_order_adopted", extra={"account": account_id, "venue_order": shown.venue_order_id})
    return True


def _parent_of(account_id: int, shown: ShownOrder, *, market_id: int) -> tuple[int, UUID] | None:
    """The newest order of ours that brought along just this take profit and stop loss, and has none yet."""
    stops = shown.role is OrderRole.STOP_LOSS
    levels = {
        "stop_loss": shown.trigger_price if stops else None,
        "take_profit": shown.take_profit if stops else shown.trigger_price,
    }
    entries = Order.objects.filter(account_id=account_id, market_id=market_id, side=shown.side.opposite, children=None)
    return entries.filter(filled_quantity__gt=0, **levels).order_by("-pk").values_list("pk", "uuid").first()


def _is_linked(account_id: int, external_id: str) -> bool:
    return VenueOrder.objects.filter(account_id=account_id, external_id=external_id).exists()


def record_fill(account_id: int, trade: VenueTrade) -> Recorded | None:
    """Book a trade of the venue's, once; None if its order isn't known here yet.

    A venue's trade is never refused: one that should not be is booked all the same, and opens a case.
    """
    market, board = market_by_symbol(trade.symbol), present_board()
    named = OrderRef(venue_order_id=trade.venue_order_id)
    with booking(AccountRef(account_id=account_id), market_id=market.id, order=named) as batch:
        order = batch.account.order
        if order is None:
            return None
        slice_of = order.parent_id if order.source is OrderSource.TWAP else None
        (booked,) = run_together((_BOOKED, [account_id, order.id, trade.trade_id]))
        if booked is not None:
            return Recorded(is_new=False, slice_of=slice_of)
        told = live.book_trade(batch, order, trade, board=board)
        _note_anomaly(batch, order, told, trade=trade)
    return Recorded(is_new=True, slice_of=slice_of)


def note_lookup(account_id: int, order_id: int) -> None:
    """The venue was asked for the order and knows none. After enough of such answers (DESIGN §4.2) it is rejected as
    not found, which the venue's evidence can still undo.
    """
    with _on_order(account_id, OrderRef(order_id=order_id)) as (batch, order, board):
        link = VenueOrder.objects.get(order_id=order_id)
        counts = link.deadline_at is not None and batch.now >= link.deadline_at + LOOKED_UP_AFTER
        if order.status not in live.UNANSWERED or not counts:
            return
        first = link.first_lookup_at or batch.now
        VenueOrder.objects.filter(order_id=order_id).update(
            lookups=F("lookups") + 1, first_lookup_at=first, last_lookup_at=batch.now
        )
        if link.lookups + 1 >= LOOKUPS_MIN and batch.now - first >= LOOKUPS_OVER:
            live.refuse(batch, order, board=board, reason=NOT_FOUND)


def _note_anomaly(batch: Batch, order: OrderState, told: Told, *, trade: VenueTrade | None = None) -> None:
    if told.anomaly is None:
        return
    figures = {"number": order.number, "status": order.status, "quantity": plain(order.quantity)}
    if trade is not None:
        figures |= {"trade": trade.trade_id, "traded": plain(trade.quantity), "price": plain(trade.price)}
    open_case(batch.account.id, Case.Kind(told.anomaly), subject=str(order.uuid), figures=figures)
