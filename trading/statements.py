"""A period's statement of an account: opening balance, every ledger line, sums by kind, closing balance.

A period is a range of entry numbers. Entries are never changed, so the range is read page by page without a
transaction, and opening balance plus lines is the closing balance whatever is booked meanwhile.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

from django.db.models import Count, Sum

from astrade.core.clock import to_ms
from astrade.core.handler import drop_dead_connections
from astrade.core.money import ZERO, plain
from trading.domain.lifecycle import EntryKind, LedgerAccount
from trading.models import JournalEntry, Posting, TradingAccount
from trading.moments import first_number_from

PERIOD_MAX = timedelta(days=366)
LINES_MAX = 10_000  # that a JSON statement holds; CSV has no limit
PAGE = 2_000
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
COLUMNS = ("number", "at", "kind", "asset", "amount", "running_balance", "reference", "entry_id")
Line = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """An account's cash from `begin` until before `end`, which is entries `first` until before `last`."""

    account: TradingAccount
    begin: datetime
    end: datetime
    first: int
    last: int
    opening: Decimal
    closing: Decimal
    sums: dict[str, Decimal]
    line_count: int

    @property
    def body(self) -> dict[str, Any]:
        """Everything but the lines."""
        return {
            "account_id": str(self.account.uuid),
            "asset": self.account.currency,
            "from": to_ms(self.begin),
            "to": to_ms(self.end),
            "opening_balance": plain(self.opening),
            "closing_balance": plain(self.closing),
            "sums": {kind: plain(total) for kind, total in sorted(self.sums.items())},
            "fees": plain(-self.sums.get(EntryKind.COMMISSION, ZERO)),
            "funding": plain(self.sums.get(EntryKind.FUNDING, ZERO)),
            "realized_pnl": plain(self.sums.get(EntryKind.TRADE_PNL, ZERO)),
            "line_count": self.line_count,
        }


def statement_of(account: TradingAccount, *, begin: datetime, end: datetime) -> Statement:
    """The statement's figures; lines are read by `lines_of`."""
    first, last = (
        first_number_from(JournalEntry, account_id=account.pk, count=account.entry_count, at=at) for at in (begin, end)
    )
    booked = _cash(account.pk).filter(entry__number__gte=first, entry__number__lt=last).values("entry__kind")
    found = list(booked.annotate(total=Sum("amount"), lines=Count("id")).order_by())
    return Statement(
        account=account,
        begin=begin,
        end=end,
        first=first,
        last=last,
        opening=_balance_before(account.pk, first),
        closing=_balance_before(account.pk, last),
        sums={row["entry__kind"]: row["total"] for row in found},
        line_count=sum(row["lines"] for row in found),
    )


def _cash(account_id: int) -> Any:
    return Posting.objects.filter(entry__account_id=account_id, ledger_account=LedgerAccount.CASH)


def _balance_before(account_id: int, number: int) -> Decimal:
    before = _cash(account_id).filter(entry__number__lt=number).order_by("-entry__number")
    balance: Decimal | None = before.values_list("running_balance", flat=True).first()
    return ZERO if balance is None else balance


def lines_of(statement: Statement) -> Iterator[Line]:
    """Its lines, oldest first, a page at a time. Each page is one query in whatever thread asks for it."""
    number = statement.first
    while number < statement.last:
        until = min(number + PAGE, statement.last)
        page = _cash(statement.account.pk).filter(entry__number__gte=number, entry__number__lt=until)
        drop_dead_connections()
        for posting in list(page.select_related("entry").order_by("entry__number")):
            yield {
                "number": posting.entry.number,
                "at": posting.entry.at,
                "kind": posting.entry.kind,
                "asset": posting.asset,
                "amount": posting.amount,
                "running_balance": posting.running_balance,
                "reference": posting.entry.reference,
                "entry_id": posting.entry.uuid,
            }
        number = until


def csv_of(statement: Statement) -> Iterator[str]:
    """The statement as CSV: a head, the opening balance, the lines, the closing balance. One that lacks its last line
    is not whole.
    """
    text = StringIO()
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    rows.writerow(_edge("opening_balance", statement, at=statement.begin, balance=statement.opening))
    for count, line in enumerate(lines_of(statement), start=1):
        rows.writerow([cell_of(line[name]) for name in COLUMNS])
        if count % PAGE == 0:
            yield _taken(text)
    rows.writerow(_edge("closing_balance", statement, at=statement.end, balance=statement.closing))
    yield _taken(text)


def _edge(kind: str, statement: Statement, *, at: datetime, balance: Decimal) -> list[str]:
    cells = {"at": at, "kind": kind, "asset": statement.account.currency, "running_balance": balance}
    return [cell_of(cells.get(name, "")) for name in COLUMNS]


def _taken(text: StringIO) -> str:
    written = text.getvalue()
    text.seek(0)
    text.truncate()
    return written


def cell_of(value: object) -> str:
    """A spreadsheet cell: numbers plain, times as ISO 8601 in UTC, and text that no spreadsheet takes for a formula
    (OWASP, "CSV Injection": an apostrophe before what one would begin with).
    """
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    text = str(value)
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text
