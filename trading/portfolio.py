"""What a portfolio's figures are read from: equity snapshots for the curve, sums of closed positions for the trades.

The cost follows the number of intervals shown, not of fills: each interval is one look into the snapshots' key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

import msgspec
from django.db import connection
from django.db.models import QuerySet

from astrade.core.clock import from_ms, to_ms, to_us
from astrade.core.money import ZERO
from marketdata.timeframes import LENGTH_MS, open_time_ms
from trading.domain.margin import Board
from trading.domain.performance import Point, TradeSums, Worth, points
from trading.domain.state import AccountState
from trading.models import ClosedPosition, EquitySnapshot, Fill, TradingAccount
from trading.moments import first_number_from
from trading.services.snapshots import snapshots_of

INTERVALS = tuple(name for name, length in LENGTH_MS.items() if length >= LENGTH_MS["5m"])  # snapshots: every 5 minutes
POINTS_MAX = 1000
# Moments travel as microseconds and worths as one JSON document: a thousand rows cost Python a fifth of what a cursor's
# values do.
_WORTHS = """
SELECT json_agg(json_build_array(m.number - 1, json_build_object('at', s.at, 'balance', s.balance, 'equity', s.equity,
                                                                 'flows', s.flows, 'unit_value', s.unit_value)))::text
FROM unnest(%(moments)s::bigint[]) WITH ORDINALITY AS m(at_us, number)
JOIN LATERAL (SELECT at, balance, equity, flows, unit_value FROM trading_equitysnapshot
              WHERE account_id = %(account)s AND at <= timestamptz 'epoch' + m.at_us * interval '1 microsecond'
              ORDER BY at DESC LIMIT 1) s ON true
"""
_decoder = msgspec.json.Decoder(list[tuple[int, Worth]])
# OFFSET 0 keeps the planner from reckoning each result once for every figure made of it.
_TRADES = """
SELECT count(*), count(*) FILTER (WHERE result > 0), coalesce(sum(result) FILTER (WHERE result > 0), 0),
       coalesce(-sum(result) FILTER (WHERE result < 0), 0), min(result) FILTER (WHERE result < 0)
FROM (SELECT realized_pnl - fees + funding AS result FROM trading_closedposition
      WHERE account_id = %(account)s AND number >= %(first)s AND number < %(end)s OFFSET 0) closed
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """An equity curve: what it starts from, and the end of each interval since."""

    start: Worth
    points: list[Point]

    @property
    def end(self) -> Worth:
        """The last worth known."""
        return self.points[-1].worth if self.points else self.start


def moments_between(begin: datetime, end: datetime, *, interval: str) -> list[datetime]:
    """The begin of each interval from the one that holds `begin`, and at last `end` itself. UTC; weeks from Monday."""
    length, first, last = LENGTH_MS[interval], open_time_ms(to_ms(begin), timeframe=interval), to_ms(end)
    return [from_ms(at) for at in range(first, last, length)] + [end]


def curve_of(account: TradingAccount, moments: Sequence[datetime], *, live_board: Board | None = None) -> Curve:
    """The curve over `moments`, its last point valued by `live_board` where one is given.

    An interval without a snapshot is bridged: it carries the worth before. Before an account's first snapshot there is
    nothing, so a curve that reaches back before it starts from zero.
    """
    worths = _worths(account.pk, moments)
    if live_board is not None:
        for snapshot in snapshots_of([account.pk], board=live_board, at=moments[-1]):
            worths[moments[-1]] = _worth(snapshot)
    nothing = Worth(at=moments[0], balance=ZERO, equity=ZERO, flows=ZERO, unit_value=Decimal(1))
    start = worths.get(moments[0], nothing)
    ends = [(begin, end, worths[end]) for begin, end in pairwise(moments) if end in worths]
    return Curve(start=start, points=points(start, ends))


def _worths(account_id: int, moments: Sequence[datetime]) -> dict[datetime, Worth]:
    with connection.cursor() as cursor:
        named = f"{{{','.join(str(to_us(moment)) for moment in moments)}}}"
        cursor.execute(_WORTHS, {"account": account_id, "moments": named})
        (found,) = cursor.fetchone() or (None,)
    return {} if found is None else {moments[number]: worth for number, worth in _decoder.decode(found)}


def _worth(snapshot: EquitySnapshot) -> Worth:
    return Worth(
        at=snapshot.at,
        balance=snapshot.balance,
        equity=snapshot.equity,
        flows=snapshot.flows,
        unit_value=snapshot.unit_value,
    )


def closed_between(
    account: AccountState, *, begin: datetime | None = None, end: datetime | None = None
) -> QuerySet[ClosedPosition]:
    """Positions of an account closed from `begin` until before `end`: their numbers are those of the closing fills."""
    found = ClosedPosition.objects.filter(account_id=account.id)
    if begin is not None:
        found = found.filter(number__gte=_first_fill(account, begin))
    return found if end is None else found.filter(number__lt=_first_fill(account, end))


def _first_fill(account: AccountState | TradingAccount, at: datetime) -> int:
    return first_number_from(Fill, account_id=account.id, count=account.fill_count, at=at)


def trade_sums(account: TradingAccount, *, begin: datetime, end: datetime) -> TradeSums:
    """Sums over the positions closed from `begin` until before `end`."""
    first, last = _first_fill(account, begin), _first_fill(account, end)
    with connection.cursor() as cursor:
        cursor.execute(_TRADES, {"account": account.pk, "first": first, "end": last})
        count, wins, profit, loss, largest = cursor.fetchone() or (0, 0, ZERO, ZERO, None)
    return TradeSums(count=count, wins=wins, gross_profit=profit, gross_loss=loss, largest_loss=largest)
