"""What the markets do: the synthetic feed, and of each market its book, trades, candles and funding.

Nothing here knows an account or the wire. All candles are added up from minutes, so that any interval the exchange
offers can be asked for; a made-up day stands before the first of them.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice

from astrade.core.clock import to_ms
from astrade.core.messages import FundingUpdate, MarketView, Message, Quote, TradeTick
from astrade.core.money import ZERO
from astrade.emulators.extended.markets import Instrument
from astrade.emulators.markets import BookedMarket, made_up_minutes
from marketdata.candles import Bar, CandleSeries, merged
from marketdata.feeds.base import Start
from marketdata.feeds.funding import FundingClock
from marketdata.feeds.synthetic import SyntheticFeed
from marketdata.models import PriceKind
from marketdata.timeframes import DAY_MS, FIRST_MONDAY_MS, HOUR_MS, MINUTE_MS

MINUTES_KEPT, FUNDING_KEPT = 10_080, 10_000
INTERVALS_MS: Mapping[str, int] = {
    "PT1M": MINUTE_MS,
    "PT5M": 5 * MINUTE_MS,
    "PT15M": 15 * MINUTE_MS,
    "PT30M": 30 * MINUTE_MS,
    "PT1H": HOUR_MS,
    "PT2H": 2 * HOUR_MS,
    "PT4H": 4 * HOUR_MS,
    "PT8H": 8 * HOUR_MS,
    "PT12H": 12 * HOUR_MS,
    "PT24H": DAY_MS,
    "P1D": DAY_MS,  # the SDK's spelling of the same
    "P7D": 7 * DAY_MS,
    "P30D": 30 * DAY_MS,
}


@dataclass(frozen=True, slots=True)
class AppliedRate:
    """An hourly funding rate and when it applied."""

    at_ms: int
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Day:
    """The last 24 hours of a market; `volume` in base units, `value` in quote."""

    open: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal
    value: Decimal


class Market(BookedMarket):
    """One market as it is now, and what it did."""

    def __init__(self, instrument: Instrument, *, last_price: Decimal, now_ms: int, seed: int) -> None:
        super().__init__()
        self.instrument = instrument
        self.rates: deque[AppliedRate] = deque(maxlen=FUNDING_KEPT)
        self.funding: FundingUpdate | None = None
        self._series = {kind: CandleSeries(instrument.name, kind) for kind in PriceKind.values}
        self._minutes: dict[str, deque[Bar]] = {kind: deque(maxlen=MINUTES_KEPT) for kind in PriceKind.values}
        self._day: Day | None = None
        self._make_up_a_day(last_price=last_price, now_ms=now_ms, seed=seed)

    @property
    def view(self) -> MarketView:
        """Prices and book that an order is decided on."""
        assert self.quote and self.book and self.funding  # the feed's first step gives all three
        return MarketView(self.quote, self.book, self.funding.rate)

    def apply(self, message: Message, *, now_ms: int) -> AppliedRate | None:
        """One message of the feed; returns a funding rate whose hour has come."""
        self.take(message)
        match message:
            case TradeTick():
                series = self._series[PriceKind.TRADES]
                self._close(series, series.add(message.price, at_ms=now_ms, quantity=message.quantity, trades=1))
            case Quote():
                for kind, price in (("trades", message.last), ("mark", message.mark), ("index", message.index)):
                    self._close(self._series[kind], self._series[kind].add(price, at_ms=now_ms))
            case FundingUpdate():
                return self._take_funding(message)
        return None

    def candles(self, kind: str, *, interval_ms: int, end_ms: int, limit: int) -> list[Bar]:
        """Candles that begin at or before `end_ms`, newest first; the running one is among them."""
        return list(islice(self._candles(kind, interval_ms=interval_ms, end_ms=end_ms), limit))

    def day(self) -> Day:
        """Figures of the last 24 hours, up to the last closed minute."""
        if self._day is None:
            bars = list(islice(reversed(self._minutes["trades"]), DAY_MS // MINUTE_MS))
            self._day = Day(
                open=bars[-1].open,
                high=max(bar.high for bar in bars),
                low=min(bar.low for bar in bars),
                volume=sum((bar.volume for bar in bars), ZERO),
                value=sum((bar.volume * bar.close for bar in bars), ZERO),
            )
        return self._day

    def _candles(self, kind: str, *, interval_ms: int, end_ms: int) -> Iterator[Bar]:
        whole: Bar | None = None
        for bar in self._newest_first(kind):
            begin = begin_of(bar.open_ms, interval_ms=interval_ms)
            if begin > end_ms:
                continue
            if whole is not None and whole.open_ms == begin:
                whole = merged(replace(bar, open_ms=begin), whole)
                continue
            if whole is not None:
                yield whole
            whole = replace(bar, open_ms=begin)
        if whole is not None:
            yield whole

    def _newest_first(self, kind: str) -> Iterator[Bar]:
        running = self._series[kind].minute
        if running is not None:
            yield running
        yield from reversed(self._minutes[kind])

    def _close(self, series: CandleSeries, minutes: Sequence[Bar]) -> None:
        if minutes:
            self._minutes[series.kind].extend(minutes)
            self._day = None

    def _take_funding(self, update: FundingUpdate) -> AppliedRate | None:
        before, self.funding = self.funding, update
        if before is None or before.next_at >= update.next_at:
            return None
        applied = AppliedRate(to_ms(before.next_at), before.rate)
        self.rates.append(applied)
        return applied

    def _make_up_a_day(self, *, last_price: Decimal, now_ms: int, seed: int) -> None:
        rules = self.instrument.rules
        made_up = made_up_minutes(rules, last_price, begin_of(now_ms, interval_ms=MINUTE_MS), seed)
        for kind, bars in made_up.items():
            self._minutes[kind].extend(bars)
        clock = FundingClock(rules.symbol)
        for mark, index in zip(made_up[PriceKind.MARK], made_up[PriceKind.INDEX], strict=True):
            update = clock.observe(mark=mark.close, index=index.close, at_ms=mark.open_ms)
            if update is not None:
                self._take_funding(update)
        self.funding = None  # what applies next is the feed's to say


class Prices:
    """All markets, moved by one seeded feed. It begins at `last_prices`, at a market's reference price without one."""

    def __init__(
        self, markets: Mapping[str, Instrument], *, now_ms: int, seed: int, last_prices: Mapping[str, Decimal]
    ) -> None:
        infos = [market.rules for market in markets.values()]
        last = {info.symbol: last_prices.get(info.symbol, info.reference_price) for info in infos}
        self.markets = {
            name: Market(market, last_price=last[name], now_ms=now_ms, seed=seed) for name, market in markets.items()
        }
        starts = {symbol: Start(price, sequence=now_ms, trade_id=now_ms) for symbol, price in last.items()}
        self.feed = SyntheticFeed(infos, starts, seed=seed)

    def take(self, messages: Sequence[Message], *, now_ms: int) -> dict[str, AppliedRate]:
        """One batch of the feed; returns the funding rates that applied, by market."""
        applied: dict[str, AppliedRate] = {}
        for market in self.markets.values():
            market.begin_step()
        for message in messages:
            rate = self.markets[message.symbol].apply(message, now_ms=now_ms)
            if rate is not None:
                applied[message.symbol] = rate
        return applied


def begin_of(at_ms: int, *, interval_ms: int) -> int:
    """Begin of the interval that holds `at_ms`; weeks begin on Monday."""
    origin = FIRST_MONDAY_MS if interval_ms == INTERVALS_MS["P7D"] else 0
    return (at_ms - origin) // interval_ms * interval_ms + origin
