"""What the clients for threads and for event loops share: what goes to Extended, and how its answers are read."""

from datetime import datetime
from typing import Any

from django.conf import settings

from astrade.venues import sending
from astrade.venues.extended.calls import Access, Call, answer_of, request_of
from astrade.venues.extended.profiles import Profile
from astrade.venues.sending import offset_at
from astrade.venues.transport import Answer, Request

VENUE = "extended"


def clock_offset_ms(profile: Profile) -> int | None:
    """How far the venue's clock is ahead of ours, as this process saw it lately; None before any answer."""
    return offset_at(VENUE, profile.host).ms()


class Sending(sending.Sending):
    """One profile's; `sources` are those of `venues.sending.Sending`."""

    venue = VENUE

    def __init__(self, profile: Profile, **sources: Any) -> None:
        self.profile = profile
        super().__init__(profile.host, per_minute=settings.EXTENDED_REQUESTS_PER_MIN, **sources)

    def request_of(self, call: Call[Any], access: Access | None) -> Request:
        return request_of(call, self.profile, access)

    def answer_of(self, call: Call[Any], answer: Answer, *, access: Access | None, now: datetime) -> Any:
        return answer_of(call, answer, access=access, now=now)
