"""Made-up prices: seeded, correlated random walks with a book, trades and funding, for a demo without a network.

Prices are whole numbers of a millionth of a tick, and so is every step of the walk: the same seed and instants give
the same stream to the byte. A market's shock is 0.8 of a shock common to its group and 0.6 of its own (0.8² + 0.6² =
1).
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import isqrt
from typing import Literal

from astrade.core.clock import EPOCH
from astrade.core.messages import BookSnapshot, Message, Quote, TradeTick
from marketdata.feeds.base import Start
from marketdata.feeds.depth import DepthMaker
from marketdata.feeds.funding import FundingClock
from marketdata.feeds.randomness import PERMILLE, Dice
from marketdata.models import MarketType, PriceSource
from marketdata.selectors import MarketInfo

TICK = 1_000_000  # price units a tick
BILLION = 1_000_000_000
VOLATILITY_PPB = {"crypto": 89_000, "index": 27_000, "fx": 13_000}  # a second's standard deviation: 50, 15, 7 % a year
COMMON, OWN = 800, 600
PULL_PPM = 20  # of the distance to the anchor, each step
ANCHOR_PPM = 200  # of the distance to the price, each step: the anchor follows slowly
PREMIUM_KEPT, PREMIUM_SHOCK_PPB = 995, 8_000
MARK_DECIMALS = 100  # mark and index are given to a hundredth of a tick
FAST_STEP_MS = 1_000  # longer pauses don't make larger steps
TRADES_BY_DRAW = (0, 0, 1, 1, 1, 1, 2, 2)


def group_of(market: MarketInfo) -> str:
    """Which markets move together."""
    if market.type == MarketType.FX:
        return "fx"
    return "index" if market.base == "SPX" or market.type == MarketType.INDEX else "crypto"


class _Walk:
    """One market's fair price and the premium of mark over it."""

    def __init__(self, *, price_ticks: int, volatility_ppb: int, dice: Dice) -> None:
        self.price = self.anchor = price_ticks * TICK
        self.premium_ppb = 0
        self._volatility_ppb, self._dice = volatility_ppb, dice

    def step(self, common_permille: int, *, elapsed_ms: int) -> None:
        shock = (common_permille * COMMON + self._dice.normal_permille() * OWN) // PERMILLE
        volatility = self._volatility_ppb * isqrt(elapsed_ms * 1_000) // 1_000
        self.price += self.price * volatility * shock // (BILLION * PERMILLE)
        self.price += (self.anchor - self.price) * PULL_PPM // 1_000_000
        self.price = max(self.price, 100 * TICK)
        self.anchor += (self.price - self.anchor) * ANCHOR_PPM // 1_000_000
        noise = self._dice.normal_permille() * PREMIUM_SHOCK_PPB // PERMILLE
        self.premium_ppb = self.premium_ppb * PREMIUM_KEPT // PERMILLE + noise

    @property
    def mark(self) -> int:
        return self.price + self.price * self.premium_ppb // BILLION


class _SyntheticMarket:
    """One market's stream."""

    def __init__(self, market: MarketInfo, start: Start, *, seed: int) -> None:
        self.symbol, self.group = market.symbol, group_of(market)
        self._tick, self._step = market.tick_size, market.step_size
        self._sequence, self._trade_id = start.sequence, start.trade_id
        self._dice = Dice(seed, market.symbol)
        price_ticks = max(100, round(start.price / market.tick_size))
        self._walk = _Walk(price_ticks=price_ticks, volatility_ppb=VOLATILITY_PPB[self.group], dice=self._dice)
        self._spread_ppb = int(market.spread * BILLION)
        self._depth = DepthMaker(price=start.price, tick_size=self._tick, step_size=self._step, dice=self._dice)
        self._least_steps = max(1, int(market.min_quantity / market.step_size))
        self._funding = FundingClock(market.symbol) if market.type == MarketType.PERPETUAL else None
        self._last = price_ticks * self._tick

    def step(self, common_permille: int, *, now_us: int, elapsed_ms: int) -> list[Message]:
        walk = self._walk
        if elapsed_ms:
            walk.step(common_permille, elapsed_ms=elapsed_ms)
        at = EPOCH + now_us * EPOCH.resolution
        spread = max(TICK, walk.price * self._spread_ppb // BILLION)
        bid_tick = (walk.price - spread // 2) // TICK
        ask_tick = bid_tick + max(1, round(spread / TICK))
        messages: list[Message] = [
            TradeTick(self.symbol, self._next_trade(), *trade, at) for trade in self._trades(bid_tick, ask_tick)
        ]
        mark, index = self._fine(walk.mark), self._fine(walk.price)
        bids, asks = self._depth.around(bid_tick, ask_tick)
        self._sequence += 1
        messages.append(Quote(self.symbol, self._last, mark, index, bids[0][0], asks[0][0], at))
        messages.append(BookSnapshot(self.symbol, self._sequence, bids, asks, at))
        if self._funding and (update := self._funding.observe(mark=mark, index=index, at_ms=now_us // 1000)):
            messages.append(update)
        return messages

    def _trades(self, bid_tick: int, ask_tick: int) -> list[tuple[Literal["buy", "sell"], Decimal, Decimal]]:
        trades: list[tuple[Literal["buy", "sell"], Decimal, Decimal]] = []
        for _ in range(TRADES_BY_DRAW[self._dice.bits(3)]):
            buys = self._dice.bits(1)
            self._last = (ask_tick if buys else bid_tick) * self._tick
            steps = max(self._least_steps, self._depth.base_steps * self._dice.bits(7) // 400)
            trades.append(("buy" if buys else "sell", self._last, steps * self._step))
        return trades

    def _next_trade(self) -> int:
        self._trade_id += 1
        return self._trade_id

    def _fine(self, price: int) -> Decimal:
        return price * MARK_DECIMALS // TICK * self._tick / MARK_DECIMALS


class SyntheticFeed:
    """Every given market's made-up stream, from where `starts` says on."""

    name = "synthetic"
    source = PriceSource.SYNTHETIC

    def __init__(self, markets: Sequence[MarketInfo], starts: Mapping[str, Start], *, seed: int) -> None:
        self.symbols = tuple(market.symbol for market in markets)
        self._starts = {symbol: starts[symbol] for symbol in self.symbols}
        self._markets = [_SyntheticMarket(market, starts[market.symbol], seed=seed) for market in markets]
        self._groups = {group: Dice(seed, f"group:{group}") for group in sorted(VOLATILITY_PPB)}
        self._last_us: int | None = None

    def first_prices(self) -> Mapping[str, Decimal]:
        """Price at which each market begins."""
        return {symbol: start.price for symbol, start in self._starts.items()}

    def step(self, now_us: int) -> list[Message]:
        """One step of every market; the first only says where it stands. A clock that went back gives nothing."""
        if self._last_us is not None and now_us <= self._last_us:
            return []
        elapsed_ms = 0 if self._last_us is None else min((now_us - self._last_us) // 1000, FAST_STEP_MS)
        self._last_us = now_us
        shocks = {group: dice.normal_permille() for group, dice in self._groups.items()}
        return [
            message
            for market in self._markets
            for message in market.step(shocks[market.group], now_us=now_us, elapsed_ms=elapsed_ms)
        ]
