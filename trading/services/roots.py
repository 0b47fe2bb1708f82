"""Daily Merkle roots over all accounts' balances, each chained to the one before (docs/proofs.md).

A root is of what was booked before its midnight, UTC, so it can be made again from the ledger at any later time, and
compared: `check_root` does. It is made once no transaction can book before that midnight any more.
"""

import secrets
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from trading.domain.merkle import HASH_BYTES, root_hash, tree_levels
from trading.models import BalanceRoot, BalanceTreeLevel, JournalEntry
from trading.models.account import GENESIS_HASH

DAY = timedelta(days=1)
POLL_S = 0.2

# The texts are those of trading.domain.merkle
_LEAVES = """
SELECT a.id AS account_id, row_number() OVER (ORDER BY a.id) - 1 AS position, e.number AS entry_number,
       sha256('\\x00'::bytea || convert_to('leaf|' || encode(sha256(%(salt)s || uuid_send(a.uuid)), 'hex') || '|'
           || a.uuid || '|' || p.asset || '|' || p.running_balance || '|' || e.number || '|' || e.hash, 'UTF8')) AS hash
FROM trading_tradingaccount a
CROSS JOIN LATERAL (SELECT id, number, hash FROM trading_journalentry
                    WHERE account_id = a.id AND at < %(at)s ORDER BY number DESC LIMIT 1) e
JOIN trading_posting p ON p.entry_id = e.id AND p.ledger_account = 'cash' AND p.asset = a.currency
"""
_JOINED = "SELECT string_agg(hash, ''::bytea ORDER BY position) FROM leaves"
_STORED = f"""
WITH leaves AS MATERIALIZED ({_LEAVES}),
stored AS (INSERT INTO trading_balanceleaf (root_id, account_id, position, entry_number)
           SELECT %(number)s, account_id, position, entry_number FROM leaves)
{_JOINED}
"""
_PLACES = "string_agg(account_id || ' ' || position || ' ' || entry_number, ',' ORDER BY position)"
_RECOMPUTED = f"""
WITH leaves AS MATERIALIZED ({_LEAVES})
SELECT ({_JOINED}),
       (SELECT {_PLACES} FROM leaves) = (SELECT {_PLACES} FROM trading_balanceleaf WHERE root_id = %(number)s)
"""
_DIFFERING = f"""
WITH now AS MATERIALIZED ({_LEAVES}),
     told AS (SELECT account_id, position, entry_number,
                     substring(%(leaves)s::bytea FROM position * 32 + 1 FOR 32) AS hash
              FROM trading_balanceleaf WHERE root_id = %(number)s)
SELECT a.uuid, told.entry_number, now.entry_number
FROM told FULL JOIN now USING (account_id) JOIN trading_tradingaccount a ON a.id = account_id
WHERE (told.position, told.entry_number, told.hash) IS DISTINCT FROM (now.position, now.entry_number, now.hash)
ORDER BY account_id LIMIT 20
"""


def settled_moment(*, within_s: float) -> datetime | None:
    """The database's time at the call, once every transaction that was writing then has ended; None if one goes on.

    A booking has its transaction id before it asks for the time, and so one below that which is drawn here after the
    moment (a snapshot's xmax won't do: ids that are in use may lie above it). Nothing is booked before it any more.
    Call it outside a transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (moment,) = cursor.fetchone() or (None,)
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        (horizon,) = cursor.fetchone() or (0,)
        given_up = time.monotonic() + within_s
        while True:
            cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint >= %s", [horizon])
            if cursor.fetchone() == (True,):
                return moment
            if time.monotonic() >= given_up:
                return None
            time.sleep(POLL_S)


def make_roots(*, until: datetime) -> Iterator[BalanceRoot]:
    """Make the roots of all midnights up to `until` that have none, oldest first, each in a transaction of its own.

    `until` is a settled moment. The first root is that of the midnight after the first entry. Two at once do no harm.
    """
    while root := _make_next(until):
        yield root


@transaction.atomic
def _make_next(until: datetime) -> BalanceRoot | None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SET LOCAL work_mem = '128MB'")
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('trading_balanceroot'))")
        last = BalanceRoot.objects.order_by("-number").first()
        at = _first_midnight() if last is None else last.at + DAY
        if at is None or at > until:
            return None
        number, salt = 1 if last is None else last.number + 1, secrets.token_bytes(HASH_BYTES)
        cursor.execute(_STORED, {"number": number, "salt": salt, "at": at})
        (leaves,) = cursor.fetchone() or (b"",)
    levels = tree_levels(bytes(leaves))
    root = BalanceRoot(
        number=number,
        at=at,
        accounts=len(levels[0]) // HASH_BYTES,
        root=levels[-1].hex(),
        salt=salt,
        previous_hash=GENESIS_HASH if last is None else last.hash,
    )
    root.hash = _hash_of(root)
    root.save(force_insert=True)
    BalanceTreeLevel.objects.bulk_create(
        BalanceTreeLevel(root=root, level=level, hashes=hashes) for level, hashes in enumerate(levels)
    )
    return root


def _first_midnight() -> datetime | None:
    first = JournalEntry.objects.order_by("pk").values_list("at", flat=True).first()
    return None if first is None else first.replace(hour=0, minute=0, second=0, microsecond=0) + DAY


def _hash_of(root: BalanceRoot) -> str:
    return root_hash(
        number=root.number, at=root.at, accounts=root.accounts, root=root.root, previous_hash=root.previous_hash
    )


def check_root(root: BalanceRoot, *, before: BalanceRoot | None) -> list[str]:
    """What is wrong with a stored root: its chain to the one before, its tree, or the ledger it is made from."""
    levels = [bytes(level.hashes) for level in BalanceTreeLevel.objects.filter(root=root).order_by("level")]
    found = _check_chain(root, before)
    if not levels or levels != tree_levels(levels[0]) or levels[-1].hex() != root.root:
        found.append(f"root {root.number}: its tree does not give its root")
    told = levels[0] if levels else b""
    if len(told) != root.accounts * HASH_BYTES:
        found.append(f"root {root.number}: its number of accounts is not that of its leaves")
    return found + _check_leaves(root, told)


def _check_leaves(root: BalanceRoot, told: bytes) -> list[str]:
    values: dict[str, Any] = {"number": root.number, "salt": bytes(root.salt), "at": root.at, "leaves": told}
    with connection.cursor() as cursor:
        cursor.execute(_RECOMPUTED, values)
        leaves, same_places = cursor.fetchone() or (b"", False)
        if bytes(leaves or b"") == told and same_places:
            return []
        cursor.execute(_DIFFERING, values)
        rows = cursor.fetchall()
    return [
        f"root {root.number}: account {uuid} was told with {told or 0} entries, the ledger before {root.at:%Y-%m-%d} "
        f"gives {now or 0}" + (" of other content" if told == now else "")
        for uuid, told, now in rows
    ]


def _check_chain(root: BalanceRoot, before: BalanceRoot | None) -> list[str]:
    found = []
    if root.hash != _hash_of(root):
        found.append(f"root {root.number}: its content does not give its hash")
    number, previous, at = (
        (0, GENESIS_HASH, root.at - DAY) if before is None else (before.number, before.hash, before.at)
    )
    if (root.number, root.previous_hash, root.at) != (number + 1, previous, at + DAY):
        found.append(f"root {root.number}: it does not follow the one before")
    return found


def check_roots(*, last: int | None = None) -> Iterator[tuple[BalanceRoot, list[str]]]:
    """Check the latest `last` roots (all for None), oldest first, yielding each with what is wrong."""
    roots = BalanceRoot.objects.order_by("-number")
    wanted = list(roots if last is None else roots[: last + 1])[::-1]
    before = None if last is None or len(wanted) <= last else wanted.pop(0)
    for root in wanted:
        yield root, check_root(root, before=before)
        before = root
