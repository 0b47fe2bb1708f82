"""Check the ledger against itself, set-based: hashes, chains, sums, counters and balances, all inside PostgreSQL.

Each check is one query that returns what is wrong; a clean ledger returns nothing. `sha256()` over the canonical
text of
`trading.domain.ledger` shows a flipped byte, gaps in numbers show removed rows, and the account's counters and
head hash a tail that was cut.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.db import connection
from prometheus_client import Gauge

SHOWN_AT_MOST = 20  # findings of one check
LEDGER_FINDINGS = Gauge(
    "astrade_ledger_findings", "What the last ledger check found wrong", multiprocess_mode="mostrecent"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and where."""

    check: str
    where: str


_LINES = """
SELECT entry_id, string_agg(ledger_account || ':' || asset || ':' || amount::text || ':'
                            || coalesce(running_balance::text, ''), ';' ORDER BY line) AS text
FROM trading_posting GROUP BY entry_id
"""
_CANONICAL = """
concat_ws('|', a.uuid, e.uuid, e.number, e.kind, e.reference, (extract(epoch FROM e.at) * 1000000)::bigint,
          e.previous_hash, coalesce(l.text, ''))
"""
_TWO_LINES = "concat_ws(';', " + ", ".join(
    f"{line}.ledger_account || ':' || {line}.asset || ':' || {line}.amount || ':' "
    f"|| coalesce({line}.running_balance::text, '')"
    for line in ("one", "two")
) + ")"  # fmt: skip
# Entries as bookings write them: a cash line and its counterpart, one asset an account. Whatever is not just so, number
# and balance following from the entry before and leading to the account's, is for the checks proper. Hash joins only,
# so that it runs in parallel.
_SUSPECTS = f"""
SELECT e.account_id FROM trading_journalentry e JOIN trading_tradingaccount a ON a.id = e.account_id
LEFT JOIN trading_posting one ON one.entry_id = e.id AND one.line = 1
LEFT JOIN trading_posting two ON two.entry_id = e.id AND two.line = 2
LEFT JOIN trading_journalentry b ON b.account_id = e.account_id AND b.number = e.number - 1
LEFT JOIN trading_posting cash ON cash.entry_id = b.id AND cash.line = 1
WHERE (one.ledger_account = 'cash' AND two.ledger_account <> 'cash'
  AND two.asset = one.asset AND two.amount = -one.amount AND e.number BETWEEN 1 AND a.entry_count
  AND CASE e.number WHEN 1 THEN e.previous_hash = repeat('0', 64) AND one.running_balance = one.amount
      ELSE e.previous_hash = b.hash AND cash.ledger_account = 'cash' AND cash.asset = one.asset
           AND one.running_balance = cash.running_balance + one.amount END
  AND e.hash = encode(sha256(convert_to({_CANONICAL.replace("coalesce(l.text, '')", _TWO_LINES)}, 'UTF8')), 'hex')
) IS NOT TRUE
UNION SELECT e.account_id FROM trading_posting p JOIN trading_journalentry e ON e.id = p.entry_id
WHERE p.line NOT IN (1, 2)
UNION SELECT a.id FROM trading_tradingaccount a
LEFT JOIN trading_journalentry e ON e.account_id = a.id AND e.number = a.entry_count
LEFT JOIN trading_posting one ON one.entry_id = e.id AND one.line = 1
LEFT JOIN trading_cashbalance c ON c.account_id = a.id
WHERE CASE a.entry_count WHEN 0 THEN a.head_hash = repeat('0', 64) AND coalesce(c.balance, 0) = 0
      ELSE a.head_hash = e.hash AND c.asset = one.asset AND c.balance = one.running_balance END IS NOT TRUE
"""
# For the checks that follow, the tables are what they hold of these accounts.
_AMONG_ACCOUNTS = """
trading_tradingaccount AS (SELECT * FROM trading_tradingaccount WHERE id = ANY(%(accounts)s)),
trading_cashbalance AS (SELECT * FROM trading_cashbalance WHERE account_id = ANY(%(accounts)s)),
trading_journalentry AS (SELECT * FROM trading_journalentry WHERE account_id = ANY(%(accounts)s)),
trading_posting AS (SELECT * FROM trading_posting WHERE entry_id IN (SELECT id FROM trading_journalentry)),
"""
_PLACE = "'account ' || a.uuid || ' entry ' || e.number"
CHECKS: Mapping[str, str] = {
    "hash": f"""
        SELECT {_PLACE} || ' (row ' || e.id || '): its content does not give its hash'
        FROM trading_journalentry e JOIN trading_tradingaccount a ON a.id = e.account_id
        LEFT JOIN ({_LINES}) l ON l.entry_id = e.id
        WHERE e.hash <> encode(sha256(convert_to({_CANONICAL}, 'UTF8')), 'hex')""",
    "chain": f"""
        SELECT {_PLACE} || ': ' || CASE WHEN e.number <> e.due THEN 'entry ' || e.due || ' before it is missing'
                                        ELSE 'previous_hash is not the hash of the entry before' END
        FROM (SELECT *, 1 + coalesce(lag(number) OVER w, 0) AS due, lag(hash, 1, repeat('0', 64)) OVER w AS before
              FROM trading_journalentry WINDOW w AS (PARTITION BY account_id ORDER BY number)) e
        JOIN trading_tradingaccount a ON a.id = e.account_id
        WHERE e.number <> e.due OR e.previous_hash <> e.before""",
    "head": """
        SELECT 'account ' || a.uuid || ': holds ' || a.entry_count || ' entries with head ' || left(a.head_hash, 12)
               || ', the journal ends at ' || coalesce(e.number, 0) || ' with '
               || left(coalesce(e.hash, repeat('0', 64)), 12)
        FROM trading_tradingaccount a
        LEFT JOIN LATERAL (SELECT number, hash FROM trading_journalentry WHERE account_id = a.id
                           ORDER BY number DESC LIMIT 1) e ON true
        WHERE a.entry_count <> coalesce(e.number, 0) OR a.head_hash <> coalesce(e.hash, repeat('0', 64))""",
    "orphan": """
        SELECT 'posting row ' || p.id || ' belongs to entry row ' || p.entry_id || ', which is missing'
        FROM trading_posting p LEFT JOIN trading_journalentry e ON e.id = p.entry_id WHERE e.id IS NULL""",
    "balanced": f"""
        SELECT {_PLACE} || ': postings in ' || s.asset || ' sum to ' || s.total
        FROM (SELECT entry_id, asset, sum(amount) AS total FROM trading_posting GROUP BY 1, 2 HAVING sum(amount) <> 0) s
        JOIN trading_journalentry e ON e.id = s.entry_id JOIN trading_tradingaccount a ON a.id = e.account_id""",
    "running balance": f"""
        SELECT {_PLACE} || ': running balance ' || s.running_balance || ' is not the sum ' || s.total
        FROM (SELECT p.entry_id, p.running_balance, sum(p.amount) OVER w AS total
              FROM trading_posting p JOIN trading_journalentry e ON e.id = p.entry_id WHERE p.ledger_account = 'cash'
              WINDOW w AS (PARTITION BY e.account_id, p.asset COLLATE "C" ORDER BY e.number, p.line)) s
        JOIN trading_journalentry e ON e.id = s.entry_id JOIN trading_tradingaccount a ON a.id = e.account_id
        WHERE s.running_balance <> s.total""",
    "cash balance": """
        SELECT 'account ' || a.uuid || ': ' || asset || ' balance ' || coalesce(c.balance, 0)
               || ' is not the sum of postings ' || coalesce(s.total, 0)
        FROM trading_cashbalance c
        FULL JOIN (SELECT e.account_id, p.asset, sum(p.amount) AS total
                   FROM trading_posting p JOIN trading_journalentry e ON e.id = p.entry_id
                   WHERE p.ledger_account = 'cash' GROUP BY 1, 2) s USING (account_id, asset)
        JOIN trading_tradingaccount a ON a.id = account_id
        WHERE coalesce(c.balance, 0) <> coalesce(s.total, 0)""",
    "events": """
        SELECT 'account ' || a.uuid || ': ' || a.sequence || ' events were counted, ' || coalesce(s.found, 0)
               || ' are there, the last one is ' || coalesce(s.last, 0)
        FROM trading_tradingaccount a
        LEFT JOIN (SELECT account_id, count(*) AS found, max(sequence) AS last FROM trading_event GROUP BY 1) s
             ON s.account_id = a.id
        WHERE a.sequence <> coalesce(s.found, 0) OR a.sequence <> coalesce(s.last, 0)""",
    "fills": """
        SELECT 'account ' || a.uuid || ': ' || a.fill_count || ' fills were counted, '
               || coalesce(s.found, 0) || ' are there'
        FROM trading_tradingaccount a
        LEFT JOIN (SELECT account_id, count(*) AS found FROM trading_fill GROUP BY 1) s ON s.account_id = a.id
        WHERE a.fill_count <> coalesce(s.found, 0)""",
    "booked": """
        SELECT 'account ' || a.uuid || ' fill ' || f.number || ': PnL ' || f.realized_pnl || ' and fee ' || f.fee
               || ' are booked as ' || coalesce(b.pnl, 0) || ' and ' || coalesce(b.fee, 0)
        FROM trading_fill f JOIN trading_tradingaccount a ON a.id = f.account_id
        LEFT JOIN (SELECT e.account_id, e.reference,
                          sum(p.amount) FILTER (WHERE e.kind <> 'commission') AS pnl,
                          -sum(p.amount) FILTER (WHERE e.kind = 'commission') AS fee
                   FROM trading_journalentry e JOIN trading_posting p ON p.entry_id = e.id
                   WHERE p.ledger_account = 'cash' AND starts_with(e.reference, 'fill:') GROUP BY 1, 2) b
             ON b.account_id = f.account_id AND b.reference = 'fill:' || f.uuid
        WHERE f.realized_pnl <> coalesce(b.pnl, 0) OR f.fee <> coalesce(b.fee, 0)""",
    "funding": """
        SELECT 'account ' || a.uuid || ' funding payment ' || coalesce(f.uuid::text, '(missing)') || ': '
               || coalesce(f.amount, 0) || ' is booked as ' || coalesce(b.amount, 0)
        FROM trading_fundingpayment f
        FULL JOIN (SELECT e.account_id, e.reference, sum(p.amount) AS amount
                   FROM trading_journalentry e JOIN trading_posting p ON p.entry_id = e.id
                   WHERE p.ledger_account = 'cash' AND e.kind = 'funding' GROUP BY 1, 2) b
             ON b.account_id = f.account_id AND b.reference = 'funding:' || f.uuid
        JOIN trading_tradingaccount a ON a.id = coalesce(f.account_id, b.account_id)
        WHERE coalesce(f.amount, 0) <> coalesce(b.amount, 0)""",
    "position funding": """
        SELECT 'account ' || a.uuid || ' position ' || p.uuid || ': funding ' || p.funding
               || ' is not the sum of its payments ' || coalesce(s.total, 0)
        FROM (SELECT account_id, uuid, funding FROM trading_position WHERE quantity <> 0
              UNION ALL SELECT account_id, uuid, funding FROM trading_closedposition) p
        JOIN trading_tradingaccount a ON a.id = p.account_id
        LEFT JOIN (SELECT position_uuid, sum(amount) AS total FROM trading_fundingpayment GROUP BY 1) s
             ON s.position_uuid = p.uuid
        WHERE p.funding <> coalesce(s.total, 0)""",
    "holds": """
        SELECT 'account ' || a.uuid || ' hold ' || h.reference || ': ' || h.amount || ' ' || h.asset
               || ' was settled by ' || coalesce(-p.amount, 0)
        FROM trading_hold h JOIN trading_tradingaccount a ON a.id = h.account_id
        LEFT JOIN trading_journalentry e ON e.id = h.entry_id AND e.account_id = h.account_id
        LEFT JOIN trading_posting p ON p.entry_id = e.id AND p.ledger_account = 'cash' AND p.asset = h.asset
        WHERE h.state = 'settled' AND h.amount <> coalesce(-p.amount, 0)""",
    "venue movements": """
        SELECT 'account ' || a.uuid || ' movement ' || m.movement_id || ': ' || m.amount || ' was booked as '
               || coalesce(p.amount, 0)
        FROM trading_venuemovement m JOIN trading_tradingaccount a ON a.id = m.account_id
        LEFT JOIN trading_journalentry e ON e.id = m.entry_id AND e.account_id = m.account_id
        LEFT JOIN trading_posting p ON p.entry_id = e.id AND p.ledger_account = 'cash'
        WHERE m.entry_id IS NOT NULL AND m.amount <> coalesce(p.amount, 0)""",
    "positions": """
        SELECT 'account ' || a.uuid || ' market ' || p.market_id || ': position ' || p.quantity
               || ' is not the sum of its fills ' || coalesce(s.total, 0)
        FROM trading_position p JOIN trading_tradingaccount a ON a.id = p.account_id
        LEFT JOIN (SELECT account_id, market_id, sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END) AS total
                   FROM trading_fill GROUP BY 1, 2) s ON s.account_id = p.account_id AND s.market_id = p.market_id
        WHERE p.quantity <> coalesce(s.total, 0)""",
    "orders": """
        SELECT 'account ' || a.uuid || ' order ' || o.number || ': filled ' || o.filled_quantity || ' for '
               || o.filled_notional || ' and fee ' || o.fee || ' is not the sum of its fills '
               || coalesce(s.quantity, 0) || ', ' || coalesce(s.notional, 0) || ' and ' || coalesce(s.fee, 0)
        FROM trading_order o JOIN trading_tradingaccount a ON a.id = o.account_id
        LEFT JOIN (SELECT order_id, sum(quantity) AS quantity, sum(price * quantity) AS notional, sum(fee) AS fee
                   FROM trading_fill GROUP BY 1
                   UNION ALL
                   SELECT c.parent_id, sum(f.quantity), sum(f.price * f.quantity), sum(f.fee)
                   FROM trading_order c JOIN trading_fill f ON f.order_id = c.id WHERE c.source = 'twap' GROUP BY 1
                  ) s ON s.order_id = o.id
        WHERE (o.filled_quantity, o.filled_notional, o.fee)
              <> (coalesce(s.quantity, 0), coalesce(s.notional, 0), coalesce(s.fee, 0))""",
}
OF_SUSPECTS = ("hash", "chain", "head", "balanced", "running balance", "cash balance")  # what `suspects` looks at


def suspects() -> list[int]:
    """Accounts among which are all those that a check of `OF_SUSPECTS` finds something on."""
    with connection.cursor() as cursor:
        cursor.execute(_SUSPECTS)
        return [account_id for (account_id,) in cursor.fetchall()]


def run_check(name: str, *, accounts: list[int] | None = None) -> list[Finding]:
    """What one check finds, at most `SHOWN_AT_MOST`; one of `OF_SUSPECTS` may be held against some accounts only."""
    among = "" if accounts is None else _AMONG_ACCOUNTS
    # within a CTE the planner doesn't take the limit for a promise to stop early
    query = f"WITH {among} found AS MATERIALIZED ({CHECKS[name]}) SELECT * FROM found LIMIT %(shown)s"
    with connection.cursor() as cursor:
        cursor.execute(query, {"accounts": accounts, "shown": SHOWN_AT_MOST})
        return [Finding(name, where) for (where,) in cursor.fetchall()]


def one_snapshot() -> None:
    """Let the transaction that begins with this see one state of the database, for as long as it takes."""
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute("SET LOCAL work_mem = '32MB'")  # a hash join shared by three processes takes six times as much
        cursor.execute("SET LOCAL parallel_setup_cost = 0")
        cursor.execute("SET LOCAL parallel_tuple_cost = 0")  # few rows are found, where the planner expects nearly all


def verify_ledger() -> Iterator[tuple[str, list[Finding]]]:
    """Run every check, all on one snapshot, yielding each one's findings as it is done; call it in a
    transaction of its own.
    """
    one_snapshot()
    suspected = suspects()
    for name in CHECKS:
        if name not in OF_SUSPECTS:
            yield name, run_check(name)
        else:
            yield name, run_check(name, accounts=suspected) if suspected else []


def posting_count() -> int:
    """How many postings there are."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM trading_posting")
        row = cursor.fetchone()
    return int(row[0]) if row else 0
