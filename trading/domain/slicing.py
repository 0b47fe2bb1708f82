"""How a TWAP order is cut: how much each slice trades, and when. Pure functions of the order's terms and a seed.

Slice n of N falls into the n-th N-th of the duration, moved on within it by a seeded share of at most `jitter`. What a
slice could not trade is carried over: a slice trades what is planned up to it and not filled yet, but never more than
`CATCH_UP` slices at once, so that what was missed (no prices, a halt, a limit out of reach, nobody running) does not
come as one large order. What is left when the duration is over is not traded.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from astrade.core.money import ZERO, plain

DURATION_S_MIN, DURATION_S_MAX = 60, 86_400
SLICES_MIN, SLICES_MAX = 2, 1000
JITTER_MAX = Decimal("0.5")
JITTER_SCALE = 4  # decimals
SLICE_EVERY_S_MIN = 5
CATCH_UP = 3  # slices that one may trade for
_PARTS = 10**JITTER_SCALE
_WORD_BITS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TwapTerms:
    """What a TWAP order asks for: `jitter` is the share of a slice's time that it may come later."""

    duration_s: int
    slices: int
    jitter: Decimal = ZERO

    def __str__(self) -> str:
        return f"{self.slices} slices in {self.duration_s} s, jitter {plain(self.jitter)}"


@dataclass(slots=True, kw_only=True)
class TwapState:
    """A row of `trading.models.TwapPlan`. Resuming moves `starts_at` on by what the order was paused."""

    duration_s: int
    slices: int
    jitter: Decimal
    seed: int
    starts_at: datetime
    reserve_price: Decimal  # what is open binds margin at: the limit, or the mark when it was admitted
    next_slice: int = 0  # slices whose moment has passed
    executed_slices: int = 0  # those of them that traded
    paused_at: datetime | None = None

    @property
    def ends_at(self) -> datetime:
        """When its duration is over, unless it is paused."""
        return self.starts_at + timedelta(seconds=self.duration_s)

    @property
    def next_at(self) -> datetime:
        """When the next slice is due; after the last one, the end."""
        return self.slice_at(self.next_slice) if self.next_slice < self.slices else self.ends_at

    def slice_at(self, number: int) -> datetime:
        """When slice `number` (from 0) is due, to the microsecond; later than any before it, before `ends_at`."""
        duration_us = self.duration_s * 1_000_000
        parts = int(self.jitter * _PARTS) * _draw(self.seed, number)
        delay_us = (parts * duration_us // (_PARTS * self.slices)) >> _WORD_BITS
        return self.starts_at + timedelta(microseconds=-(-number * duration_us // self.slices) + delay_us)

    def passed(self, now: datetime) -> int:
        """How many slices' moments have come by `now`."""
        elapsed = max(now - self.starts_at, timedelta(0))
        number = min(elapsed * self.slices // timedelta(seconds=self.duration_s), self.slices - 1)
        while number >= 0 and self.slice_at(number) > now:
            number -= 1
        return number + 1

    def due_quantity(self, *, quantity: Decimal, filled: Decimal, step: Decimal, passed: int) -> Decimal:
        """What the slice that `passed` ends with is to trade, base units, of an order's `quantity` and `filled`."""
        planned = planned_quantity(quantity, step=step, slices=self.slices, passed=passed)
        share = planned - planned_quantity(quantity, step=step, slices=self.slices, passed=passed - 1)
        return min(planned - filled, CATCH_UP * share)


def planned_quantity(quantity: Decimal, *, step: Decimal, slices: int, passed: int) -> Decimal:
    """What of `quantity` the first `passed` slices trade together: equal parts, what steps leave over spread out."""
    return quantity // step * passed // slices * step


def smallest_slice(quantity: Decimal, *, step: Decimal, slices: int) -> Decimal:
    """The smallest slice of `quantity`; the largest one is at most one step larger."""
    return quantity // step // slices * step


def resume(plan: TwapState, *, now: datetime) -> None:
    """Let a paused plan go on where it stopped."""
    if plan.paused_at is not None:
        plan.starts_at += now - plan.paused_at
        plan.paused_at = None


def _draw(seed: int, number: int) -> int:
    """A whole number below 2^64 that is a function of seed and slice."""
    digest = hashlib.blake2b(f"{seed}:{number}".encode(), digest_size=_WORD_BITS // 8).digest()
    return int.from_bytes(digest)
