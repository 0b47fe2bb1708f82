"""What the matcher reads: resting orders, changes to them, and the market's last two minutes."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from marketdata import live
from trading.domain.lifecycle import RESTING, OrderType, Side
from trading.domain.matching import Resting
from trading.models import Order
from trading.readers import Cursor, events_behind

PAGE = 1000
ORDER_UPDATE = "order_update"


@dataclass(frozen=True, slots=True)
class PastSecond:
    """A second of the market's past in the shape of a tick: its most extreme prices, so that it reaches what any
    tick in it reached."""

    sequence: int
    bid: Decimal
    ask: Decimal
    low: Decimal
    high: Decimal
    at: datetime


def resting_orders() -> list[Order]:
    """Every limit order that waits, over all accounts."""
    waiting = Order.objects.filter(status__in=sorted(RESTING), type=OrderType.LIMIT)
    return list(waiting.select_related("market").order_by("id"))


def resting_of(order: Order) -> Resting:
    """An order row as the matcher keeps it."""
    if order.price is None:
        raise ValueError("only orders with a price rest")
    return Resting(
        order_id=order.pk,
        uuid=order.uuid,
        account_id=order.account_id,
        side=Side(order.side),
        price=order.price,
        admitted_sequence=order.admitted_sequence,
        created_at=order.created_at,
    )


def changed_orders(cursor: Cursor) -> tuple[list[Order], Cursor, bool]:
    """Orders that events after `cursor` tell of, as they are now, the cursor behind them, and whether more wait."""
    events = events_behind(cursor, limit=PAGE)
    if not events:
        return [], cursor, False
    uuids = {event.data["id"] for event in events if event.kind == ORDER_UPDATE}
    orders = list(Order.objects.filter(uuid__in=uuids).select_related("market")) if uuids else []
    return orders, Cursor(xid=events[-1].xid, row_id=events[-1].pk), len(events) == PAGE


def past_seconds(symbol: str, since: datetime) -> list[PastSecond]:
    """The seconds since `since` that Redis still knows, oldest first; raises MarketDataStale without Redis."""
    return [
        PastSecond(
            sequence=second.sequence,
            bid=second.bid[1],
            ask=second.ask[0],
            low=second.last[0],
            high=second.last[1],
            at=second.at,
        )
        for second in live.extremes_since(symbol, since=since)
    ]
