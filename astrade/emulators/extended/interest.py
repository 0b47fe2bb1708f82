"""Open interest over time: noted at the begin of every hour that the exchange has seen."""

from collections import defaultdict, deque
from dataclasses import dataclass
from decimal import Decimal

from astrade.emulators.extended.prices import begin_of
from marketdata.timeframes import HOUR_MS

HOURS_KEPT = 24 * 300


@dataclass(frozen=True, slots=True)
class Sample:
    """What was held at an instant; `value` in quote at mark, `quantity` in base units."""

    at_ms: int
    value: Decimal
    quantity: Decimal


class OpenInterest:
    """Each market's samples."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[Sample]] = defaultdict(lambda: deque(maxlen=HOURS_KEPT))

    def note(self, market: str, *, quantity: Decimal, mark: Decimal, now_ms: int) -> None:
        """Keep the first figure of each hour."""
        hour, samples = begin_of(now_ms, interval_ms=HOUR_MS), self._samples[market]
        if not samples or samples[-1].at_ms < hour:
            samples.append(Sample(hour, quantity * mark, quantity))

    def of(self, market: str, *, interval_ms: int, first_ms: int, last_ms: int) -> list[Sample]:
        """The first sample of each interval in that time, newest first."""
        found = [sample for sample in self._samples[market] if first_ms <= sample.at_ms <= last_ms]
        by_begin = {begin_of(sample.at_ms, interval_ms=interval_ms): sample for sample in reversed(found)}
        return list(by_begin.values())
