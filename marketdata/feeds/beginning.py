"""Where markets begin: with what a predecessor left in Redis and what the history has, so that a restart shows as a
pause and nothing else."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import orjson

from astrade.core.messages import CandleUpdate
from astrade.core.redis import async_client
from marketdata import history, keys
from marketdata.candles import Bar, update_of
from marketdata.day import DayWindow
from marketdata.feeds.backfill import made_up_day
from marketdata.feeds.base import Start
from marketdata.feeds.recordings import Recording
from marketdata.feeds.recovery import Left
from marketdata.feeds.selection import FeedOptions
from marketdata.models import PriceKind, PriceSource
from marketdata.selectors import MarketInfo
from marketdata.tape import Tape
from marketdata.timeframes import BASE, DAY_MS, MINUTE_MS, open_time_ms

ToldKinds = Mapping[str, Collection[PriceKind]]  # by symbol, whose minutes come from a venue's history
PULLED_MINUTES_MAX = 10_000  # a week of downtime; Extended answers no more at once


@dataclass(frozen=True, slots=True)
class Known:
    """What the history has, by row key of the market."""

    closes: Mapping[int, Decimal]  # last price of each
    told_ms: Mapping[int, int]  # begin of the last minute that its venue told


def known() -> Known:
    """Read it."""
    return Known(history.last_closes(), history.last_told_minutes())


def start_of(
    market: MarketInfo, left: Left, recordings: Mapping[str, Recording], known: Known, *, now_ms: int
) -> Start:
    """Last known price: of Redis, else of history, else the market's reference; ids never below the clock's
    milliseconds. A venue's history is asked for from where it ends here, a day where there is none."""
    if market.symbol in recordings:
        price = recordings[market.symbol].first_price
    else:
        price = left.quote.last if left.quote else known.closes.get(market.id, market.reference_price)
    told_ms = known.told_ms.get(market.id, now_ms - DAY_MS)
    history_ms = open_time_ms(max(told_ms, now_ms - PULLED_MINUTES_MAX * MINUTE_MS), timeframe=BASE)
    return Start(
        price,
        sequence=max(left.sequence, now_ms),
        trade_id=max(left.trade_id, now_ms),
        history_ms=history_ms,
    )


async def anchors(recordings: Mapping[str, Recording], options: FeedOptions, *, now_us: int) -> dict[str, int]:
    """Since when each recording plays: as before if the same one was playing at the same speed, else from now on."""
    since: dict[str, int] = {}
    for symbol, recording in recordings.items():
        mark = {"file": str(options.replay), "duration_us": recording.duration_us, "speed": options.speed}
        stored = await async_client().get(keys.replay(symbol))
        before = orjson.loads(stored) if stored else {}
        since[symbol] = before.pop("anchor_us", now_us)
        if before != mark:
            since[symbol] = now_us
            await async_client().set(keys.replay(symbol), orjson.dumps({**mark, "anchor_us": now_us}))
    return since


def make_up_history(markets: Sequence[MarketInfo], starts: Mapping[str, Start], *, now_ms: int, seed: int) -> None:
    """Store a day of minutes where there is none."""
    ids = {market.symbol: market.id for market in markets}
    with_history = history.markets_with_history()
    for market in markets:
        if market.id not in with_history:
            day = made_up_day(market, last_price=starts[market.symbol].price, now_ms=now_ms, seed=seed)
            history.store_candles(day, ids=ids, source=PriceSource.SYNTHETIC)


def store_ended(
    markets: Sequence[MarketInfo], left: Mapping[str, Left], told: ToldKinds, *, source: PriceSource, now_ms: int
) -> None:
    """Store the minutes that were running when the predecessor stopped, but for those that are told."""
    over = _minutes_over({market.symbol: left[market.symbol] for market in markets}, now_ms=now_ms)
    own = [candle for candle in over if candle.kind not in told.get(candle.symbol, ())]
    history.store_candles(own, ids={market.symbol: market.id for market in markets}, source=source)


def tapes_of(
    markets: Sequence[MarketInfo], left: Mapping[str, Left], told: ToldKinds, *, now_ms: int
) -> dict[str, Tape]:
    """A tape for each, with its last day and its running candles."""
    days, parts = history.minutes_of_last_day(now_ms=now_ms), history.parts_in_progress(now_ms=now_ms)
    return {
        market.symbol: _tape(
            market, left[market.symbol], days.get(market.id, []), parts, now_ms=now_ms, told=told.get(market.symbol, ())
        )
        for market in markets
    }


def _minutes_over(left: Mapping[str, Left], *, now_ms: int) -> list[CandleUpdate]:
    """Minutes that were running when the predecessor stopped and are over now."""
    return [
        update_of(bar, symbol=symbol, kind=kind)
        for symbol, state in left.items()
        for kind, bar in state.minutes.items()
        if bar.open_ms + MINUTE_MS <= now_ms
    ]


def _tape(
    market: MarketInfo,
    left: Left,
    day: Sequence[Bar],
    parts: Mapping[tuple[int, str], Mapping[str, Bar]],
    *,
    now_ms: int,
    told: Collection[PriceKind],
) -> Tape:
    tape = Tape(market.symbol, day=DayWindow(day), told_kinds=told)
    tape.funding = left.funding
    if left.extremes is not None:
        tape.extremes.resume(left.extremes)
    for kind, series in tape.series.items():
        minute = left.minutes.get(kind)
        if minute is not None and minute.open_ms != open_time_ms(now_ms, timeframe=BASE):
            minute = None
        series.resume(minute=minute, closed_parts=parts.get((market.id, kind), {}))
    return tape
