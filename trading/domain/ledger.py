"""The canonical text of a journal entry and its hash: reproducible by SQL, so that verification is set-based.

`trading.verification` holds the same text as a PostgreSQL expression; a test compares the two on random entries.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from astrade.core.clock import to_us
from astrade.core.money import SCALE
from trading.domain.lifecycle import EntryKind, LedgerAccount

_UNIT = Decimal(1).scaleb(-SCALE)


@dataclass(frozen=True, slots=True)
class Line:
    """One posting of an entry; `running_balance` on cash lines only."""

    ledger_account: LedgerAccount
    asset: str
    amount: Decimal
    running_balance: Decimal | None


def fixed(value: Decimal) -> str:
    """Decimal text with all 18 decimals, as PostgreSQL prints numeric(38, 18)."""
    return format(value.quantize(_UNIT), "f")


def line_text(line: Line) -> str:
    """One line as `account:asset:amount:running`."""
    running = "" if line.running_balance is None else fixed(line.running_balance)
    return f"{line.ledger_account}:{line.asset}:{fixed(line.amount)}:{running}"


def canonical_text(
    *,
    account: UUID,
    entry: UUID,
    number: int,
    kind: EntryKind,
    reference: str,
    at: datetime,
    previous_hash: str,
    lines: Iterable[Line],
) -> str:
    """The text an entry's hash covers: `at` in microseconds, amounts at scale 18, lines in their order."""
    head = f"{account}|{entry}|{number}|{kind}|{reference}|{to_us(at)}|{previous_hash}"
    return f"{head}|{';'.join(line_text(line) for line in lines)}"


def text_hash(text: str) -> str:
    """Lower-case hexadecimal SHA-256 of the text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()
