"""What Extended tells of a market by REST only: closed minutes, applied funding rates, the rate that applies next, and
a mark that doesn't change (extended-api.md §5)."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from astrade.core.clock import Clock, from_ms, to_ms
from astrade.core.messages import FundingApplied, FundingUpdate
from astrade.core.money import ZERO
from astrade.core.randomness import Randomness
from astrade.venues.extended import public_calls
from astrade.venues.extended.aio import AsyncClient
from astrade.venues.extended.public_wire import Candle, CandleType
from marketdata.candles import Bar
from marketdata.feeds.prices import LivePrices
from marketdata.feeds.pulling import MinutePuller, MsRange
from marketdata.models import PriceKind
from marketdata.timeframes import HOUR_MS, MINUTE_MS

CANDLE_TYPES: Mapping[str, CandleType] = {
    PriceKind.TRADES: CandleType.TRADES,
    PriceKind.MARK: CandleType.MARK,
    PriceKind.INDEX: CandleType.INDEX,
}
MINUTE = "PT1M"
CANDLES_MAX = 10_000  # of one answer
LOOK_EVERY_S = 1.0
MARK_ASKED_AFTER = timedelta(seconds=5)  # of silence: mark and index are told when they change, which may be never
FUNDING_ASKED_AFTER = timedelta(seconds=60)  # the venue works the rate out each minute
Tell = Callable[..., None]  # takes any number of messages


class Stats:
    """Asks for a market's figures once a minute, and more often while nothing tells of its mark or index."""

    def __init__(self, prices: LivePrices, *, client: AsyncClient, tell: Tell, clock: Clock) -> None:
        self._prices, self._client, self._tell, self._clock = prices, client, tell, clock
        self._asked_at = from_ms(0)

    async def ask(self) -> float:
        """Ask if it is time; returns when to look again."""
        now, told_at = self._clock(), self._prices.told_at
        if now - self._asked_at < FUNDING_ASKED_AFTER and told_at and now - told_at < MARK_ASKED_AFTER:
            return LOOK_EVERY_S
        symbol = self._prices.symbol
        stats = await self._client.send(public_calls.stats(symbol))
        self._asked_at = now
        self._prices.take_last(stats.last_price, at=now)
        self._prices.take_index(stats.index_price, at=now)
        self._prices.take_mark(stats.mark_price, at=now)
        next_at = from_ms(stats.next_funding_rate)
        self._tell(FundingUpdate(symbol, stats.funding_rate, next_at), self._prices.quote())
        return LOOK_EVERY_S


class AppliedRates:
    """Asks for the rates that were applied since the last one known, once an hour has passed."""

    def __init__(self, symbol: str, *, since_ms: int, client: AsyncClient, tell: Tell, clock: Clock) -> None:
        self._symbol, self._known_ms = symbol, since_ms
        self._client, self._tell, self._clock = client, tell, clock

    async def ask(self) -> float:
        """Ask if it is time; returns when to look again."""
        now_ms = to_ms(self._clock())
        if now_ms // HOUR_MS > self._known_ms // HOUR_MS:
            call = public_calls.funding_rates(self._symbol, start_ms=self._known_ms + 1, end_ms=now_ms)
            rates = (await self._client.send(call)).rows
            self._tell(*(FundingApplied(self._symbol, rate.rate, from_ms(rate.at_ms)) for rate in rates))
            self._known_ms = max([self._known_ms, *(rate.at_ms for rate in rates)])
        return MINUTE_MS / 1000 / 4


def minutes_of(
    symbol: str,
    *,
    since_ms: int,
    client: AsyncClient,
    tell: Tell,
    clock: Clock,
    randomness: Randomness,
) -> MinutePuller:
    """The market's minutes of trades, mark and index."""

    async def fetch(kind: str, between: MsRange) -> Sequence[Bar]:
        first_ms, end_ms = between
        count = min((end_ms - first_ms) // MINUTE_MS, CANDLES_MAX)
        call = public_calls.candles(symbol, CANDLE_TYPES[kind], interval=MINUTE, limit=count, end_ms=end_ms - 1)
        return [_bar(candle) for candle in await client.send(call)]

    return MinutePuller(
        symbol,
        kinds=list(CANDLE_TYPES),
        since_ms=since_ms,
        fetch=fetch,
        page=CANDLES_MAX + 1,  # it answers the newest, so there is no other page
        tell=tell,
        clock=clock,
        randomness=randomness,
    )


def _bar(candle: Candle) -> Bar:
    prices = (candle.open, candle.high, candle.low, candle.close)
    return Bar(candle.at_ms, *prices, volume=candle.volume or ZERO)
