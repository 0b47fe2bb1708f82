"""What the exchange counts (binance-api.md §4): weight and connections by address, unfilled orders by account.

Whoever exceeds the weight is answered 429, whoever goes on after that is banned: 418, twice as long each time.
"""

from dataclasses import dataclass, field
from typing import Any

from astrade.emulators.binance.refusals import Code, Refused, too_many
from marketdata.timeframes import DAY_MS, MINUTE_MS

TEN_SECONDS_MS, FIVE_MINUTES_MS = 10_000, 5 * MINUTE_MS
IGNORED_MAX = 5  # refusals in a minute that are overlooked; the next one bans
FIRST_BAN_MS, LONGEST_BAN_MS = 2 * MINUTE_MS, 3 * DAY_MS


@dataclass(frozen=True, slots=True)
class Limits:
    """What `exchangeInfo` names as limits."""

    weight_1m: int = 6_000
    raw_5m: int = 300_000
    orders_10s: int = 50
    orders_1d: int = 160_000
    connections_5m: int = 300

    def bodies(self) -> list[dict[str, Any]]:
        """As `rateLimits` has them."""
        return [
            _body("REQUEST_WEIGHT", "MINUTE", 1, self.weight_1m),
            *self.order_bodies(),
            _body("RAW_REQUESTS", "MINUTE", 5, self.raw_5m),
        ]

    def order_bodies(self) -> list[dict[str, Any]]:
        """The same for orders only."""
        return [_body("ORDERS", "SECOND", 10, self.orders_10s), _body("ORDERS", "DAY", 1, self.orders_1d)]


class Window:
    """A count that begins anew with each interval of the clock."""

    def __init__(self, length_ms: int) -> None:
        self._length_ms, self._number, self._count = length_ms, -1, 0

    def count(self, now_ms: int) -> int:
        """What was counted in the present interval."""
        if now_ms // self._length_ms != self._number:
            self._number, self._count = now_ms // self._length_ms, 0
        return self._count

    def add(self, amount: int, *, now_ms: int) -> int:
        """Count more, or less for a negative amount but never below 0; returns the sum."""
        self._count = max(0, self.count(now_ms) + amount)
        return self._count

    def ends_in_ms(self, now_ms: int) -> int:
        """How long the present interval goes on."""
        return self._length_ms - now_ms % self._length_ms


@dataclass(slots=True)
class _Caller:
    weight: Window = field(default_factory=lambda: Window(MINUTE_MS))
    raw: Window = field(default_factory=lambda: Window(FIVE_MINUTES_MS))
    connections: Window = field(default_factory=lambda: Window(FIVE_MINUTES_MS))
    refusals: Window = field(default_factory=lambda: Window(MINUTE_MS))
    bans: int = 0
    banned_until_ms: int = 0


class Traffic:
    """What each address used."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._callers: dict[str, _Caller] = {}

    def used(self, address: str, *, now_ms: int) -> int:
        """Weight in the present minute."""
        return self._of(address).weight.count(now_ms)

    def admit(self, address: str, *, weight: int, now_ms: int) -> None:
        """Before a request of that weight. Raises Refused with 429 or 418."""
        caller = self._of(address)
        if now_ms < caller.banned_until_ms:
            raise self._banned(caller, now_ms)
        raw = caller.raw.add(1, now_ms=now_ms)
        if caller.weight.count(now_ms) + weight > self._limits.weight_1m:
            self._refuse(caller, now_ms, wait_ms=caller.weight.ends_in_ms(now_ms))
        if raw > self._limits.raw_5m:
            self._refuse(caller, now_ms, wait_ms=caller.raw.ends_in_ms(now_ms))

    def charge(self, address: str, *, weight: int, now_ms: int) -> None:
        """After a request."""
        self._of(address).weight.add(weight, now_ms=now_ms)

    def connect(self, address: str, *, now_ms: int) -> None:
        """Before a WebSocket is opened. Raises Refused with 429 or 418."""
        caller = self._of(address)
        if now_ms < caller.banned_until_ms:
            raise self._banned(caller, now_ms)
        if caller.connections.add(1, now_ms=now_ms) > self._limits.connections_5m:
            raise too_many("Too many connections.", retry_after_s=_seconds(caller.connections.ends_in_ms(now_ms)))

    def _refuse(self, caller: _Caller, now_ms: int, *, wait_ms: int) -> None:
        if caller.refusals.add(1, now_ms=now_ms) > IGNORED_MAX:
            caller.banned_until_ms = now_ms + min(FIRST_BAN_MS << caller.bans, LONGEST_BAN_MS)
            caller.bans += 1
            raise self._banned(caller, now_ms)
        text = f"Too many requests; current limit is {self._limits.weight_1m} request weight per 1 MINUTE."
        raise too_many(text, retry_after_s=_seconds(wait_ms))

    def _banned(self, caller: _Caller, now_ms: int) -> Refused:
        return banned(caller.banned_until_ms, now_ms=now_ms)

    def _of(self, address: str) -> _Caller:
        return self._callers.setdefault(address, _Caller())


class OrderCount:
    """One account's unfilled orders: each new one counts, and a fill takes it back."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._windows = (Window(TEN_SECONDS_MS), Window(DAY_MS))

    def counts(self, now_ms: int) -> tuple[int, int]:
        """Of the present ten seconds and of the present day."""
        short, long = self._windows
        return short.count(now_ms), long.count(now_ms)

    def admit(self, now_ms: int) -> None:
        """Before a new order. Raises Refused -1015."""
        texts = (f"{self._limits.orders_10s} orders per TEN_SECONDS", f"{self._limits.orders_1d} orders per DAY")
        most = (self._limits.orders_10s, self._limits.orders_1d)
        for window, limit, text in zip(self._windows, most, texts, strict=True):
            if window.count(now_ms) >= limit:
                wait_s = _seconds(window.ends_in_ms(now_ms))
                raise too_many(
                    f"Too many new orders; current limit is {text}.", code=Code.TOO_MANY_ORDERS, retry_after_s=wait_s
                )

    def add(self, amount: int, *, now_ms: int) -> None:
        """1 for a new order, -1 for one that is filled."""
        for window in self._windows:
            window.add(amount, now_ms=now_ms)


def banned(until_ms: int, *, now_ms: int) -> Refused:
    """The answer to a banned address."""
    text = f"Way too much request weight used; IP banned until {until_ms}. Please use WebSocket Streams."
    return Refused(Code.TOO_MANY_REQUESTS, text, status=418, retry_after_s=_seconds(until_ms - now_ms))


def _seconds(ms: int) -> int:
    return -(-ms // 1_000)


def _body(kind: str, interval: str, number: int, limit: int) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}
