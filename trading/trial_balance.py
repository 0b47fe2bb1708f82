"""The trial balance: what every ledger account holds per asset, and cached cash against its postings; all set-based."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection, transaction

from trading.verification import CHECKS, SHOWN_AT_MOST, one_snapshot

_SUMS = """
SELECT p.asset, p.ledger_account, sum(p.amount), count(*)
FROM trading_posting p JOIN trading_journalentry e ON e.id = p.entry_id
WHERE %(at)s::timestamptz IS NULL OR e.at < %(at)s
GROUP BY 1, 2 ORDER BY 1, 2
"""
_CASH_THEN = """
SELECT 'account ' || a.uuid || ': ' || s.asset || ' balance ' || s.running || ' after entry ' || s.number
       || ' is not the sum of postings ' || s.total
FROM (SELECT DISTINCT ON (e.account_id, p.asset) e.account_id, p.asset, e.number, p.running_balance AS running,
             sum(p.amount) OVER (PARTITION BY e.account_id, p.asset) AS total
      FROM trading_posting p JOIN trading_journalentry e ON e.id = p.entry_id
      WHERE p.ledger_account = 'cash' AND e.at < %(at)s
      ORDER BY e.account_id, p.asset, e.number DESC) s
JOIN trading_tradingaccount a ON a.id = s.account_id
WHERE s.running <> s.total
"""


@dataclass(frozen=True, slots=True)
class Holding:
    """What one ledger account holds in one asset; money that users have is positive `cash`."""

    asset: str
    ledger_account: str
    amount: Decimal
    postings: int


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """`totals` by asset are zero in a sound ledger; `differences` names what isn't the sum of its postings."""

    holdings: list[Holding]
    totals: dict[str, Decimal]
    differences: list[str]

    @property
    def is_sound(self) -> bool:
        """Whether everything sums as it must."""
        return not self.differences and not any(self.totals.values())


def trial_balance(*, at: datetime | None = None) -> TrialBalance:
    """Of everything that is booked, or of what was booked before `at`; on one snapshot.

    Now, cached balances are compared with their postings; at an earlier moment, the running balances of then. Names at
    most SHOWN_AT_MOST differences.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        one_snapshot()
        cursor.execute(_SUMS, {"at": at})
        holdings = [Holding(*row) for row in cursor.fetchall()]
        cash = CHECKS["cash balance"] if at is None else _CASH_THEN
        cursor.execute(f"{cash} LIMIT %(shown)s", {"at": at, "shown": SHOWN_AT_MOST})
        differences = [where for (where,) in cursor.fetchall()]
    totals: dict[str, Decimal] = {}
    for holding in holdings:
        totals[holding.asset] = totals.get(holding.asset, Decimal(0)) + holding.amount
    return TrialBalance(holdings, totals, differences)
