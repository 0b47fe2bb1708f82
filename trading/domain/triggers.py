"""Orders of one market that wait for a trigger price, kept so that a tick which reaches none costs a few comparisons.

A stop buy triggers when the price rises to its trigger, a take-profit buy when it falls to it; sells mirrored. Which
price that is (last, mark or index) each order says.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from astrade.core.messages import Quote
from trading.domain.conflation import is_newer, widest
from trading.domain.lifecycle import OrderType, Side, TriggerBy
from trading.domain.matching import TICKS_KEPT_MAX, TICKS_KEPT_S
from trading.domain.ticks import PriceSpans, Span, TriggerTick

STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
Key = tuple[Decimal, int, UUID]
Kind = tuple[TriggerBy, bool]


@dataclass(frozen=True, slots=True)
class Spans:
    """Those of several ticks."""

    last: Span | None
    mark: Span | None
    index: Span | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Untriggered:
    """An order that waits for its trigger: whose, where, and the book sequence it was decided against."""

    order_id: int
    uuid: UUID
    account_id: int
    rises: bool  # whether it triggers at or above the price, or at or below
    trigger_price: Decimal
    trigger_by: TriggerBy
    admitted_sequence: int
    admitted_at: datetime


def triggers_upwards(type_: OrderType, side: Side) -> bool:
    """Whether an order triggers when the price rises to its trigger price."""
    return (type_ in STOPS) == (side is Side.BUY)


def is_reached(trigger_price: Decimal, *, low: Decimal, high: Decimal, rises: bool) -> bool:
    """Whether a price that moved between `low` and `high` reached the trigger."""
    return high >= trigger_price if rises else low <= trigger_price


def price_by(quote: Quote, by: TriggerBy) -> Decimal:
    """The price a trigger is held against."""
    prices = {TriggerBy.LAST: quote.last, TriggerBy.MARK: quote.mark, TriggerBy.INDEX: quote.index}
    return prices[by]


def triggers(order: Untriggered, tick: TriggerTick) -> bool:
    """Whether `tick` triggers `order`.

    Lows and highs count for ticks after the book it was admitted against. At that same book only a later price does:
    what was before its admission is not for it.
    """
    span = span_of(tick, order.trigger_by)
    if span is None or tick.sequence < order.admitted_sequence:
        return False
    low, high, now = span
    if tick.sequence == order.admitted_sequence:
        if tick.at <= order.admitted_at:
            return False
        low = high = now
    return is_reached(order.trigger_price, low=low, high=high, rises=order.rises)


def span_of(tick: PriceSpans, by: TriggerBy) -> Span | None:
    """What a tick tells of one of the prices."""
    if by is TriggerBy.MARK:
        return tick.mark
    return tick.last if by is TriggerBy.LAST else tick.index


def _spans_of(ticks: Sequence[TriggerTick]) -> PriceSpans:
    if len(ticks) == 1:
        return ticks[0]
    kinds = ([tick.last for tick in ticks], [tick.mark for tick in ticks], [tick.index for tick in ticks])
    return Spans(*(widest(spans) for spans in kinds))


class TriggerOrders:
    """The untriggered orders of one market by kind of price and direction, and the ticks of the last two minutes.

    An order that arrives after ticks it had to be held against is held against those that came after its admission.
    A tick that comes again, or goes back in time, triggers nothing.
    """

    def __init__(self) -> None:
        self._orders: dict[UUID, Untriggered] = {}
        self._sorted: dict[Kind, list[Key]] = {}  # nearest trigger first
        self._ticks: deque[TriggerTick] = deque()

    def __len__(self) -> int:
        return len(self._orders)

    def __contains__(self, uuid: object) -> bool:
        return uuid in self._orders

    def __iter__(self) -> Iterator[Untriggered]:
        return iter(self._orders.values())

    def knows(self, order: Untriggered) -> bool:
        """Whether the order is kept just as it is."""
        return self._orders.get(order.uuid) == order

    def add(self, order: Untriggered) -> bool:
        """Keep `order`, in place of an earlier form of it; returns whether a tick since its admission triggers it.

        Adding it again unchanged does nothing.
        """
        if self.knows(order):
            return False
        self.remove(order.uuid)
        self._orders[order.uuid] = order
        insort(self._sorted.setdefault(self._kind(order), []), self._key(order))
        return any(triggers(order, tick) for tick in self._ticks)

    def remove(self, uuid: UUID) -> None:
        """Forget an order; an unknown one is no error."""
        order = self._orders.pop(uuid, None)
        if order is not None:
            waiting, key = self._sorted[self._kind(order)], self._key(order)
            del waiting[bisect_left(waiting, key)]

    def take(self, *ticks: TriggerTick) -> list[Untriggered]:
        """Note ticks; returns the orders they trigger, nearest trigger first, the older first at one price.

        They stay until they are removed: an order that could not be booked is met again by the next tick.
        """
        new = [tick for tick in ticks if self._note(tick)]
        if not new:
            return []
        return [order for order in self.within(_spans_of(new)) if self._is_triggered(order, new)]

    def within(self, spans: PriceSpans) -> Iterator[Untriggered]:
        """The orders whose trigger price prices between these lows and highs reach, whenever they were admitted, in the
        order of `take`.
        """
        for (by, rises), waiting in self._sorted.items():
            span = span_of(spans, by)
            if span is None or not waiting:
                continue
            farthest = span[1] if rises else -span[0]  # as `_key` has it
            for price, _, uuid in waiting:
                if price > farthest:
                    break
                yield self._orders[uuid]

    def knows_since(self, sequence: int) -> bool:
        """Whether every tick after book sequence `sequence` is still at hand."""
        return bool(self._ticks) and self._ticks[0].sequence <= sequence

    def _note(self, tick: TriggerTick) -> bool:
        """Keep a tick for orders that arrive late; False if it tells nothing new."""
        if not is_newer(tick, self._ticks[-1] if self._ticks else None):
            return False
        self._ticks.append(tick)
        while len(self._ticks) > TICKS_KEPT_MAX or (tick.at - self._ticks[0].at).total_seconds() > TICKS_KEPT_S:
            self._ticks.popleft()
        return True

    def _is_triggered(self, order: Untriggered, ticks: Sequence[TriggerTick]) -> bool:
        """Of an order that the ticks as one reach: one admitted amid them asks each."""
        return order.admitted_sequence < ticks[0].sequence or any(triggers(order, tick) for tick in ticks)

    def _kind(self, order: Untriggered) -> Kind:
        return order.trigger_by, order.rises

    def _key(self, order: Untriggered) -> Key:
        price = order.trigger_price if order.rises else -order.trigger_price
        return (price, order.order_id, order.uuid)
