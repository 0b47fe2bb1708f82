"""What a client of the real exchange has to survive (binance-api.md §12), by name.

Where a fault is made to happen is with what it disturbs: requests in `server`, streams in `streams` and `user_stream`,
orders in `matching`.
"""

from collections.abc import Mapping

from astrade.emulators.faults import CHANGES, REQUESTS, STREAMS

CATALOGUE: Mapping[str, str] = {
    # requests that change something
    **CHANGES,
    "timeout_before_accept": "nothing done, and never answered",
    "unknown_after_accept": "carried out, and answered 504 with -1007",
    "overloaded_after_accept": "carried out, and answered 503 with -1008",
    "duplicate_execution_refused": "an order is carried out, and answered as if it were the second time: -2010",
    # any request
    **REQUESTS,
    "banned": "418 with Retry-After",
    "waf_blocked": "403 with a page instead of JSON",
    "lookup_lag": "an order can't be looked up yet: -2013",
    "key_revoked": "no API key is known any more: -2015",
    "clock_skew": "the exchange's clock is 90 s ahead",
    # the engine
    "market_closed": "orders are refused: -2010",
    "fill_overtakes_ack": "the user stream tells of an order before the request is answered",
    "cancel_crosses_fill": "an order is filled while it is being cancelled: -2011",
    "replace_half_done": "the old order is cancelled and the new one refused: 409 with -2021",
    "partial_fill_then_silence": "half of a resting order is filled, then the account's user stream falls silent",
    # streams
    **STREAMS,
    "server_shutdown": "serverShutdown, then the connection is closed",
    "user_stream_terminated": "eventStreamTerminated, then nothing of the account",
    "unknown_status": "an order's status that is documented as unused",
}
