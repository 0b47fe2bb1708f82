"""Brings a market's closed minutes from its venue's own history: once they have closed, and all that were missed.

There is one way for both. What is asked for begins with the last minute that was told, so a minute is told again until
later ones are, and a downtime of any length is one longer answer.
"""

from collections.abc import Awaitable, Callable, Sequence

from astrade.core.clock import Clock, to_ms
from astrade.core.randomness import Randomness
from marketdata.candles import Bar, update_of
from marketdata.timeframes import BASE, MINUTE_MS, open_time_ms

SETTLES_S = 2  # after a minute's end until a venue is asked for it
SPREAD_S = 8  # over which the questions of all markets are spread
KEPT_BACK = 3  # minutes that are asked for again, should the venue have corrected them
MsRange = tuple[int, int]  # begin of the first minute, and of the first after the last
Fetch = Callable[[str, MsRange], Awaitable[Sequence[Bar]]]


class MinutePuller:
    """One market's minutes of `kinds`. `fetch` gets a kind and a range, and answers at most `page` bars, the oldest."""

    def __init__(
        self,
        symbol: str,
        *,
        kinds: Sequence[str],
        since_ms: int,
        fetch: Fetch,
        page: int,
        tell: Callable[..., None],
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._symbol, self._fetch, self._page, self._tell = symbol, fetch, page, tell
        self._clock, self._randomness = clock, randomness
        self._since_ms = dict.fromkeys(kinds, since_ms)

    async def catch_up(self) -> float:
        """Tell of every minute that has closed; returns after how many seconds there are new ones."""
        end_ms = open_time_ms(to_ms(self._clock()), timeframe=BASE)
        for kind in self._since_ms:
            await self._catch_up(kind, end_ms)
        next_ms = end_ms + MINUTE_MS - to_ms(self._clock())
        return max(0, next_ms) / 1000 + SETTLES_S + self._randomness.randrange(0, SPREAD_S * 1000) / 1000

    async def _catch_up(self, kind: str, end_ms: int) -> None:
        while (since_ms := self._since_ms[kind]) < end_ms:
            bars = await self._fetch(kind, (since_ms, end_ms))
            in_range = (bar for bar in bars if since_ms <= bar.open_ms < end_ms)
            closed = sorted(in_range, key=lambda bar: bar.open_ms)
            self._tell(*(update_of(bar, symbol=self._symbol, kind=kind) for bar in closed))
            if len(bars) < self._page or not closed:
                break
            self._since_ms[kind] = closed[-1].open_ms + MINUTE_MS
        self._since_ms[kind] = max(since_ms, end_ms - KEPT_BACK * MINUTE_MS)
