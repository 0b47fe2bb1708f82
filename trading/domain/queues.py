"""Queues at a price: which resting orders takers have traded down to (DESIGN §4.8). Pure.

An order that was admitted behind `queue_ahead` gets what trades at its price beyond that. A trade counts where it is
the tick's lowest (for buys, when the taker sold) or highest (for sells, when the taker bought): one that is further out
traded through the order, which then needs no queue. Volume of a repeated tick, or one that goes back, counts once.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from heapq import heappop, heappush
from typing import Protocol
from uuid import UUID

from astrade.core.money import ZERO
from trading.domain.lifecycle import Side
from trading.domain.ticks import TradingTick


class Queueing(Protocol):
    """An order in a queue; its place is not known where `queue_ahead` is None."""

    @property
    def order_id(self) -> int: ...
    @property
    def uuid(self) -> UUID: ...
    @property
    def side(self) -> Side: ...
    @property
    def price(self) -> Decimal: ...
    @property
    def queue_ahead(self) -> Decimal | None: ...
    @property
    def queue_sequence(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """What takers traded at an order's price in the ticks after book sequence `since`, up to and with `until`."""

    quantity: Decimal
    since: int
    until: int


@dataclass(slots=True)
class _Level:
    """One price of one side: all that traded at it, and the orders there by how much that has to become."""

    traded: Decimal = ZERO
    orders: int = 0
    waiting: list[tuple[Decimal, int, UUID]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Place:
    level: tuple[Side, Decimal]
    counted_from: Decimal  # the level's `traded` when counting began for this order
    reached_at: Decimal  # at what `traded` it is the order's turn
    since: int


def traded_at(tick: TradingTick, side: Side, *, price: Decimal) -> Decimal:
    """What takers traded in `tick` with orders of `side` resting at `price`."""
    if side is Side.BUY:
        return tick.sold_at_low if tick.low == price else ZERO
    return tick.bought_at_high if tick.high == price else ZERO


class Queues:
    """The resting orders of one market whose place is known. A tick costs two look-ups unless it is somebody's turn."""

    def __init__(self) -> None:
        self._levels: dict[tuple[Side, Decimal], _Level] = {}
        self._places: dict[UUID, _Place] = {}
        self._sequence = 0

    def add(self, order: Queueing, *, ticks: Iterable[TradingTick]) -> Traded | None:
        """Queue `order`, anew if it was there; `ticks` are those at hand. Returns what traded since, if that already
        makes it its turn.
        """
        self.remove(order.uuid)
        if order.queue_ahead is None:
            return None
        key, since = (order.side, order.price), order.queue_sequence
        level = self._levels.setdefault(key, _Level())
        counted, last = ZERO, since
        for tick in ticks:
            if tick.sequence > last:
                last = tick.sequence
                counted += traded_at(tick, order.side, price=order.price)
        begin = level.traded - counted
        self._places[order.uuid] = _Place(key, begin, begin + order.queue_ahead, since)
        heappush(level.waiting, (begin + order.queue_ahead, order.order_id, order.uuid))
        level.orders += 1
        return Traded(quantity=counted, since=since, until=last) if counted > order.queue_ahead else None

    def remove(self, uuid: UUID) -> None:
        """Take an order out; an unknown one is no error."""
        place = self._places.pop(uuid, None)
        if place is not None:
            level = self._levels[place.level]
            level.orders -= 1
            if not level.orders:
                del self._levels[place.level]

    def take(self, tick: TradingTick) -> dict[UUID, Traded]:
        """Count what `tick` traded; returns those whose turn it is, again with each trade until they are queued anew,
        by order and in order of their turn.
        """
        if tick.sequence <= self._sequence:
            return {}
        self._sequence = tick.sequence
        found: dict[UUID, Traded] = {}
        for side, price, quantity in (
            (Side.BUY, tick.low, tick.sold_at_low),
            (Side.SELL, tick.high, tick.bought_at_high),
        ):
            level = self._levels.get((side, price)) if quantity else None
            if level is not None:
                level.traded += quantity
                found |= self._turns(level, until=tick.sequence)
        return found

    def _turns(self, level: _Level, *, until: int) -> dict[UUID, Traded]:
        found: dict[UUID, Traded] = {}
        again = []
        while level.waiting and level.waiting[0][0] < level.traded:
            entry = heappop(level.waiting)
            uuid, place = entry[2], self._places.get(entry[2])
            if place is not None and place.reached_at == entry[0] and self._levels.get(place.level) is level:
                quantity = level.traded - place.counted_from
                if uuid not in found:
                    again.append(entry)
                found[uuid] = Traded(quantity=quantity, since=place.since, until=until)
        for entry in again:
            heappush(level.waiting, entry)
        return found
