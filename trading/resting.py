"""What the matcher reads: waiting orders, changes to them, and the market's last two minutes."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID
from zlib import crc32

from django.db.models import QuerySet

from astrade.core.money import ZERO
from marketdata import live
from marketdata.selectors import all_markets
from trading.domain.conflation import ConflatedTick
from trading.domain.lifecycle import LIVE, RESTING, OrderStatus, OrderType, Side, TriggerBy
from trading.domain.matching import Resting
from trading.domain.ticks import Span
from trading.domain.triggers import Untriggered, triggers_upwards
from trading.domain.watching import Waiting
from trading.models import Order, TradingAccount
from trading.readers import Cursor, subjects_behind

PAGE = 1000
ORDER_UPDATE = "order_update"


class OrderRow(NamedTuple):
    """What the matcher wants to know of an order."""

    id: int
    uuid: UUID
    account_id: int
    symbol: str
    type: str
    side: str
    status: str
    price: Decimal | None
    trigger_price: Decimal | None
    trigger_by: str | None
    admitted_sequence: int
    admitted_at: datetime
    queue_ahead: Decimal | None
    queue_sequence: int

    def waiting(self) -> Waiting | None:
        """The order as it waits for prices; None for one that doesn't."""
        if self.status in RESTING and self.type != OrderType.TWAP and self.price is not None:
            return self._resting(self.price)
        if self.status == OrderStatus.UNTRIGGERED and self.trigger_price is not None and self.trigger_by is not None:
            return self._untriggered(self.trigger_price, TriggerBy(self.trigger_by))
        return None

    def _resting(self, price: Decimal) -> Resting:
        return Resting(
            order_id=self.id,
            uuid=self.uuid,
            account_id=self.account_id,
            side=Side(self.side),
            price=price,
            admitted_sequence=self.admitted_sequence,
            admitted_at=self.admitted_at,
            queue_ahead=self.queue_ahead,
            queue_sequence=self.queue_sequence,
        )

    def _untriggered(self, trigger_price: Decimal, trigger_by: TriggerBy) -> Untriggered:
        return Untriggered(
            order_id=self.id,
            uuid=self.uuid,
            account_id=self.account_id,
            rises=triggers_upwards(OrderType(self.type), Side(self.side)),
            trigger_price=trigger_price,
            trigger_by=trigger_by,
            admitted_sequence=self.admitted_sequence,
            admitted_at=self.admitted_at,
        )


COLUMNS = tuple("market__symbol" if name == "symbol" else name for name in OrderRow._fields)


def shard_of(symbol: str, *, shards: int) -> int:
    """Which of `shards` a market belongs to: the same in every process, today and tomorrow."""
    return crc32(symbol.encode()) % shards


def waiting_orders(*, shard: int = 0, shards: int = 1) -> list[OrderRow]:
    """Every order of the shard's markets that waits for prices here, over all practice accounts."""
    markets = [market.id for market in all_markets() if shard_of(market.symbol, shards=shards) == shard]
    waiting = _practice().filter(market_id__in=markets, status__in=sorted(LIVE))
    return _rows(waiting.order_by("id"))


def _practice() -> QuerySet[Order]:
    return Order.objects.filter(account__venue=TradingAccount.Venue.PRACTICE)


def changed_orders(cursor: Cursor) -> tuple[list[OrderRow], Cursor, bool]:
    """Orders that events after `cursor` tell of, as they are now, the cursor behind them, and whether more wait."""
    events = subjects_behind(cursor, limit=PAGE)
    if not events:
        return [], cursor, False
    uuids = {event.subject for event in events if event.kind == ORDER_UPDATE and event.subject}
    orders = _rows(_practice().filter(uuid__in=uuids)) if uuids else []
    return orders, events[-1].cursor, len(events) == PAGE


def past_seconds(symbol: str, since: datetime) -> list[ConflatedTick]:
    """The seconds since `since` that Redis still knows, oldest first; raises MarketDataStale without Redis.

    Each as a tick with its most extreme prices, so that it reaches what any tick in it reached.
    """
    return [_second(second) for second in live.extremes_since(symbol, since=since)]


def _second(second: live.Extremes) -> ConflatedTick:
    return ConflatedTick(
        sequence=second.sequence,
        at=second.at,
        bid=second.bid[1],
        ask=second.ask[0],
        low=second.last[0],
        high=second.last[1],
        sold_at_low=ZERO,
        bought_at_high=ZERO,
        last=_span(second.last),
        mark=_span(second.mark),
        index=_span(second.index),
    )


def _span(extremes: tuple[Decimal, Decimal]) -> Span:
    low, high = extremes
    return low, high, high


def _rows(orders: QuerySet[Order]) -> list[OrderRow]:
    """Those of practice accounts: other venues match for themselves."""
    rows: Iterable[tuple[Any, ...]] = orders.filter(account__venue=TradingAccount.Venue.PRACTICE).values_list(*COLUMNS)
    return [OrderRow._make(row) for row in rows]
