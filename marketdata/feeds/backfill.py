"""A day of made-up minutes for markets that have no history, so that charts and 24 h figures have something to show.

The minutes end at the price the feed begins with, and are stored as `synthetic`.
"""

from decimal import Decimal

from astrade.core.clock import from_ms
from astrade.core.messages import CandleUpdate
from astrade.core.money import ZERO
from marketdata.feeds.randomness import PERMILLE, Dice
from marketdata.feeds.synthetic import BILLION, VOLATILITY_PPB, group_of
from marketdata.models import PriceKind
from marketdata.selectors import MarketInfo
from marketdata.timeframes import BASE, MINUTE_MS, open_time_ms

MINUTES = 1_440
MINUTE_PER_SECOND = 7_746  # a minute's deviation to a second's, in thousandths: √60
WICK_SHARE = 3  # a wick is up to a third of a minute's deviation


def made_up_day(market: MarketInfo, *, last_price: Decimal, now_ms: int, seed: int) -> list[CandleUpdate]:
    """Minutes of all kinds before the one of `now_ms`, oldest first; the newest closes at `last_price`."""
    dice = Dice(seed, f"backfill:{market.symbol}")
    tick = market.tick_size
    volatility_ppb = VOLATILITY_PPB[group_of(market)]
    closes = _walk_back(dice, max(100, round(last_price / tick)), volatility_ppb)
    first_ms = open_time_ms(now_ms, timeframe=BASE) - MINUTES * MINUTE_MS
    base_steps = max(1, int(Decimal(150_000) / last_price / market.step_size))
    minutes: list[CandleUpdate] = []
    for number in range(MINUTES):
        opened, closed = closes[number], closes[number + 1]
        wick = max(1, closed * volatility_ppb * MINUTE_PER_SECOND // (BILLION * PERMILLE * WICK_SHARE))
        high, low = max(opened, closed) + dice.below(wick + 1), min(opened, closed) - dice.below(wick + 1)
        volume, trades = base_steps * (36 + dice.bits(7)) // 100 * market.step_size, 60 + dice.bits(7)
        for kind in PriceKind.values:
            traded = kind == PriceKind.TRADES
            minutes.append(
                CandleUpdate(
                    symbol=market.symbol,
                    timeframe=BASE,
                    kind=kind,
                    open_time=from_ms(first_ms + number * MINUTE_MS),
                    open=opened * tick,
                    high=high * tick,
                    low=low * tick,
                    close=closed * tick,
                    volume=volume if traded else ZERO,
                    trades=trades if traded else 0,
                    closed=True,
                )
            )
    return minutes


def _walk_back(dice: Dice, last_ticks: int, volatility_ppb: int) -> list[int]:
    """Prices in ticks at each minute's begin and the end of the last one."""
    scale = 1_000_000
    price = last_ticks * scale
    closes = [last_ticks]
    for _ in range(MINUTES):
        shock = dice.normal_permille() * MINUTE_PER_SECOND // PERMILLE
        price = max(price - price * volatility_ppb * shock // (BILLION * PERMILLE), 50 * scale)
        closes.append(price // scale)
    return closes[::-1]
