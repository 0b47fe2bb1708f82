"""Everything that waits for the prices of one market: limit orders that rest and orders with a trigger. Pure.

Both kinds hear the same ticks. One that tells nothing new (it comes again, or its book is older) is for nobody.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from uuid import UUID

from trading.domain.conflation import ConflatedTick, conflate, is_newer
from trading.domain.matching import Reached, Resting, RestingOrders, reaches
from trading.domain.ticks import MarketTick
from trading.domain.triggers import TriggerOrders, Untriggered, is_reached, span_of

Waiting = Resting | Untriggered
Hit = Reached | Untriggered  # an order that rests with how it was reached, or one whose trigger was
ONE_SECOND = timedelta(seconds=1)


def order_of(hit: Hit) -> Waiting:
    """The order that was reached."""
    return hit.order if isinstance(hit, Reached) else hit


def both(before: Hit | None, now: Hit) -> Hit:
    """What is to be booked of an order that is reached again before it was booked: nothing of either is lost."""
    if not (isinstance(before, Reached) and isinstance(now, Reached) and before.order == now.order):
        return now
    return Reached(now.order, before.traded_through or now.traded_through, now.traded or before.traded)


class WatchedOrders:
    """One market's waiting orders, each of one kind at a time."""

    def __init__(self) -> None:
        self.resting, self.untriggered = RestingOrders(), TriggerOrders()
        self._last: MarketTick | None = None

    def __len__(self) -> int:
        return len(self.resting) + len(self.untriggered)

    def __contains__(self, uuid: object) -> bool:
        return uuid in self.resting or uuid in self.untriggered

    def __iter__(self) -> Iterator[Waiting]:
        yield from self.resting
        yield from self.untriggered

    def knows(self, order: Waiting) -> bool:
        """Whether the order is kept just as it is."""
        return self.resting.knows(order) if isinstance(order, Resting) else self.untriggered.knows(order)

    def add(self, order: Waiting) -> Hit | None:
        """Keep `order`, in place of an earlier form of it; returns it if a tick since its admission reached it."""
        if isinstance(order, Resting):
            self.untriggered.remove(order.uuid)
            return self.resting.add(order)
        self.resting.remove(order.uuid)
        return order if self.untriggered.add(order) else None

    def remove(self, uuid: UUID) -> None:
        """Forget an order; an unknown one is no error."""
        self.resting.remove(uuid)
        self.untriggered.remove(uuid)

    def take(self, ticks: Iterable[MarketTick]) -> list[Hit]:
        """Note ticks and return the orders they reach: triggers first, as they may have to close what others add to."""
        new = [tick for tick in ticks if self._is_new(tick)]
        if not new:
            return []
        return [*self.untriggered.take(*new), *self.resting.take(*new)]

    def knows_since(self, sequence: int) -> bool:
        """Whether every tick after book sequence `sequence` is still at hand."""
        return self.resting.knows_since(sequence)

    def missed(self, seconds: Sequence[ConflatedTick]) -> list[Hit]:
        """The orders that whole seconds of the past reached, each held against those that began after its admission."""
        if not seconds:
            return []
        whole = conflate(seconds)
        candidates: list[Waiting] = [*self.untriggered.within(whole), *self.resting.within(whole)]
        return [hit for order in candidates if (hit := missed(order, seconds))]

    def _is_new(self, tick: MarketTick) -> bool:
        if not is_newer(tick, self._last):
            return False
        self._last = tick
        return True


def missed(order: Waiting, seconds: Iterable[ConflatedTick]) -> Hit | None:
    """What seconds of the past that began after the order's admission make of it; the best, where several reached it.

    The order's clock is the database's and the seconds' the feed's: the book's sequence keeps them apart where the two
    differ. A trigger may be reached while the book stands still.
    """
    begin = order.admitted_at.replace(microsecond=0) + ONE_SECOND
    later = (second for second in seconds if second.at >= begin)
    if isinstance(order, Resting):
        hits = [
            hit for second in later if second.sequence > order.admitted_sequence and (hit := reaches(order, second))
        ]
        return max(hits, key=lambda hit: hit.traded_through, default=None)
    spans = (span_of(second, order.trigger_by) for second in later if second.sequence >= order.admitted_sequence)
    price, rises = order.trigger_price, order.rises
    return order if any(is_reached(price, low=span[0], high=span[1], rises=rises) for span in spans if span) else None
