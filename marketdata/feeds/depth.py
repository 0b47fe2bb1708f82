"""A book of many levels built around a best bid and ask, on the tick grid, that changes a little from one call to the
next."""

from decimal import Decimal

from astrade.core.messages import Level
from marketdata.feeds.randomness import Dice

LEVELS = 50
SPACING_PER_PRICE = 50_000  # deeper levels stand 1/50,000 of the price apart, at least one tick
REDRAWN = 3  # levels of a side that get a new quantity each time
LEVEL_NOTIONAL = Decimal(25_000)  # quote currency at a level near the top


class _Side:
    def __init__(self, maker: "DepthMaker", *, direction: int) -> None:
        self._maker, self._direction = maker, direction
        self._levels: dict[int, Level] = {}

    def around(self, best_tick: int, best_quantity: Decimal | None) -> tuple[Level, ...]:
        maker = self._maker
        known, self._levels = self._levels, {}
        for rank, tick in enumerate(self._ticks(best_tick)):
            self._levels[tick] = known.get(tick) or maker.draw(tick, rank)
        ticks = list(self._levels)
        for _ in range(REDRAWN):
            rank = maker.dice.below(len(ticks))
            self._levels[ticks[rank]] = maker.draw(ticks[rank], rank)
        if best_quantity is not None:
            self._levels[best_tick] = (best_tick * maker.tick_size, best_quantity)
        return tuple(self._levels.values())

    def _ticks(self, best: int) -> list[int]:
        spacing, step = self._maker.spacing, self._direction * self._maker.spacing
        start = best // spacing * spacing if self._direction > 0 else -(-best // spacing) * spacing
        deeper = range(start + step, start + LEVELS * step, step)
        return [best, *(tick for tick in deeper if tick > 0)]


class DepthMaker:
    """Both sides of one market's made-up depth. Quantities near the top are worth about `LEVEL_NOTIONAL`, deeper ones
    more."""

    def __init__(self, *, price: Decimal, tick_size: Decimal, step_size: Decimal, dice: Dice) -> None:
        self.tick_size, self.dice = tick_size, dice
        self.spacing = max(1, int(price / tick_size) // SPACING_PER_PRICE)
        self.base_steps = max(1, int(LEVEL_NOTIONAL / price / step_size))
        self._step_size = step_size
        self._bids, self._asks = _Side(self, direction=-1), _Side(self, direction=1)

    def around(
        self,
        bid_tick: int,
        ask_tick: int,
        *,
        bid_quantity: Decimal | None = None,
        ask_quantity: Decimal | None = None,
    ) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """Bids and asks, best first, whose best prices are the given ticks; best quantities are made up unless
        given."""
        return self._bids.around(bid_tick, bid_quantity), self._asks.around(ask_tick, ask_quantity)

    def draw(self, tick: int, rank: int) -> Level:
        """A new level: 36 % to 164 % of the base quantity, growing with its distance from the top."""
        steps = max(1, self.base_steps * (8 + rank) * (36 + self.dice.bits(7)) // 800)
        return tick * self.tick_size, steps * self._step_size
