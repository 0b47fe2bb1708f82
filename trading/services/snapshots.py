"""Equity snapshots: what every account was worth at the moments of a schedule."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from trading.domain.margin import Board, summarise
from trading.domain.performance import grown
from trading.domain.state import AccountState
from trading.loading import read_accounts
from trading.models import EquitySnapshot, TradingAccount
from trading.services.bookings import present_board

BATCH = 200
ATTEMPTS = 5
_BASES = """
SELECT a.id, a.entry_count, coalesce(s.equity, 0), coalesce(s.flows, 0), coalesce(s.unit_value, 1)
FROM trading_tradingaccount a
LEFT JOIN LATERAL (SELECT equity, flows, unit_value FROM trading_equitysnapshot
                   WHERE account_id = a.id AND at < %(at)s ORDER BY at DESC LIMIT 1) s ON true
WHERE a.id = ANY(%(ids)s)
"""


def take_snapshots(at: datetime) -> int:
    """Store what every account that is not closed is worth at `at`; returns how many snapshots were new.

    Safe to run twice for one `at`: a snapshot that exists stays as it is.
    """
    board, made, last = present_board(), 0, 0
    while True:
        accounts = TradingAccount.objects.filter(pk__gt=last).exclude(state=TradingAccount.State.CLOSED)
        batch = list(accounts.order_by("pk").values_list("pk", flat=True)[:BATCH])
        if not batch:
            return made
        last = batch[-1]
        rows = list(snapshots_of(batch, board=board, at=at))
        known = EquitySnapshot.objects.filter(account_id__in=[row.account_id for row in rows], at=at).count()
        EquitySnapshot.objects.bulk_create(rows, ignore_conflicts=True)
        made += len(rows) - known


def snapshots_of(account_ids: Sequence[int], *, board: Board, at: datetime) -> Iterator[EquitySnapshot]:
    """Unsaved snapshots of accounts, each following the account's last one before `at`.

    No lock is taken: counters and cash are two reads, and an account on which something was booked meanwhile is read
    again. One that is never still is left out, which the curve bridges.
    """
    pending = list(account_ids)
    for _ in range(ATTEMPTS):
        states = read_accounts(pending)
        bases = _bases(pending, at=at)
        for state in states:
            entry_count, *base = bases[state.id]
            if entry_count == state.entry_count:
                pending.remove(state.id)
                yield _snapshot(state, *base, board=board, at=at)
        if not pending:
            return


def _bases(account_ids: Sequence[int], *, at: datetime) -> dict[int, tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(_BASES, {"ids": list(account_ids), "at": at})
        return {row[0]: row[1:] for row in cursor.fetchall()}


def _snapshot(
    state: AccountState,
    equity_before: Decimal,
    flows_before: Decimal,
    unit_value: Decimal,
    *,
    board: Board,
    at: datetime,
) -> EquitySnapshot:
    worth, flow = summarise(state, board), state.net_deposits - flows_before
    return EquitySnapshot(
        account_id=state.id,
        at=at,
        balance=worth.balance,
        equity=worth.equity,
        flows=state.net_deposits,
        unit_value=grown(unit_value, before=equity_before, after=worth.equity, flow=flow),
    )
