"""Equity snapshots: what every account was worth at the moments of a schedule."""

from datetime import datetime

from trading.domain.margin import summarise
from trading.loading import read_accounts
from trading.models import EquitySnapshot, TradingAccount
from trading.services.bookings import present_board

BATCH = 200


def take_snapshots(at: datetime) -> int:
    """Store balance and equity of every account that is not closed, at `at`; returns how many were new.

    Safe to run twice for one `at`: a snapshot that exists stays as it is.
    """
    board, made, last = present_board(), 0, 0
    while True:
        accounts = TradingAccount.objects.filter(pk__gt=last).exclude(state=TradingAccount.State.CLOSED)
        batch = list(accounts.order_by("pk").values_list("pk", flat=True)[:BATCH])
        if not batch:
            return made
        last = batch[-1]
        states = [(state.id, summarise(state, board)) for state in read_accounts(batch)]
        rows = [
            EquitySnapshot(account_id=pk, at=at, balance=worth.balance, equity=worth.equity) for pk, worth in states
        ]
        known = EquitySnapshot.objects.filter(account_id__in=batch, at=at).count()
        EquitySnapshot.objects.bulk_create(rows, ignore_conflicts=True)
        made += len(rows) - known
