"""Resting limit orders of one market, kept so that a tick which reaches none of them costs two comparisons."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from trading.domain.lifecycle import Side

TICKS_KEPT_S = 120


class TickLike(Protocol):
    """What the market did since the tick before: best prices now, lowest and highest trade in between."""

    @property
    def sequence(self) -> int: ...
    @property
    def bid(self) -> Decimal: ...
    @property
    def ask(self) -> Decimal: ...
    @property
    def low(self) -> Decimal: ...
    @property
    def high(self) -> Decimal: ...
    @property
    def at(self) -> datetime: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Resting:
    """A limit order that waits: whose, where, and the book sequence it was decided against."""

    order_id: int
    uuid: UUID
    account_id: int
    side: Side
    price: Decimal
    admitted_sequence: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Reached:
    """An order that the market reached; `traded_through` if a trade went past its price."""

    order: Resting
    traded_through: bool


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
        self._ticks: deque[TickLike] = deque()

    def __len__(self) -> int:
        return len(self._orders)

    def __contains__(self, uuid: object) -> bool:
        return uuid in self._orders

    def __iter__(self) -> Iterator[Resting]:
        return iter(self._orders.values())

    def add(self, order: Resting) -> Reached | None:
        """Keep `order`; returns it if a tick since its admission reached it already. Adding it again does nothing."""
        if order.uuid in self._orders:
            return None
        self._orders[order.uuid] = order
        insort(self._side(order.side), self._key(order))
        reached = [found for tick in self._since(order.admitted_sequence) if (found := reaches(order, tick))]
        return max(reached, key=lambda found: found.traded_through, default=None)

    def remove(self, uuid: UUID) -> None:
        """Forget an order; an unknown one is no error."""
        order = self._orders.pop(uuid, None)
        if order is not None:
            side, key = self._side(order.side), self._key(order)
            del side[bisect_left(side, key)]

    def take(self, tick: TickLike) -> list[Reached]:
        """Note a tick; returns the orders it reaches, best price first, the older first at one price."""
        self._ticks.append(tick)
        while (tick.at - self._ticks[0].at).total_seconds() > TICKS_KEPT_S:
            self._ticks.popleft()
        return [*self._reached(self._buys, tick), *self._reached(self._sells, tick)]

    def knows_since(self, sequence: int) -> bool:
        """Whether every tick after book sequence `sequence` is still at hand."""
        return bool(self._ticks) and self._ticks[0].sequence <= sequence

    def _since(self, sequence: int) -> Iterable[TickLike]:
        return (tick for tick in self._ticks if tick.sequence > sequence)

    def _reached(self, side: list[tuple[Decimal, int, UUID]], tick: TickLike) -> Iterator[Reached]:
        for _, _, uuid in reversed(side):
            order = self._orders[uuid]
            reached = reaches(order, tick)
            if reached is None:
                return
            if tick.sequence > order.admitted_sequence:
                yield reached

    def _side(self, side: Side) -> list[tuple[Decimal, int, UUID]]:
        return self._buys if side is Side.BUY else self._sells

    def _key(self, order: Resting) -> tuple[Decimal, int, UUID]:
        price = order.price if order.side is Side.BUY else -order.price
        return (price, -order.order_id, order.uuid)
