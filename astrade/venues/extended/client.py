"""Sends calls to Extended from threads: requests, tasks, commands.

    client = client_of(profile)                         one a process and profile, safe for threads
    client.send(account_calls.balance(), access)        the answer, or one of venues.errors

A read is tried up to three times within `VENUE_READ_TIMEOUT_S`, a write once.
"""

import os
import time
from collections.abc import Callable
from functools import lru_cache
from itertools import count
from typing import Any, TypeVar

import httpx

from astrade.venues.errors import Throttled, VenueError
from astrade.venues.extended.calls import Access, Call
from astrade.venues.extended.profiles import Profile
from astrade.venues.extended.sending import VENUE, Sending
from astrade.venues.metrics import REQUEST_SECONDS
from astrade.venues.transport import failure_of, fetch, new_http

T = TypeVar("T")


class Client(Sending):
    """See the module's first lines; `sources` are those of `Sending`."""

    def __init__(self, profile: Profile, *, pause: Callable[[float], None] = time.sleep, **sources: Any) -> None:
        super().__init__(profile, **sources)
        self._pause = pause
        self._http = new_http()

    def send(self, call: Call[T], access: Access | None = None) -> T:
        """Send and read the answer; `access` is needed for what is private.

        Raises Refused, AlreadyThere, Unavailable, or for a write Unknown.
        """
        ends = time.monotonic() + self.seconds_for(call)
        for tries in count(1):
            try:
                return self._once(call, access, left_s=ends - time.monotonic())
            except VenueError as failure:
                wait_s = self.wait(call, failure, tries=tries, left_s=ends - time.monotonic())
                if wait_s is None:
                    raise
            self._pause(wait_s)
        raise AssertionError("not reached")

    def _once(self, call: Call[T], access: Access | None, *, left_s: float) -> T:
        request = self.request_of(call, access)
        self.budget.take(call.cost, owner=access.owner if access else None, weight=call.weight)
        sent = self._clock()
        try:
            with REQUEST_SECONDS.labels(VENUE, call.name).time():
                answer = fetch(self._http, request, timeout_s=left_s)
        except httpx.HTTPError as exc:
            raise failure_of(exc, is_write=call.is_write) from exc
        try:
            answered: T = self.judge(call, answer, access=access, sent=sent)
            return answered
        except Throttled as limited:
            self.budget.pause(limited.retry_after_s or 0)
            raise

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()


@lru_cache(maxsize=4)
def client_of(profile: Profile) -> Client:
    """The process's client for a profile."""
    return Client(profile)


os.register_at_fork(after_in_child=client_of.cache_clear)  # a connection has one owner
