"""Funding of a perpetual market: the premium of mark over index, averaged over the hour, as a rate that applies on
the hour."""

from datetime import timedelta
from decimal import Decimal

from astrade.core.clock import from_ms
from astrade.core.messages import FundingUpdate
from astrade.core.money import ZERO, round_display
from marketdata.timeframes import HOUR_MS, MINUTE_MS

HOURLY_INTEREST = Decimal("0.0000125")
HOURLY_CAP = Decimal("0.0025")
PREMIUM_SHARE = 8  # an eighth of the average premium is paid each hour
RATE_SCALE = 8
HOUR = timedelta(hours=1)


class FundingClock:
    """Estimates one market's funding rate from prices it is shown; tells of it once a minute."""

    def __init__(self, symbol: str) -> None:
        self._symbol = symbol
        self._hour_ms = self._told_ms = -1
        self._premiums, self._samples = ZERO, 0

    def observe(self, *, mark: Decimal, index: Decimal, at_ms: int) -> FundingUpdate | None:
        """Take one price; returns the new estimate when a minute has begun since the last one."""
        minute = at_ms // MINUTE_MS
        hour = at_ms // HOUR_MS
        if hour != self._hour_ms:
            self._hour_ms, self._premiums, self._samples = hour, ZERO, 0
        if minute == self._told_ms:
            return None
        self._told_ms = minute
        self._premiums += (mark - index) / index
        self._samples += 1
        rate = self._premiums / self._samples / PREMIUM_SHARE + HOURLY_INTEREST
        rate = round_display(min(max(rate, -HOURLY_CAP), HOURLY_CAP), scale=RATE_SCALE)
        return FundingUpdate(self._symbol, rate, from_ms(hour * HOUR_MS) + HOUR)
