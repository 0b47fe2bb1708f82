"""Named faults, seeded and switched by name: what a client of a real venue has to survive.

A scenario is `name[:share][,name[:share]…]`; a share of 0.1 lets a fault strike one time in ten, drawn from the seed.
Each venue has a catalogue of its own; where a fault is made to happen is with what it disturbs.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from random import Random

GATEWAY_STATUSES = (500, 502, 503, 504)
BEFORE = {f"error_{status}_before_accept": status for status in GATEWAY_STATUSES}
AFTER = {f"error_{status}_after_accept": status for status in GATEWAY_STATUSES}
CHANGES: Mapping[str, str] = {  # requests that change something
    "accept_then_timeout": "carried out, and never answered",
    "reset_before_accept": "connection reset before anything was done",
    "reset_after_accept": "carried out, then connection reset",
    **dict.fromkeys(BEFORE, "nothing done, an error of the gateway"),
    **dict.fromkeys(AFTER, "carried out, and answered with an error of the gateway"),
}
REQUESTS: Mapping[str, str] = {  # any request
    "rate_limited": "429",
    "rate_limited_retry_after": "429 with Retry-After",
    "slow_loris": "the answer comes byte by byte",
    "wrong_content_type": "JSON that is called text/html",
    "truncated_json": "the answer ends in its middle",
    "empty_answer": "200 without a body",
    "stale_snapshot": "reads answer what they answered before",
}
STREAMS: Mapping[str, str] = {
    "stream_refused": "no stream is opened: 503",
    "stream_duplicate": "a message comes twice",
    "stream_reorder": "a message comes after the next one",
    "stream_late": "a message comes late",
    "stream_missing": "a message is left out, the numbers go on",
    "sequence_gap": "a message is left out, its number is missing",
    "disconnect_mid_frame": "the connection breaks within a message",
    "disconnect_before_message": "the connection breaks instead of a message",
    "stream_silence": "nothing is sent any more",
    "heartbeat_stops": "no pings",
}


class UnknownFault(ValueError):
    """A scenario names no fault or no share; the message says which."""


class Faults:
    """The faults of `catalogue` (name to description) that are switched on."""

    def __init__(self, scenario: str = "", *, seed: int, catalogue: Mapping[str, str]) -> None:
        self.catalogue, self._seed = catalogue, seed
        self.shares: Mapping[str, Decimal] = {}
        self._dice: dict[str, Random] = {}
        self.switch(scenario)

    def switch(self, scenario: str) -> None:
        """Replace what is switched on. Raises UnknownFault and changes nothing if a part can't be read."""
        self.shares = dict(self._parse(part.strip()) for part in scenario.split(",") if part.strip())

    def is_on(self, name: str) -> bool:
        """Whether the fault is switched on at all; for those that are a state and not an event."""
        return name in self.shares

    def hits(self, name: str) -> bool:
        """Whether it strikes now; the same calls under the same seed get the same answers."""
        share = self.shares.get(name)
        if share is None:
            return False
        dice = self._dice.setdefault(name, Random(f"{self._seed}:{name}"))
        return Decimal(dice.getrandbits(32)) < share * 2**32

    def first_hit(self, names: Mapping[str, int]) -> int | None:
        """The value of the first of `names` that strikes."""
        return next((value for name, value in names.items() if self.hits(name)), None)

    def _parse(self, part: str) -> tuple[str, Decimal]:
        name, colon, share = part.partition(":")
        if name not in self.catalogue:
            raise UnknownFault(f"{name!r} is no fault; there are: {', '.join(self.catalogue)}")
        try:
            value = Decimal(share) if colon else Decimal(1)
        except InvalidOperation:
            raise UnknownFault(f"{share!r} is no share") from None
        if not 0 <= value <= 1:
            raise UnknownFault("a share lies between 0 and 1")
        return name, value
