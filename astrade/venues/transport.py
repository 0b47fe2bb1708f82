"""HTTP to venues: one request out, one whole answer or one failure of a known kind back (`errors`).

    http = new_http()                                     or new_async_http(); pools its connections
    answer = fetch(http, request, timeout_s=8)            await fetch_async(…)
    failure_of(exc, is_write=True)                        what a broken exchange means
    wait_before(tries, failure, randomness=…, left_s=…)   how long to wait before a read is tried again

Redirects aren't followed, the environment's proxies aren't used, an answer has a largest size. A write is never tried
twice here: not even on a connection that turned out to be stale.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

import httpx
from django.conf import settings

from astrade.core.randomness import Randomness
from astrade.venues.errors import TimedOut, Unavailable, Unknown, VenueError

USER_AGENT = f"AsTrade/{settings.SPECTACULAR_SETTINGS['VERSION']}"
HEADERS = {"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"}
READ_TRIES = 3
NOT_AUTHENTICATED, TOO_MANY = 401, 429
THROTTLED_S = 5  # to wait after a 429 that names no time
BACKOFF_S = 0.2  # before the second try at most, doubled before the next
RETRY_AFTER_MAX_S = 600
IDLE_S = 30.0  # how long a connection is kept
# What these raise, they raise before a byte of the request was sent.
NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_MICROS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What goes out. The headers hold keys and aren't shown."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    query: Sequence[tuple[str, str]] = ()
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, whatever its status."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def is_json(self) -> bool:
        """Whether it says so itself."""
        kind: str = self.headers.get("Content-Type", "")
        return kind.partition(";")[0].strip().lower() == "application/json"


class AnswerTooLarge(httpx.HTTPError):
    """More than `VENUE_ANSWER_BYTES_MAX`."""


def new_http() -> httpx.HTTPTransport:
    """A pool for one process; safe for threads. A client's redirects, cookies and hooks, which no venue's call uses,
    would take as long as the rest.
    """
    return httpx.HTTPTransport(limits=_limits(), trust_env=False)


def new_async_http() -> httpx.AsyncHTTPTransport:
    """A pool for one event loop."""
    return httpx.AsyncHTTPTransport(limits=_limits(), trust_env=False)


def fetch(http: httpx.HTTPTransport, request: Request, *, timeout_s: float) -> Answer:
    """Send and read the answer to its end. Raises httpx.HTTPError.

    A body that trickles is cut at `timeout_s`. Of what comes before it each step has that long: connecting, sending,
    each piece of the headers.
    """
    ends = time.monotonic() + timeout_s
    body = bytearray()
    with closing(http.handle_request(_outgoing(request, timeout_s))) as response:
        for part in response.iter_bytes():
            _take(body, part)
            if time.monotonic() > ends:
                raise httpx.ReadTimeout("the answer takes too long")
    return Answer(response.status_code, response.headers, bytes(body))


async def fetch_async(http: httpx.AsyncHTTPTransport, request: Request, *, timeout_s: float) -> Answer:
    """The same on an event loop; nothing lasts longer than `timeout_s`."""
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            response = await http.handle_async_request(_outgoing(request, timeout_s))
            try:
                async for part in response.aiter_bytes():
                    _take(body, part)
            finally:
                await response.aclose()
    except TimeoutError as exc:
        raise httpx.ReadTimeout("the answer takes too long") from exc
    return Answer(response.status_code, response.headers, bytes(body))


def failure_of(exc: httpx.HTTPError, *, is_write: bool) -> VenueError:
    """What a call that got no answer ended in. A write counts as not sent only where that is certain."""
    if isinstance(exc, NEVER_LEFT):
        return Unavailable("not_connected")
    if isinstance(exc, AnswerTooLarge):
        cause = "answer_too_large"
    else:
        cause = "timeout" if isinstance(exc, httpx.TimeoutException) else "broken_connection"
    if is_write:
        return Unknown(cause)
    return TimedOut(cause) if cause == "timeout" else Unavailable(cause)


def wait_before(tries: int, failure: Unavailable, *, randomness: Randomness, left_s: float) -> float | None:
    """Seconds until a read that failed `tries` times is tried again; None when it isn't, or not within `left_s`.

    Half to all of the backoff, and never less than the venue asked for.
    """
    if tries >= READ_TRIES:
        return None
    backoff_s = BACKOFF_S * 2 ** (tries - 1)
    wait_s = backoff_s * (0.5 + randomness.randrange(0, _MICROS) / _MICROS / 2) + (failure.retry_after_s or 0)
    return wait_s if wait_s < left_s else None


def retry_after_s(headers: Mapping[str, str], *, now: datetime, most_s: int = RETRY_AFTER_MAX_S) -> int | None:
    """`Retry-After` in whole seconds, `most_s` at most, given as such or as an HTTP date; None where it says nothing of
    use."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return min(int(text[:6]), most_s)
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    seconds = -((now - then.replace(tzinfo=then.tzinfo or UTC)).total_seconds() // 1)
    return min(max(0, int(seconds)), most_s)


@lru_cache(maxsize=256)
def _url(text: str) -> httpx.URL:
    return httpx.URL(text)


def _limits() -> httpx.Limits:
    most = settings.VENUE_CONNECTIONS_MAX
    return httpx.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=IDLE_S)


def _outgoing(request: Request, timeout_s: float) -> httpx.Request:
    connect_s = min(settings.VENUE_CONNECT_TIMEOUT_S, timeout_s)
    timeout = httpx.Timeout(timeout_s, connect=connect_s, pool=connect_s)
    return httpx.Request(
        request.method,
        _url(request.url),
        params=list(request.query) or None,
        headers={**HEADERS, **request.headers},
        content=request.body,
        extensions={"timeout": timeout.as_dict()},
    )


def _take(body: bytearray, part: bytes) -> None:
    body += part
    if len(body) > settings.VENUE_ANSWER_BYTES_MAX:
        raise AnswerTooLarge("the answer is too large")
