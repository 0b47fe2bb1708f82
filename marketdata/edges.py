"""How much was traded at the ends of a stretch of trades. Pure."""

from decimal import Decimal

from astrade.core.messages import TradeTick
from astrade.core.money import ZERO


class EdgeVolumes:
    """What takers sold at the lowest price they sold at, and bought at the highest they bought at."""

    __slots__ = ("_bought", "_sold")

    def __init__(self) -> None:
        self._sold: tuple[Decimal, Decimal] | None = None  # price, quantity
        self._bought: tuple[Decimal, Decimal] | None = None

    def take(self, trade: TradeTick) -> None:
        """Count one trade; `trade.side` is the taker's."""
        price, quantity = trade.price, trade.quantity
        if trade.side == "sell":
            at, so_far = self._sold or (price, ZERO)
            if price <= at:
                self._sold = (price, quantity + (so_far if price == at else ZERO))
        else:
            at, so_far = self._bought or (price, ZERO)
            if price >= at:
                self._bought = (price, quantity + (so_far if price == at else ZERO))

    def between(self, low: Decimal, high: Decimal) -> dict[str, Decimal]:
        """As a tick with these extremes tells of them."""
        sold, bought = self._sold, self._bought
        return {
            "sold_at_low": sold[1] if sold and sold[0] == low else ZERO,
            "bought_at_high": bought[1] if bought and bought[0] == high else ZERO,
        }
