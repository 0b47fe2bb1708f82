"""What a client of the real exchange has to survive (extended-api.md §14), by name.

Where a fault is made to happen is with what it disturbs: requests in `server`, streams in `sockets`, orders in
`matching`.
"""

from collections.abc import Mapping

from astrade.emulators.extended.modes import Mode
from astrade.emulators.faults import CHANGES, REQUESTS, STREAMS

CATALOGUE: Mapping[str, str] = {
    # requests that change something
    **CHANGES,
    "error_in_200": "an order is refused with status ERROR in an answer with 200",
    "duplicate_execution_refused": "carried out, and answered as if it were the second time: 1134",
    # any request
    **REQUESTS,
    "lookup_lag": "an order can't be looked up yet",
    "key_revoked": "no API key is known any more: 401",
    "clock_skew": "the exchange's clock is 90 s ahead",
    # the engine
    "fill_overtakes_ack": "the account stream tells of an order before the request is answered",
    "late_refusal": "accepted by REST, then REJECTED",
    "replace_cancels_both": "neither the old order nor its replacement lives on",
    "cancel_crosses_fill": "an order is filled while it is being cancelled",
    "partial_fill_then_silence": "half of a resting order is filled, then the account's streams fall silent",
    "leverage_refused": "1052",
    **{mode.value: "orders are refused" for mode in Mode},
    # streams
    **STREAMS,
    "unknown_status": "an order's status that the documentation has and the SDK has not",
}
