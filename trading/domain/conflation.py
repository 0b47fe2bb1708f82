"""Several ticks of one market as one, for when they come faster than they are worked through. Pure.

What is extreme in any of them is extreme in the whole, so an order that waited before the first is reached by the whole
exactly if one of them reaches it. For an order that was decided against a book amid them, the whole only says that it
may be reached: whoever asks then looks at the ticks one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from astrade.core.money import ZERO
from trading.domain.ticks import MarketTick, Span, Timed


@dataclass(frozen=True, slots=True, kw_only=True)
class ConflatedTick:
    """Ticks as one: highest bid and lowest ask of them, extremes over all, what was traded at those, the last
    sequence and moment.
    """

    sequence: int
    at: datetime
    bid: Decimal
    ask: Decimal
    low: Decimal
    high: Decimal
    sold_at_low: Decimal
    bought_at_high: Decimal
    last: Span | None
    mark: Span | None
    index: Span | None


def is_newer(tick: Timed, than: Timed | None) -> bool:
    """Whether `tick` tells something new after `than`: a later book, or another state of prices at the same one.

    The book's sequence decides, not the clock: one that was set back must not silence a market.
    """
    if than is None or tick.sequence > than.sequence:
        return True
    return tick.sequence == than.sequence and tick.at >= than.at and tick != than


def conflate(ticks: Sequence[MarketTick]) -> MarketTick:
    """One tick that stands for `ticks`, which come in their order and are at least one."""
    if len(ticks) == 1:
        return ticks[0]
    low, high = min(tick.low for tick in ticks), max(tick.high for tick in ticks)
    return ConflatedTick(
        sequence=ticks[-1].sequence,
        at=ticks[-1].at,
        bid=max(tick.bid for tick in ticks),
        ask=min(tick.ask for tick in ticks),
        low=low,
        high=high,
        sold_at_low=sum((tick.sold_at_low for tick in ticks if tick.low == low), ZERO),
        bought_at_high=sum((tick.bought_at_high for tick in ticks if tick.high == high), ZERO),
        last=widest([tick.last for tick in ticks]),
        mark=widest([tick.mark for tick in ticks]),
        index=widest([tick.index for tick in ticks]),
    )


def widest(spans: Sequence[Span | None]) -> Span | None:
    """From the lowest to the highest of `spans`, and the price at the end; None where none is known."""
    known = [span for span in spans if span is not None]
    if not known:
        return None
    return min(span[0] for span in known), max(span[1] for span in known), known[-1][2]
