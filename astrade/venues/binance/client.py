"""Sends calls to Binance from an event loop.

    client = AsyncClient(profile)                       one an event loop
    await client.send(public_calls.depth("BTCUSDT"))    the answer, or one of venues.errors

The limit is counted by weight and for our address: all processes share one budget, which the venue's own count
(`X-MBX-USED-WEIGHT-1M`) corrects. After a 429 or a ban nobody sends until the venue says so.
"""

from datetime import datetime
from typing import Any, TypeVar

from django.conf import settings

from astrade.venues.binance.calls import Call, answer_of, request_of
from astrade.venues.binance.profiles import Profile
from astrade.venues.sending import AsyncSending
from astrade.venues.transport import Answer, Request

T = TypeVar("T")
VENUE = "binance"
USED = "X-MBX-USED-WEIGHT-1M"


class AsyncClient(AsyncSending):
    """See the module's first lines; `sources` are those of `AsyncSending`."""

    venue = VENUE

    def __init__(self, profile: Profile, **sources: Any) -> None:
        self.profile = profile
        super().__init__(profile.host, per_minute=settings.BINANCE_WEIGHT_PER_MIN, **sources)

    async def send(self, call: Call[T]) -> T:
        """Send and read the answer. Raises Refused, Unavailable, or for a write Unknown."""
        answer: T = await self.carry_out(call)
        return answer

    def request_of(self, call: Call[Any], access: None) -> Request:
        return request_of(call, self.profile)

    def answer_of(self, call: Call[Any], answer: Answer, *, access: None, now: datetime) -> Any:
        return answer_of(call, answer, now=now)

    async def take_note(self, answer: Answer) -> None:
        used = answer.headers.get(USED, "")
        if used.isdecimal():
            await self.budget.note_async(int(used))
