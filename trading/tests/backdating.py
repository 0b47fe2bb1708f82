"""Accounts whose entries were booked on earlier days, as the ledger would hold them."""

from collections.abc import Sequence
from datetime import datetime

from trading.domain.ledger import Line, canonical_text, text_hash
from trading.domain.lifecycle import EntryKind, LedgerAccount
from trading.models import JournalEntry, TradingAccount
from trading.models.account import GENESIS_HASH
from trading.tests.test_verification import superuser


def backdate(account: TradingAccount, *moments: datetime) -> None:
    """Give the account's entries these times, oldest first, with the hashes that they then have."""
    head, entries = GENESIS_HASH, list(JournalEntry.objects.filter(account=account).order_by("number"))
    rows = []
    for entry, at in zip(entries, moments, strict=True):
        hash_ = text_hash(_text(account, entry, at=at, previous_hash=head, lines=lines_of(entry)))
        rows.append((at, head, hash_, entry.pk))
        head = hash_
    with superuser() as cursor:
        for row in rows:
            cursor.execute("UPDATE trading_journalentry SET at = %s, previous_hash = %s, hash = %s WHERE id = %s", row)
        cursor.execute("UPDATE trading_tradingaccount SET head_hash = %s WHERE id = %s", [head, account.pk])


def lines_of(entry: JournalEntry) -> list[Line]:
    """An entry's postings as the canonical text has them."""
    return [
        Line(LedgerAccount(row.ledger_account), row.asset, row.amount, row.running_balance)
        for row in entry.postings.order_by("line")
    ]


def _text(
    account: TradingAccount, entry: JournalEntry, *, at: datetime, previous_hash: str, lines: Sequence[Line]
) -> str:
    return canonical_text(
        account=account.uuid,
        entry=entry.uuid,
        number=entry.number,
        kind=EntryKind(entry.kind),
        reference=entry.reference,
        at=at,
        previous_hash=previous_hash,
        lines=lines,
    )
