"""Time as a port: services and domain code get an instant, only doorways ask a `Clock` for it."""

from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    def __call__(self) -> datetime:
        """The present instant, aware, UTC."""


def system_clock() -> datetime:
    """The machine's clock, UTC."""
    return datetime.now(UTC)


def to_ms(instant: datetime) -> int:
    """Milliseconds since the Unix epoch, exact (no float in between)."""
    return (instant - EPOCH) // timedelta(milliseconds=1)


def to_us(instant: datetime) -> int:
    """Microseconds since the Unix epoch, exact."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def from_ms(ms: int) -> datetime:
    """Aware UTC instant of `ms` milliseconds since the Unix epoch."""
    return EPOCH + timedelta(milliseconds=ms)
