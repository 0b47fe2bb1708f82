"""Resting limit orders of one market, kept so that a tick which reaches none of them costs two comparisons."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from trading.domain.conflation import conflate
from trading.domain.lifecycle import Side
from trading.domain.queues import Queues, Traded
from trading.domain.ticks import MarketTick, TickLike

TICKS_KEPT_S = 120
TICKS_KEPT_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Resting:
    """A limit order that waits: whose, where, and the book sequence it was decided against."""

    order_id: int
    uuid: UUID
    account_id: int
    side: Side
    price: Decimal
    admitted_sequence: int
    admitted_at: datetime
    queue_ahead: Decimal | None = None
    queue_sequence: int = 0


@dataclass(frozen=True, slots=True)
class Reached:
    """An order that the market reached; `traded_through` if a trade went past its price, `traded` if its turn came in
    the queue at its price.
    """

    order: Resting
    traded_through: bool
    traded: Traded | None = None


def reaches(order: Resting, tick: TickLike) -> Reached | None:
    """Whether `tick` reaches `order`: a trade went past its price, or the other side's best price touches it."""
    if order.side is Side.BUY:
        through, touched = tick.low < order.price, tick.ask <= order.price
    else:
        through, touched = tick.high > order.price, tick.bid >= order.price
    return Reached(order, through) if through or touched else None


class RestingOrders:
    """The open limit orders of one market by price, and the ticks of the last two minutes.

    An order that arrives after ticks it had to be held against is held against those that came after its admission.
    """

    def __init__(self) -> None:
        self._orders: dict[UUID, Resting] = {}
        self._buys: list[tuple[Decimal, int, UUID]] = []  # rising: the highest bid last
        self._sells: list[tuple[Decimal, int, UUID]] = []  # falling in the negated price: the lowest ask last
        self._ticks: deque[MarketTick] = deque()
        self._queues = Queues()

    def __len__(self) -> int:
        return len(self._orders)

    def __contains__(self, uuid: object) -> bool:
        return uuid in self._orders

    def knows(self, order: Resting) -> bool:
        """Whether the order is kept just as it is."""
        return self._orders.get(order.uuid) == order

    def __iter__(self) -> Iterator[Resting]:
        return iter(self._orders.values())

    def add(self, order: Resting) -> Reached | None:
        """Keep `order`; returns it if a tick since its admission reached it already. Adding it again does nothing,
        unless it was replaced or another place in the queue is counted for it.
        """
        if self.knows(order):
            return None
        known = self._orders.get(order.uuid)
        if known is not None and order == replace(
            known, queue_ahead=order.queue_ahead, queue_sequence=order.queue_sequence
        ):
            self._orders[order.uuid] = order
            return self._queue(order)
        self.remove(order.uuid)
        self._orders[order.uuid] = order
        insort(self._side(order.side), self._key(order))
        reached = [found for tick in self._since(order.admitted_sequence) if (found := reaches(order, tick))]
        turn = self._queue(order)
        best = max(reached, key=lambda found: found.traded_through, default=None)
        return replace(best, traded=turn.traded) if best and turn else best or turn

    def remove(self, uuid: UUID) -> None:
        """Forget an order; an unknown one is no error."""
        order = self._orders.pop(uuid, None)
        if order is not None:
            side, key = self._side(order.side), self._key(order)
            del side[bisect_left(side, key)]
            self._queues.remove(uuid)

    def take(self, *ticks: MarketTick) -> list[Reached]:
        """Note ticks, at least one; returns the orders they reach, best price first, the older first at one price, and
        behind them those whose turn it is in the queue at their price.
        """
        turns: dict[UUID, Traded] = {}
        for tick in ticks:
            self._ticks.append(tick)
            turns |= self._queues.take(tick)
        while len(self._ticks) > TICKS_KEPT_MAX or (tick.at - self._ticks[0].at).total_seconds() > TICKS_KEPT_S:
            self._ticks.popleft()
        reached = self._reached(ticks)
        if turns:
            reached = [replace(found, traded=turns.pop(found.order.uuid, None)) for found in reached]
            reached += [Reached(self._orders[uuid], False, traded) for uuid, traded in turns.items()]
        return reached

    def within(self, tick: TickLike) -> Iterator[Resting]:
        """The orders whose price `tick` reaches, whenever they were admitted, in the order of `take`."""
        for side in (self._buys, self._sells):
            for _, _, uuid in reversed(side):
                order = self._orders[uuid]
                if reaches(order, tick) is None:
                    break
                yield order

    def knows_since(self, sequence: int) -> bool:
        """Whether every tick after book sequence `sequence` is still at hand."""
        return bool(self._ticks) and self._ticks[0].sequence <= sequence

    def _queue(self, order: Resting) -> Reached | None:
        traded = self._queues.add(order, ticks=self._ticks)
        return Reached(order, False, traded) if traded else None

    def _since(self, sequence: int) -> Iterable[TickLike]:
        return (tick for tick in self._ticks if tick.sequence > sequence)

    def _reached(self, ticks: Sequence[MarketTick]) -> list[Reached]:
        """Held against the ticks as one; an order that was admitted amid them, against those that came after it."""
        whole, first = conflate(ticks), min(tick.sequence for tick in ticks)
        reached = []
        for order in self.within(whole):
            seen: MarketTick | None = whole
            if order.admitted_sequence >= first:
                later = [tick for tick in ticks if tick.sequence > order.admitted_sequence]
                seen = conflate(later) if later else None
            if seen is not None and (found := reaches(order, seen)):
                reached.append(found)
        return reached

    def _side(self, side: Side) -> list[tuple[Decimal, int, UUID]]:
        return self._buys if side is Side.BUY else self._sells

    def _key(self, order: Resting) -> tuple[Decimal, int, UUID]:
        price = order.price if order.side is Side.BUY else -order.price
        return (price, -order.order_id, order.uuid)
