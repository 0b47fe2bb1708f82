"""Sends calls to Extended from an event loop; as `client` in everything else.

client = AsyncClient(profile)                       one an event loop
await client.send(account_calls.balance(), access)
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, TypeVar

import httpx

from astrade.venues.errors import Throttled, VenueError
from astrade.venues.extended.calls import Access, Call, request_of
from astrade.venues.extended.profiles import Profile
from astrade.venues.extended.sending import VENUE, Sending
from astrade.venues.metrics import REQUEST_SECONDS
from astrade.venues.transport import failure_of, fetch_async, new_async_http

T = TypeVar("T")


class AsyncClient(Sending):
    """See the module's first lines; `sources` are those of `Sending`."""

    def __init__(
        self, profile: Profile, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep, **sources: Any
    ) -> None:
        super().__init__(profile, **sources)
        self._pause = pause
        self._http = new_async_http()

    async def send(self, call: Call[T], access: Access | None = None) -> T:
        """As `Client.send`."""
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

    async def _once(self, call: Call[T], access: Access | None, *, left_s: float) -> T:
        request = request_of(call, self.profile, access)
        await self.budget.take_async(call.cost, owner=access.owner if access else None)
        sent = self._clock()
        try:
            with REQUEST_SECONDS.labels(VENUE, call.name).time():
                answer = await fetch_async(self._http, request, timeout_s=left_s)
        except httpx.HTTPError as exc:
            raise failure_of(exc, is_write=call.is_write) from exc
        try:
            return self.judge(call, answer, access=access, sent=sent)
        except Throttled as limited:
            await self.budget.pause_async(limited.retry_after_s or 0)
            raise

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()
