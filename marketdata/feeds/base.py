"""What every feed is: a source of normalised messages for some markets.

A venue's feed yields what its sockets bring; synthetic and replayed feeds are *stepped*: pure functions of time that
`Paced` asks at a steady rate. Whoever consumes a feed never knows which kind it is.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from astrade.core.clock import Clock, system_clock, to_us
from astrade.core.messages import Message
from marketdata.models import PriceSource

Sleep = Callable[[float], Awaitable[None]]
MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Start:
    """Where a market goes on: its last known price, the last sequence and trade id that were published, and the begin
    (ms) of the first minute that its venue's history is to be asked for."""

    price: Decimal
    sequence: int
    trade_id: int
    history_ms: int = 0


class Feed(Protocol):
    """Messages of `symbols` as they come. `BookSnapshot.sequence` only grows; each trade comes once, with a growing
    id."""

    name: str
    source: PriceSource

    @property
    def symbols(self) -> tuple[str, ...]:
        """Which they are now; more or fewer later, where markets come and go."""

    def batches(self, stop: asyncio.Event) -> AsyncIterator[Sequence[Message]]:
        """Messages in order, until `stop` is set; a batch is published as one."""


class SteppedFeed(Protocol):
    """A feed that is a function of the instants it is asked at."""

    name: str
    source: PriceSource
    symbols: tuple[str, ...]

    def step(self, now_us: int) -> Sequence[Message]:
        """Everything that happened since the last call up to `now_us` (microseconds since the Unix epoch)."""

    def first_prices(self) -> Mapping[str, Decimal]:
        """Price at which each market begins."""


class Paced:
    """Runs a stepped feed by the clock, `ticks_per_s` times a second on a fixed grid; steps missed are not made up
    for."""

    def __init__(
        self, feed: SteppedFeed, *, ticks_per_s: int, clock: Clock = system_clock, sleep: Sleep = asyncio.sleep
    ) -> None:
        self.name, self.source, self.symbols = feed.name, feed.source, feed.symbols
        self._feed, self._clock, self._sleep = feed, clock, sleep
        self._interval_us = MICROSECONDS // ticks_per_s

    async def batches(self, stop: asyncio.Event) -> AsyncIterator[Sequence[Message]]:
        """Messages of one step after another."""
        while not stop.is_set():
            now_us = to_us(self._clock())
            yield self._feed.step(now_us)
            left_us = self._interval_us - to_us(self._clock()) % self._interval_us
            await self._sleep(left_us / MICROSECONDS)
