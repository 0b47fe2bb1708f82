"""How venues answer, by the name of the call: never by path, which may hold an id (DESIGN §7)."""

from astrade.core.metrics import counter, gauge, histogram

REQUEST_SECONDS = histogram("astrade_venue_request_seconds", "Time a venue took to answer", ["venue", "call"])
FAILURES = counter("astrade_venue_failures_total", "Calls to a venue without a good answer", ["venue", "call", "kind"])
CLOCK_OFFSET = gauge("astrade_venue_clock_offset_seconds", "How far a venue's clock is ahead of ours", ["venue"])
