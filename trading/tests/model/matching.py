"""Which waiting orders of the model a tick reaches, and in which order they are booked."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from trading.tests.model.account import Account, Order
from trading.tests.model.checks import rises
from trading.tests.model.exact import ZERO
from trading.tests.model.market import BUY, Market, Moved

Known = list[tuple[Account, Order]]


@dataclass(frozen=True)
class Hit:
    """A resting order that was reached: traded through, or its turn in the queue, or neither: then it was touched."""

    account: Account
    order: Order
    through: bool
    turn: bool


class Matching:
    """One market's matcher."""

    def __init__(self) -> None:
        self._kinds: list[tuple[str, bool]] = []  # of triggers, in the order in which they were first seen

    def triggered(self, known: Known, moved: Moved, market: Market) -> list[tuple[Account, Order]]:
        """Orders whose trigger price was reached: nearest trigger first, the older first at one price."""
        waiting = _oldest_first(pair for pair in known if pair[1].status == "untriggered")
        by_kind: dict[tuple[str, bool], Known] = {}
        for account, order in waiting:
            kind = (order.trigger_by or "mark", rises(order.type, order.side))
            self._kinds += [kind] if kind not in self._kinds else []
            if _reaches_trigger(order, moved, market):
                by_kind.setdefault(kind, []).append((account, order))
        found: Known = []
        for kind in self._kinds:
            sign = 1 if kind[1] else -1
            found += sorted(by_kind.get(kind, []), key=lambda pair: sign * (pair[1].trigger_price or ZERO))
        return found

    def reached(self, known: Known, moved: Moved, market: Market) -> list[Hit]:
        """Resting orders that the market reached, best price first, buys before sells; behind them those whose turn it
        is in the queue at their price.
        """
        hits, turns = list[tuple[tuple[Fraction, ...], Hit]](), list[tuple[tuple[Fraction, ...], Hit]]()
        for account, order in _oldest_first(pair for pair in known if pair[1].is_resting):
            price = order.price or ZERO
            place = ZERO if order.ahead is None else order.ahead - order.traded
            turn = _count(order, moved)
            through = moved.low < price if order.side == BUY else moved.high > price
            touched = (price - market.best_against(order.side)) * order.side >= 0
            hit = Hit(account, order, through, turn)
            if (through or touched) and order.admitted_sequence < market.sequence:
                hits.append(((Fraction(-order.side), -order.side * price), hit))
            elif turn:
                turns.append(((Fraction(-order.side), place), Hit(account, order, False, turn)))
        return [hit for part in (hits, turns) for _, hit in sorted(part, key=lambda found: found[0])]


def _oldest_first(pairs: Iterable[tuple[Account, Order]]) -> Known:
    return sorted(pairs, key=lambda pair: pair[1].created)


def _reaches_trigger(order: Order, moved: Moved, market: Market) -> bool:
    """Lows and highs count once the book moved on from the order's admission; before that only a later price does."""
    low, high, present = moved.spans[order.trigger_by or "mark"]
    if order.admitted_sequence == market.sequence:
        if market.at <= order.admitted_at:
            return False
        low = high = present
    trigger = order.trigger_price or ZERO
    return high >= trigger if rises(order.type, order.side) else low <= trigger


def _count(order: Order, moved: Moved) -> bool:
    """Count what takers traded at the order's price; whether that is more than stood before it."""
    if not moved.is_new_book or order.ahead is None:
        return False
    at_price = moved.low if order.side == BUY else moved.high
    volume = moved.sold_at_low if order.side == BUY else moved.bought_at_high
    if order.price != at_price or not volume:
        return False
    order.traded += volume
    return order.traded > order.ahead
