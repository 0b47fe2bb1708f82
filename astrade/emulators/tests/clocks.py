"""Time that a test moves."""

from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)


class ManualClock:
    """Stands still until moved."""

    def __init__(self, start: datetime = START) -> None:
        self.now = start

    def __call__(self) -> datetime:
        return self.now

    def move(self, ms: int) -> None:
        self.now += timedelta(milliseconds=ms)
