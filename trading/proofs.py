"""A proof of an account's balance at a moment, checkable without the platform (docs/proofs.md)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from astrade.core.errors import NotFound, ValidationFailed
from astrade.core.money import ZERO
from trading.domain.ledger import Line, canonical_text, fixed
from trading.domain.lifecycle import EntryKind, LedgerAccount
from trading.domain.merkle import leaf_nonce, siblings
from trading.models import BalanceLeaf, BalanceRoot, JournalEntry, Posting, TradingAccount

FORMAT = "astrade-proof-1"
ENTRIES_MAX = 5000  # of one proof
ROOTS_MAX = 1000

_PATH = """
SELECT encode(substring(t.hashes FROM s.position * 32 + 1 FOR 32), 'hex')
FROM trading_balancetreelevel t JOIN unnest(%s::int[], %s::int[]) AS s (level, position) USING (level)
WHERE t.root_id = %s ORDER BY t.level
"""


@dataclass(frozen=True, slots=True)
class _Evidence:
    root: BalanceRoot
    leaf: BalanceLeaf
    moment: datetime
    entry_count: int  # entries booked before the moment


def balance_proof(account: TradingAccount, *, at: datetime | None) -> dict[str, Any]:
    """The balance of what was booked before `at` (the latest root's midnight unless said), with its evidence.

    The evidence is the first root at or after the moment, else the latest one, and the entries between the two.
    Raises NotFound while no root holds the account, ValidationFailed if there are too many entries between.
    """
    evidence = _evidence_at(account, at)
    first, last = sorted((evidence.entry_count, evidence.leaf.entry_number))
    if last - first >= ENTRIES_MAX:
        fault = f"More than {ENTRIES_MAX} entries lie between it and a root."
        raise ValidationFailed(details={"fields": {"at": [fault]}})
    entries = JournalEntry.objects.filter(account=account, number__range=(max(first, 1), last)).order_by("number")
    lines = _lines_of(list(entries))
    cash = {entry.number: _cash(lines[entry.pk], account.currency) for entry in entries}
    leaf, root = evidence.leaf, evidence.root
    return {
        "format": FORMAT,
        "account_id": account.uuid,
        "at": evidence.moment,
        "asset": account.currency,
        "balance": cash.get(evidence.entry_count, ZERO),
        "entry_count": evidence.entry_count,
        "entries": [_text(account, entry, lines[entry.pk]) for entry in entries],
        "leaf": {
            "nonce": leaf_nonce(bytes(root.salt), account.uuid),
            "position": leaf.position,
            "balance": fixed(cash[leaf.entry_number]),
            "entry_count": leaf.entry_number,
            "head_hash": next(entry.hash for entry in entries if entry.number == leaf.entry_number),
        },
        "path": _path(root, leaf.position),
        "root": root.number,
        "roots": [root_body(row) for row in _chain(root)],
    }


def root_body(root: BalanceRoot) -> dict[str, Any]:
    """A root as it is published."""
    names = ("number", "at", "accounts", "root", "previous_hash", "hash")
    return {name: getattr(root, name) for name in names}


def _evidence_at(account: TradingAccount, at: datetime | None) -> _Evidence:
    opened = JournalEntry.objects.filter(account=account, number=1).values_list("at", flat=True).first()
    if opened is None:
        raise NotFound("Nothing was booked on this account yet")
    holding = BalanceRoot.objects.filter(at__gt=opened)
    covering = None if at is None else holding.filter(at__gte=at).order_by("number").first()
    root = covering or holding.order_by("-number").first()
    if root is None:
        raise NotFound("No root holds this account yet; the next one is made after midnight UTC")
    moment = root.at if at is None else at
    found = BalanceLeaf.objects.filter(account=account, root__in=(root.number - 1, root.number))
    leaves = {leaf.root_id: leaf for leaf in found}
    leaf, before = leaves[root.number], leaves.get(root.number - 1)
    booked = JournalEntry.objects.filter(account=account, at__lt=moment)
    if moment > root.at:
        low = leaf.entry_number
    else:
        low = 0 if before is None else before.entry_number
        booked = booked.filter(number__lte=leaf.entry_number)
    last = booked.filter(number__gt=low).order_by("-number").values_list("number", flat=True).first()
    return _Evidence(root, leaf, moment, low if last is None else last)


def _lines_of(entries: Sequence[JournalEntry]) -> dict[int, list[Line]]:
    lines: dict[int, list[Line]] = {entry.pk: [] for entry in entries}
    for posting in Posting.objects.filter(entry__in=entries).order_by("entry_id", "line"):
        line = Line(LedgerAccount(posting.ledger_account), posting.asset, posting.amount, posting.running_balance)
        lines[posting.entry_id].append(line)
    return lines


def _cash(lines: Sequence[Line], asset: str) -> Decimal:
    """The balance after an entry: every entry has one line of cash."""
    cash = (line for line in lines if line.ledger_account == LedgerAccount.CASH and line.asset == asset)
    return next(line.running_balance for line in cash if line.running_balance is not None)


def _text(account: TradingAccount, entry: JournalEntry, lines: Sequence[Line]) -> str:
    return canonical_text(
        account=account.uuid,
        entry=entry.uuid,
        number=entry.number,
        kind=EntryKind(entry.kind),
        reference=entry.reference,
        at=entry.at,
        previous_hash=entry.previous_hash,
        lines=lines,
    )


def _path(root: BalanceRoot, position: int) -> list[str]:
    wanted = siblings(position, size=root.accounts)
    with connection.cursor() as cursor:
        cursor.execute(_PATH, [[level for level, _ in wanted], [place for _, place in wanted], root.number])
        return [hash_ for (hash_,) in cursor.fetchall()]


def _chain(root: BalanceRoot) -> list[BalanceRoot]:
    """Roots without a gap up to the latest, `root` among them; from it on where it is older than ROOTS_MAX."""
    latest = list(BalanceRoot.objects.order_by("-number")[:ROOTS_MAX])[::-1]
    if latest[0].number <= root.number:
        return latest
    return list(BalanceRoot.objects.filter(number__gte=root.number).order_by("number")[:ROOTS_MAX])
