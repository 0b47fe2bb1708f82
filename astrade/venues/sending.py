"""What clients of all venues share: a budget, the venue's clock, and what becomes of answers and failures.

A read is tried up to three times within `VENUE_READ_TIMEOUT_S`, a write once.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import lru_cache
from itertools import count
from typing import Any, Protocol

import httpx
from django.conf import settings

from astrade.core.clock import Clock, system_clock
from astrade.core.randomness import Randomness, system_randomness
from astrade.venues.budget import Budget, Cost
from astrade.venues.errors import Throttled, Unavailable, VenueError
from astrade.venues.metrics import FAILURES, REQUEST_SECONDS
from astrade.venues.offsets import ClockOffset
from astrade.venues.transport import Answer, Request, failure_of, fetch_async, new_async_http, wait_before


class AnyCall(Protocol):
    """An endpoint with its arguments. `name` is what metrics call it, `weight` what it counts of the budget."""

    @property
    def name(self) -> str: ...
    @property
    def cost(self) -> Cost: ...
    @property
    def weight(self) -> int: ...
    @property
    def is_write(self) -> bool: ...


@lru_cache(maxsize=8)
def offset_at(venue: str, host: str) -> ClockOffset:
    """The process's measure of that host's clock, for all its clients and streams."""
    return ClockOffset(venue)


class Sending(ABC):
    """One host's budget and clock offset; a venue's own subclass makes requests and reads answers."""

    venue: str

    def __init__(
        self,
        host: str,
        *,
        per_minute: int,
        clock: Clock = system_clock,
        randomness: Randomness = system_randomness,
        budget: Budget | None = None,
    ) -> None:
        self._host, self._clock, self._randomness = host, clock, randomness
        self.budget = budget or Budget(host, per_minute=per_minute, clock=clock)

    @abstractmethod
    def request_of(self, call: Any, access: Any) -> Request:
        """What goes out."""

    @abstractmethod
    def answer_of(self, call: Any, answer: Answer, *, access: Any, now: datetime) -> Any:
        """What was answered, or the failure it is."""

    def seconds_for(self, call: AnyCall) -> float:
        """How long a call may take with all its tries."""
        seconds: float = settings.VENUE_WRITE_TIMEOUT_S if call.is_write else settings.VENUE_READ_TIMEOUT_S
        return seconds

    def judge(self, call: AnyCall, answer: Answer, *, access: Any, sent: datetime) -> Any:
        """As `answer_of`; the venue's clock is noted."""
        now = self._clock()
        offset_at(self.venue, self._host).note_headers(answer.headers, sent=sent, received=now)
        return self.answer_of(call, answer, access=access, now=now)

    def wait(self, call: AnyCall, failure: VenueError, *, tries: int, left_s: float) -> float | None:
        """Seconds until another try, None for none: only reads are repeated, and not where our own budget said no."""
        FAILURES.labels(self.venue, call.name, type(failure).__name__).inc()
        is_ours = isinstance(failure, Throttled) and not failure.is_from_venue
        if call.is_write or is_ours or not isinstance(failure, Unavailable):
            return None
        return wait_before(tries, failure, randomness=self._randomness, left_s=left_s)


class AsyncSending(Sending):
    """Sends from an event loop; one an event loop."""

    def __init__(
        self,
        host: str,
        *,
        per_minute: int,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        **sources: Any,
    ) -> None:
        super().__init__(host, per_minute=per_minute, **sources)
        self._pause = pause
        self._http = new_async_http()

    async def carry_out(self, call: AnyCall, access: Any = None) -> Any:
        """Send and read the answer. Raises Refused, AlreadyThere, Unavailable, or for a write Unknown."""
        ends = time.monotonic() + self.seconds_for(call)
        for tries in count(1):
            try:
                return await self._once(call, access, left_s=ends - time.monotonic())
            except VenueError as failure:
                wait_s = self.wait(call, failure, tries=tries, left_s=ends - time.monotonic())
                if wait_s is None:
                    raise
            await self._pause(wait_s)
        raise AssertionError("not reached")

    async def take_note(self, answer: Answer) -> None:
        """What a venue's answers tell of its budget, whatever else they say."""

    async def _once(self, call: AnyCall, access: Any, *, left_s: float) -> Any:
        request = self.request_of(call, access)
        await self.budget.take_async(call.cost, owner=access.owner if access else None, weight=call.weight)
        sent = self._clock()
        try:
            with REQUEST_SECONDS.labels(self.venue, call.name).time():
                answer = await fetch_async(self._http, request, timeout_s=left_s)
        except httpx.HTTPError as exc:
            raise failure_of(exc, is_write=call.is_write) from exc
        await self.take_note(answer)
        try:
            return self.judge(call, answer, access=access, sent=sent)
        except Throttled as limited:
            await self.budget.pause_async(limited.retry_after_s or 0)
            raise

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()
