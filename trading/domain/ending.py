"""End orders without a fill, and tell of what became of them. Pure, like `booking`, which builds on it."""

from collections.abc import Iterable
from decimal import Decimal

from trading.domain import bodies, protection
from trading.domain.batch import Batch
from trading.domain.lifecycle import OrderStatus
from trading.domain.margin import Board, MarginSummary, summarise
from trading.domain.shapes import Terms
from trading.domain.simulator import crosses
from trading.domain.state import OrderState, PositionState

EXPIRED = "expired"
SELF_TRADE = "self_trade_prevention"


def end_order(batch: Batch, order: OrderState, *, to: OrderStatus, board: Board, reason: str) -> None:
    """End a live order without a fill, and tell of it and of the margin it set free."""
    _end(batch, order, to=to, reason=reason)
    announce(batch, order, board=board, summary=summarise(batch.account, board))


def end_orders(
    batch: Batch, orders: Iterable[OrderState], *, to: OrderStatus, board: Board, reason: str
) -> list[OrderState]:
    """End those of the orders that still live; one `balance_update` for all of them, and one `position_update` for each
    position that loses its own take profit or stop loss. Returns them.
    """
    ended = []
    for order in orders:
        if order.is_live:
            _end(batch, order, to=to, reason=reason)
            tell(batch, order, symbol=board.markets[order.market_id].symbol)
            ended.append(order)
    if ended:
        summary = summarise(batch.account, board)
        for position in batch.moved.values():
            tell_position(batch, position, board=board, summary=summary)
        batch.emit("balance_update", bodies.balance_body(summary, asset=batch.account.cash.asset))
    return ended


def _end(batch: Batch, order: OrderState, *, to: OrderStatus, reason: str) -> None:
    batch.account.orders_on(order.market_id).add(order, sign=-1)
    batch.move(order, to, reason=reason)
    protection.forget(batch, order)


def prevent_self_trade(batch: Batch, order: OrderState, *, reach: Decimal, symbol: str) -> None:
    """End this account's resting orders that an arriving one would trade with on its way to `reach`.

    The newer order goes on, the older one goes: Extended's level ACCOUNT, the default (reference/extended-api.md §7.1).
    """
    for own in batch.account.orders:
        faces = own.is_resting and own.side is order.side.opposite and own.market_id == order.market_id
        if faces and own.price is not None and crosses(order.side, price=own.price, limit=reach):
            _end(batch, own, to=OrderStatus.CANCELLED, reason=SELF_TRADE)
            tell(batch, own, symbol=symbol)


def tell(batch: Batch, order: OrderState, *, symbol: str) -> None:
    """`order_update`: the order as it is now."""
    account = batch.account
    body = batch.told[order.id] = bodies.order_body(order, account=account.uuid, venue=account.venue, symbol=symbol)
    batch.emit("order_update", body)


def tell_protective(batch: Batch, terms: Terms) -> None:
    """Let a market's protective orders follow its position, and tell of those that changed."""
    protection.follow(batch, terms)
    for leg in batch.untold.values():
        tell(batch, leg, symbol=terms.symbol)
    batch.untold.clear()


def announce(batch: Batch, order: OrderState, *, board: Board, summary: MarginSummary) -> None:
    """Tell of an order that traded or changed: itself, the position it moved, the account's money."""
    account, terms = batch.account, board.markets[order.market_id]
    tell(batch, order, symbol=terms.symbol)
    tell_protective(batch, terms)
    position = batch.moved.get(terms.id)
    if position is not None:
        leverage, version = account.leverage_on(terms.id), position.version
        for closed in batch.closed:
            data = bodies.closed_position_body(
                closed, symbol=terms.symbol, leverage=leverage, version=version, closed_at=batch.now
            )
            batch.emit("position_update", data)
        tell_position(batch, position, board=board, summary=summary)
    batch.emit("balance_update", bodies.balance_body(summary, asset=account.cash.asset))


def tell_position(batch: Batch, position: PositionState, *, board: Board, summary: MarginSummary) -> None:
    """`position_update` of a position that is open."""
    if position.quantity:
        data = bodies.position_body(
            position,
            market=board.markets[position.market_id],
            mark=board.mark_of(position),
            leverage=batch.account.leverage_on(position.market_id),
            summary=summary,
            protection=protection.levels(position, batch.account.protective),
        )
        batch.emit("position_update", data)
