"""One side of an order book kept up to date by changes, best price first."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from decimal import Decimal

from astrade.core.messages import Level


class Ladder:
    """Levels of one side; `is_bid` says which end is the best."""

    __slots__ = ("_is_bid", "_prices", "_quantities")

    def __init__(self, *, is_bid: bool) -> None:
        self._is_bid = is_bid
        self._prices: list[Decimal] = []  # rising
        self._quantities: dict[Decimal, Decimal] = {}

    def replace(self, levels: Iterable[Level]) -> None:
        """Forget everything and hold `levels`."""
        self._quantities = {price: quantity for price, quantity in levels if quantity > 0}
        self._prices = sorted(self._quantities)

    def apply(self, levels: Iterable[Level]) -> None:
        """Set each level to its new absolute quantity; 0 removes it, removing an unknown one does nothing."""
        for price, quantity in levels:
            if quantity > 0:
                if price not in self._quantities:
                    insort(self._prices, price)
                self._quantities[price] = quantity
            elif self._quantities.pop(price, None) is not None:
                del self._prices[bisect_left(self._prices, price)]

    def best_first(self) -> Iterable[Level]:
        """Levels from the best to the worst."""
        prices = reversed(self._prices) if self._is_bid else iter(self._prices)
        return ((price, self._quantities[price]) for price in prices)

    def best(self) -> Decimal | None:
        """The best price, if there is a level."""
        if not self._prices:
            return None
        return self._prices[-1 if self._is_bid else 0]
