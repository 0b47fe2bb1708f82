"""What a call to a venue can end in besides an answer: three kinds that a caller can rely on, whatever the venue.

Refused         the venue looked at the call and said no: nothing was done, and asking the same again changes nothing
Unavailable     nothing was done, later it may go: the call never left, a limiter stopped it, or it only was to read
Unknown         the call was to change something, and nobody knows whether it did: look before anything is tried again

An order that is told to exist already (`AlreadyThere`) is none of them: it proves that an earlier try arrived.
"""

from collections.abc import Mapping
from typing import Any

from astrade.core.errors import AstradeError
from astrade.core.logging import masked_text

VENUE_LIMIT, OWN_BUDGET = "venue_limit", "own_budget"  # who said that it is enough
WORDS_MAX = 300  # of a venue's words, as they are shown


class VenueError(AstradeError):
    code, message = 5000, "Rejected by the venue"


class InvalidVenueCredentials(VenueError):
    code, message = 5001, "Invalid venue credentials"


class InvalidSignature(VenueError):
    code, message = 5002, "Invalid signature"


class Refused(VenueError):
    """The venue said no. `reason` is the fault in our own words, whose code and message it takes over.

    `venue_code` is the venue's number (or word) and None where it gave none; its text is in `details`.
    """

    def __init__(self, reason: type[AstradeError], *, venue_code: int | str | None, venue_message: str) -> None:
        self.reason, self.venue_code = reason, venue_code
        self.code = reason.code
        super().__init__(reason.message, details=told(venue_code, venue_message))


class AlreadyThere(VenueError):
    """The venue knows an order of this id: the first try arrived. What became of it is for a look-up to tell."""

    code, message = 3013, "The venue already has an order of this id"

    def __init__(self, *, venue_code: int | str | None, venue_message: str) -> None:
        super().__init__(details=told(venue_code, venue_message))


class Unknown(VenueError):
    """A write whose outcome nobody knows; `cause` says in a word why."""

    code, message = 5005, "Outcome unknown, being reconciled"

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__(details={"cause": cause})


class Unavailable(VenueError):
    """The venue couldn't be reached or gave no answer that can be read; nothing was changed there."""

    code, message = 5004, "The venue is unavailable"

    def __init__(self, cause: str, *, retry_after_s: int | None = None) -> None:
        self.cause = cause
        super().__init__(details={"cause": cause}, retry_after_s=retry_after_s)


class TimedOut(Unavailable):
    """A read that was not answered in time."""

    code, message = 5003, "The venue did not answer in time"


class Throttled(Unavailable):
    """The limit on calls to the venue is reached, by our own count or by the venue's: the call was not carried out."""

    code, message = 1201, "The venue's rate limit is reached"

    @property
    def is_from_venue(self) -> bool:
        return self.cause == VENUE_LIMIT


def told(venue_code: int | str | None, venue_message: str) -> Mapping[str, Any]:
    """A venue's number and words as details, with what looks like a secret blanked."""
    return {"venue_code": venue_code, "venue_message": masked_text(venue_message)[:WORDS_MAX]}


class StreamBroken(Unavailable):
    """A stream ended; what it would have told is to be fetched."""

    message = "The venue's stream broke"


class StreamGap(StreamBroken):
    """A stream's numbers don't follow each other: something was lost, or came twice or in another order."""

    message = "The venue's stream has a gap"


class StreamSilent(StreamBroken):
    """No sign of life, or nothing of what a stream is to tell regularly."""

    message = "The venue's stream is silent"
