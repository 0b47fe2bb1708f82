"""How far a venue's clock is ahead of ours, from what its answers say: the median of the latest."""

import threading
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from statistics import median

from astrade.core.clock import to_ms
from astrade.venues.metrics import CLOCK_OFFSET

KEPT = 31
HALF_A_SECOND_MS = 500  # a `Date` header is cut to the second


class ClockOffset:
    """One venue's, as one process sees it; safe for threads."""

    def __init__(self, venue: str) -> None:
        self._venue, self._lock = venue, threading.Lock()
        self._seen: deque[int] = deque(maxlen=KEPT)

    def note_headers(self, headers: Mapping[str, str], *, sent: datetime, received: datetime) -> None:
        """An answer's `Date`, held against the middle between sending and receiving; without one nothing is noted."""
        try:
            told_ms = to_ms(parsedate_to_datetime(headers["Date"])) + HALF_A_SECOND_MS
        except (KeyError, ValueError, TypeError):
            return
        self.note(told_ms - to_ms(sent + (received - sent) / 2))

    def note(self, offset_ms: int) -> None:
        """One observation."""
        with self._lock:
            self._seen.append(offset_ms)
            CLOCK_OFFSET.labels(self._venue).set(median(self._seen) / 1000)

    def ms(self) -> int | None:
        """Milliseconds the venue is ahead, negative behind; None before any answer."""
        with self._lock:
            return int(median(self._seen)) if self._seen else None
