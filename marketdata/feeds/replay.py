"""Recorded prices played again as if they happened now, at real or multiplied speed, round after round.

Prices are put on the market's tick (bids down, asks up, trades to the nearest), sizes down to its step; sequences and
trade ids go on across rounds. Where no book was recorded, one is built around the recorded best prices, and where no
quotes were, around the trades. Nothing is scaled: at the begin of a round the price is again what was recorded.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from astrade.core.clock import EPOCH
from astrade.core.messages import BookSnapshot, Level, Message, Quote, TradeTick
from astrade.core.money import ZERO, ceil_to_step, floor_to_step
from marketdata.feeds.base import Start
from marketdata.feeds.depth import LEVELS, DepthMaker
from marketdata.feeds.funding import FundingClock
from marketdata.feeds.randomness import Dice
from marketdata.feeds.recordings import RecordedBook, RecordedEvent, RecordedQuote, RecordedTrade, Recording
from marketdata.ladder import Ladder
from marketdata.models import MarketType, PriceSource
from marketdata.selectors import MarketInfo

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Played:
    """One market's recording and since when it is being played."""

    market: MarketInfo
    recording: Recording
    start: Start
    anchor_us: int


class _Book:
    """Bids and asks of one market, from what is recorded."""

    def __init__(self, market: MarketInfo, depth: DepthMaker) -> None:
        self._tick, self._step, self._depth = market.tick_size, market.step_size, depth
        self._bids, self._asks = Ladder(is_bid=True), Ladder(is_bid=False)
        self._best: tuple[Decimal, Decimal | None, Decimal, Decimal | None] | None = None

    def take_book(self, event: RecordedBook) -> None:
        for ladder, levels in ((self._bids, event.bids), (self._asks, event.asks)):
            if event.is_snapshot:
                ladder.replace(levels)
            else:
                ladder.apply(levels)

    def take_best(self, bid: Decimal, bid_size: Decimal | None, ask: Decimal, ask_size: Decimal | None) -> None:
        sizes = [
            None if size is None else max(floor_to_step(size, step=self._step), self._step)
            for size in (bid_size, ask_size)
        ]
        bid, ask = floor_to_step(bid, step=self._tick), ceil_to_step(ask, step=self._tick)
        self._best = (bid, sizes[0], max(ask, bid + self._tick), sizes[1])

    @property
    def best(self) -> tuple[Decimal, Decimal] | None:
        """Bid and ask on the tick; None before both are known or while the recorded book is crossed."""
        bid, ask = self._bids.best(), self._asks.best()
        if bid is not None and ask is not None:
            return (floor_to_step(bid, step=self._tick), ceil_to_step(ask, step=self._tick)) if bid < ask else None
        return None if self._best is None else (self._best[0], self._best[2])

    def levels(self) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
        """The visible book, best first."""
        if self._best is None:
            return tuple(self._on_grid(self._bids, up=False)), tuple(self._on_grid(self._asks, up=True))
        bid, bid_size, ask, ask_size = self._best
        ticks = int(bid / self._tick), int(ask / self._tick)
        return self._depth.around(*ticks, bid_quantity=bid_size, ask_quantity=ask_size)

    def _on_grid(self, ladder: Ladder, *, up: bool) -> Iterator[Level]:
        """At most LEVELS levels on the market's tick; recorded levels that fall on one tick are added up."""
        to_tick = ceil_to_step if up else floor_to_step
        sums: dict[Decimal, Decimal] = {}
        for price, quantity in ladder.best_first():
            tick = to_tick(price, step=self._tick)
            if tick not in sums and len(sums) == LEVELS + 1:
                break
            sums[tick] = sums.get(tick, ZERO) + quantity
        for tick, quantity in list(sums.items())[:LEVELS]:
            if rounded := floor_to_step(quantity, step=self._step):
                yield tick, rounded


class _PlayedMarket:
    """One market's stream."""

    def __init__(self, played: Played, *, speed: int, seed: int) -> None:
        market = played.market
        self.symbol, self._market, self._recording = market.symbol, market, played.recording
        self._sequence, self._trade_id = played.start.sequence, played.start.trade_id
        self._anchor_us, self._speed = played.anchor_us, speed
        self._position_us: int | None = None  # on the endless time line of rounds
        price = played.recording.first_price
        dice = Dice(seed, f"replay:{market.symbol}")
        self._book = _Book(
            market, DepthMaker(price=price, tick_size=market.tick_size, step_size=market.step_size, dice=dice)
        )
        self._half_spread = max(price * market.spread / 2, market.tick_size / 2)
        self._last = self._on_tick(price)
        self._funding = FundingClock(market.symbol) if market.type == MarketType.PERPETUAL else None
        self._told_of_rounding = False

    def step(self, now_us: int) -> list[Message]:
        target = max(0, now_us - self._anchor_us) * self._speed
        catching_up, last_trade = self._position_us is None, self._trade_id
        messages: list[Message] = []
        for event in self._events(target):
            self._take(event, messages, now_us=now_us)
        if catching_up:  # an earlier process has told of these
            messages.clear()
            self._trade_id = last_trade
        messages += self._prices(now_us, with_book=True)
        return messages

    def _events(self, target_us: int) -> Iterator[RecordedEvent]:
        """Events since the last step; at the start, and after a pause of a whole round, what the present price
        needs."""
        length = self._recording.duration_us
        current = target_us // length
        since = self._position_us
        self._position_us = target_us
        position = target_us % length
        if since is None or since // length < current - 1:
            yield from self._recording.between(max(-1, position - self._recording.memory_us), position)
        elif since // length == current:
            yield from self._recording.between(since % length, position)
        else:
            yield from self._recording.between(since % length, length)
            yield from self._recording.between(-1, position)

    def _take(self, event: RecordedEvent, messages: list[Message], *, now_us: int) -> None:
        match event:
            case RecordedBook():
                self._book.take_book(event)
            case RecordedQuote() if event.bid < event.ask:
                self._book.take_best(event.bid, event.bid_size, event.ask, event.ask_size)
            case RecordedTrade():
                self._take_trade(event, messages, now_us=now_us)
        messages += self._prices(now_us, with_book=False)

    def _take_trade(self, event: RecordedTrade, messages: list[Message], *, now_us: int) -> None:
        self._last = self._on_tick(event.price)
        if not self._recording.has_quotes:
            self._book.take_best(self._last - self._half_spread, None, self._last + self._half_spread, None)
        quantity = floor_to_step(event.quantity, step=self._market.step_size)
        if quantity != event.quantity and not self._told_of_rounding:
            self._told_of_rounding = True
            logger.warning("replay_sizes_rounded", extra={"market": self.symbol, "step": str(self._market.step_size)})
        if quantity > 0:
            self._trade_id += 1
            at = EPOCH + now_us * EPOCH.resolution
            messages.append(TradeTick(self.symbol, self._trade_id, event.side, self._last, quantity, at))

    def _prices(self, now_us: int, *, with_book: bool) -> list[Message]:
        best = self._book.best
        if best is None:
            return []
        at = EPOCH + now_us * EPOCH.resolution
        mid = (best[0] + best[1]) / 2
        if not self._recording.has_trades:
            self._last = self._on_tick(mid)
        quote = Quote(self.symbol, self._last, mid, mid, *best, at)
        if not with_book:
            return [quote]
        self._sequence += 1
        messages: list[Message] = [quote, BookSnapshot(self.symbol, self._sequence, *self._book.levels(), at)]
        if self._funding and (update := self._funding.observe(mark=mid, index=mid, at_ms=now_us // 1000)):
            messages.append(update)
        return messages

    def _on_tick(self, price: Decimal) -> Decimal:
        tick = self._market.tick_size
        return (price / tick).to_integral_value(ROUND_HALF_EVEN) * tick


class ReplayFeed:
    """Every given market's recording."""

    name = "replay"
    source = PriceSource.REPLAY

    def __init__(self, played: Sequence[Played], *, speed: int, seed: int) -> None:
        self.symbols = tuple(item.market.symbol for item in played)
        self._first = {item.market.symbol: item.recording.first_price for item in played}
        self._markets = [_PlayedMarket(item, speed=speed, seed=seed) for item in played]

    def first_prices(self) -> Mapping[str, Decimal]:
        """Price at which each recording begins."""
        return self._first

    def step(self, now_us: int) -> list[Message]:
        """What the recordings hold between the last call and `now_us`."""
        return [message for market in self._markets for message in market.step(now_us)]
