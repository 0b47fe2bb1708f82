"""What the clients for threads and for event loops share: everything but waiting."""

from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

from django.conf import settings

from astrade.core.clock import Clock, system_clock
from astrade.core.randomness import Randomness, system_randomness
from astrade.venues.budget import Budget
from astrade.venues.errors import Throttled, Unavailable, VenueError
from astrade.venues.extended.calls import Access, Call, answer_of
from astrade.venues.extended.profiles import Profile
from astrade.venues.metrics import FAILURES
from astrade.venues.offsets import ClockOffset
from astrade.venues.transport import Answer, wait_before

T = TypeVar("T")
VENUE = "extended"


@lru_cache(maxsize=4)
def offset_at(host: str) -> ClockOffset:
    """The process's measure of that host's clock, for all its clients and streams."""
    return ClockOffset(VENUE)


def clock_offset_ms(profile: Profile) -> int | None:
    """How far the venue's clock is ahead of ours, as this process saw it lately; None before any answer."""
    return offset_at(profile.host).ms()


class Sending:
    """One profile's budget and clock offset, and what becomes of answers and failures."""

    def __init__(
        self,
        profile: Profile,
        *,
        clock: Clock = system_clock,
        randomness: Randomness = system_randomness,
        budget: Budget | None = None,
    ) -> None:
        self.profile, self._clock, self._randomness = profile, clock, randomness
        self.budget = budget or Budget(profile.host, per_minute=settings.EXTENDED_REQUESTS_PER_MIN, clock=clock)

    def seconds_for(self, call: Call[Any]) -> float:
        """How long a call may take with all its tries."""
        seconds: float = settings.VENUE_WRITE_TIMEOUT_S if call.is_write else settings.VENUE_READ_TIMEOUT_S
        return seconds

    def judge(self, call: Call[T], answer: Answer, *, access: Access | None, sent: datetime) -> T:
        """What was answered, or the failure it is."""
        now = self._clock()
        offset_at(self.profile.host).note_headers(answer.headers, sent=sent, received=now)
        return answer_of(call, answer, access=access, now=now)

    def wait(self, call: Call[Any], failure: VenueError, *, tries: int, left_s: float) -> float | None:
        """Seconds until another try, None for none: only reads are repeated, and not where our own budget said no."""
        FAILURES.labels(VENUE, call.name, type(failure).__name__).inc()
        is_ours = isinstance(failure, Throttled) and not failure.is_from_venue
        if call.is_write or is_ours or not isinstance(failure, Unavailable):
            return None
        return wait_before(tries, failure, randomness=self._randomness, left_s=left_s)
