"""A REST call to Binance as a value, without I/O: what goes out, and how its answer is read (binance-api.md §3, §8)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from astrade.venues.binance.profiles import Profile
from astrade.venues.binance.public_wire import ErrorBody
from astrade.venues.binance.refusals import TOO_MANY, UNDECIDED, reason_of
from astrade.venues.budget import Cost
from astrade.venues.errors import VENUE_LIMIT, Refused, Throttled, Unavailable, Unknown, VenueError
from astrade.venues.transport import THROTTLED_S, Answer, Request, retry_after_s
from astrade.venues.wire import decode

T = TypeVar("T")
BASE = "/api/v3"
LIMITED, BANNED = 429, 418
BAN_MAX_S = 3 * 24 * 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One endpoint with its arguments. `name` is what metrics call it, `weight` what it counts of the limit."""

    name: str
    path: str
    kind: Any  # what the answer is read as
    weight: int
    method: str = "GET"
    query: Sequence[tuple[str, str]] = ()
    cost: Cost = Cost.READ

    @property
    def is_write(self) -> bool:
        return self.method != "GET"


def query_of(**values: Any) -> tuple[tuple[str, str], ...]:
    """Query parameters; what is None is left out."""
    return tuple((name, str(value)) for name, value in values.items() if value is not None)


def request_of(call: Call[Any], profile: Profile) -> Request:
    """What goes out."""
    url = profile.rest_url + BASE + call.path
    return Request(method=call.method, url=url, headers={"Accept": "application/json"}, query=call.query)


def answer_of(call: Call[T], answer: Answer, *, now: datetime) -> T:
    """What the venue answered.

    Raises Refused for what it said, Throttled for 429 and for a ban, whose end it names. Anything else that can't be
    read, a 5xx and the numbers that leave it open are Unknown for a write, Unavailable for a read.
    """
    if answer.status in (LIMITED, BANNED):
        after_s = retry_after_s(answer.headers, now=now, most_s=BAN_MAX_S)
        raise Throttled(VENUE_LIMIT, retry_after_s=after_s or THROTTLED_S)
    if answer.status == 200:
        try:
            read: T = decode(answer.body, call.kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise _undecided(call, "unreadable_answer") from exc
        return read
    error = _error(answer)
    if error is not None and error.code in TOO_MANY:
        raise Throttled(VENUE_LIMIT, retry_after_s=THROTTLED_S)
    if error is None or answer.status >= 500 or error.code in UNDECIDED:
        raise _undecided(call, f"http_{answer.status}")
    raise Refused(reason_of(error.code, message=error.msg), venue_code=error.code, venue_message=error.msg)


def _error(answer: Answer) -> ErrorBody | None:
    """The answer's error; None where there is none that can be read, as before the venue's firewall."""
    try:
        error: ErrorBody = decode(answer.body, ErrorBody)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return error


def _undecided(call: Call[Any], cause: str) -> VenueError:
    return Unknown(cause) if call.is_write else Unavailable(cause)
