"""Update ids of a book (binance-api.md §9): each level that changes takes one, so that a client can see what it missed.

An event names the first and the last id of what it tells (U, u); levels are absolute, a quantity of 0 removes one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from astrade.core.messages import BookSnapshot, Level
from astrade.core.money import ZERO

Levels = Mapping[Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class DepthEvent:
    """What changed since the event before."""

    first_id: int
    last_id: int
    bids: Levels
    asks: Levels


class Depth:
    """The ids of one market's book, and what changed in it since the fast and since the slow event before."""

    def __init__(self, first_id: int) -> None:
        self.last_id = first_id
        self._slow: DepthEvent | None = None

    def advance(self, before: BookSnapshot | None, after: BookSnapshot) -> DepthEvent | None:
        """The event of one step of the book; None where nothing changed."""
        if before is None:
            return None
        bids, asks = _changed(before.bids, after.bids), _changed(before.asks, after.asks)
        if not bids and not asks:
            return None
        event = DepthEvent(self.last_id + 1, self.last_id + len(bids) + len(asks), bids, asks)
        self.last_id = event.last_id
        self._slow = event if self._slow is None else _together(self._slow, event)
        return event

    def take_slow(self) -> DepthEvent | None:
        """Everything since this was asked last, as one event."""
        event, self._slow = self._slow, None
        return event


def _together(earlier: DepthEvent, later: DepthEvent) -> DepthEvent:
    return DepthEvent(earlier.first_id, later.last_id, {**earlier.bids, **later.bids}, {**earlier.asks, **later.asks})


def _changed(before: Sequence[Level], after: Sequence[Level]) -> dict[Decimal, Decimal]:
    old, new = dict(before), dict(after)
    changed = {price: quantity for price, quantity in new.items() if old.get(price) != quantity}
    return changed | {price: ZERO for price in old if price not in new}
