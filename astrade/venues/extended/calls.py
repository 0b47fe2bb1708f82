"""A REST call to Extended as a value, without I/O: what goes out, and how its answer is read (extended-api.md §2–§4).

    call = account_calls.positions("BTC-USD")           account_calls, order_calls, public_calls make them
    request = request_of(call, profile, access)
    positions = answer_of(call, answer, access=access, now=…)     raises one of venues.errors

`client.Client` and `aio.AsyncClient` send them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec
import orjson

from astrade.core.logging import MASK
from astrade.venues.budget import Cost
from astrade.venues.errors import (
    VENUE_LIMIT,
    AlreadyThere,
    InvalidVenueCredentials,
    Refused,
    Throttled,
    Unavailable,
    Unknown,
    VenueError,
)
from astrade.venues.extended.profiles import Profile
from astrade.venues.extended.refusals import DUPLICATE_ORDER, Reasons, reason_of
from astrade.venues.extended.wire import Envelope, ErrorBody, Page
from astrade.venues.transport import NOT_AUTHENTICATED, THROTTLED_S, TOO_MANY, Answer, Request, retry_after_s
from astrade.venues.wire import decode

T = TypeVar("T")
OK = (200, 201, 204)
NOT_FOUND = 404
ABSENT = Envelope(status="OK")
HEADERS: Mapping[str, str] = {"Accept": "application/json", "Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Access:
    """The API key that selects a sub-account; `owner` is the row id of its user, among whom the budget is shared.

    Raises InvalidVenueCredentials for what can't be a key.
    """

    api_key: str = field(repr=False)
    owner: int

    def __post_init__(self) -> None:
        if not (self.api_key.isascii() and self.api_key.isprintable()) or " " in self.api_key or not self.api_key:
            raise InvalidVenueCredentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One endpoint with its arguments. `name` is what metrics call it."""

    name: str
    path: str  # after the base URL, already quoted
    read: Callable[[Envelope], T]
    method: str = "GET"
    query: Sequence[tuple[str, str]] = ()
    body: Any = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # its own, besides those of every call
    cost: Cost = Cost.READ
    is_private: bool = True
    onboards: bool = False  # whether it goes to the base URL of onboarding
    manages_orders: bool = False  # whether it goes to the base URL of order management
    places: bool = False  # whether 1134 proves that it was taken before
    may_be_empty: bool = False  # whether a good answer without a body acknowledges it
    may_be_absent: bool = False  # whether the venue's 404 is an answer: no data
    reasons: Reasons = field(default_factory=dict)

    @property
    def weight(self) -> int:
        """All calls count alike (§4)."""
        return 1

    @property
    def is_write(self) -> bool:
        return self.method != "GET"


def quoted(text: str) -> str:
    """A part of a path."""
    return quote(text, safe="")


def query_of(**values: Any) -> tuple[tuple[str, str], ...]:
    """Query parameters: what is None is left out, a sequence is repeated."""
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        many = value if isinstance(value, list | tuple | frozenset) else [value]
        pairs += [(name, str(one)) for one in many if one is not None]
    return tuple(pairs)


def one(kind: type[T]) -> Callable[[Envelope], T]:
    """Reads `data` as one value."""
    return partial(_decoded, kind=kind)


def one_or_none(kind: type[T]) -> Callable[[Envelope], T | None]:
    """The same where there may be none."""
    return partial(_decoded, kind=kind | None)


def rows(kind: type[T]) -> Callable[[Envelope], list[T]]:
    """Reads `data` as a list; no data is an empty one."""
    read = one_or_none(list[kind])  # type: ignore[valid-type]
    return lambda envelope: read(envelope) or []


def page(kind: type[T]) -> Callable[[Envelope], Page[T]]:
    """Reads `data` as a list with its cursor; an empty page is the last one."""
    read = rows(kind)

    def whole(envelope: Envelope) -> Page[T]:
        found = read(envelope)
        return Page(found, envelope.pagination.cursor if found and envelope.pagination else None)

    return whole


def nothing(envelope: Envelope) -> None:
    """Reads an acknowledgement."""


def request_of(call: Call[Any], profile: Profile, access: Access | None) -> Request:
    """What goes out. A private call needs `access`."""
    headers = {**HEADERS, **call.headers}
    if call.is_private:
        if access is None:
            raise InvalidVenueCredentials
        headers |= {"X-Api-Key": access.api_key}
    base = profile.orders_url if call.manages_orders else profile.rest_url
    if call.onboards:
        base = profile.onboarding_url
    body = None if call.body is None else orjson.dumps(call.body)
    return Request(method=call.method, url=base + call.path, headers=headers, query=call.query, body=body)


def answer_of(call: Call[T], answer: Answer, *, access: Access | None, now: datetime) -> T:
    """What the venue answered.

    Raises Refused and AlreadyThere for what it said, Throttled for 429: the limiter stands before everything that
    could carry a call out (§4), so it was not. Anything else that can't be read is Unknown for a write, Unavailable
    for a read: an error of a gateway, HTML, half an answer, a redirect.
    """
    if answer.status == TOO_MANY:
        raise Throttled(VENUE_LIMIT, retry_after_s=retry_after_s(answer.headers, now=now) or THROTTLED_S)
    envelope = _envelope(call, answer)
    is_good = answer.status in OK
    if envelope is not None and is_good and envelope.status == "OK":
        try:
            return call.read(envelope)
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise _unreadable(call, "unreadable_answer") from exc
    if answer.status == NOT_AUTHENTICATED:
        raise _refusal(call, envelope.error if envelope else None, answer.status, access)
    says_no = envelope is not None and envelope.status == "ERROR" and (is_good or 400 <= answer.status < 500)
    if envelope is None or not says_no:
        raise _unreadable(call, "unreadable_answer" if is_good else f"http_{answer.status}")
    if call.may_be_absent and answer.status == NOT_FOUND:
        return call.read(ABSENT)
    raise _refusal(call, envelope.error, answer.status, access)


def _decoded(envelope: Envelope, kind: Any) -> Any:
    return decode(envelope.data, kind)


def _envelope(call: Call[Any], answer: Answer) -> Envelope | None:
    """The answer's envelope; None where there is none that can be read."""
    if not answer.body and call.may_be_empty and answer.status in OK:
        return ABSENT
    if not answer.is_json:
        return None
    try:
        envelope: Envelope = decode(answer.body, Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return envelope


def _unreadable(call: Call[Any], cause: str) -> VenueError:
    return Unknown(cause) if call.is_write else Unavailable(cause)


def _refusal(call: Call[Any], error: ErrorBody | None, status: int, access: Access | None) -> VenueError:
    code, message = (error.code, error.message) if error else (None, "")
    if access is not None:
        message = message.replace(access.api_key, MASK)
    if call.places and code == DUPLICATE_ORDER:
        return AlreadyThere(venue_code=code, venue_message=message)
    return Refused(reason_of(code, status=status, special=call.reasons), venue_code=code, venue_message=message)
