"""The ledger's checks on a million postings: verification, trial balance, a day's root and proofs under it.

    python -m benchmarks.ledger [--write] [--accounts 100000] [--entries 5]

`DATABASE_URL` and `REDIS_URL` name the servers, embedded ones are started otherwise; the database `bench_ledger` is
made anew there. The ledger is written by SQL, one entry of every account at a time, with the hashes that bookings would
have given it: `verify_ledger` must find it whole, or the run ends.
"""

import argparse
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import django

from benchmarks.contenders import astrade_env, prepare_astrade
from benchmarks.processes import machine, median
from benchmarks.report import table, write_section
from benchmarks.servers import servers

DATABASE = "bench_ledger"
PROOFS = 50
MIDNIGHT = datetime(2026, 1, 2, tzinfo=UTC)  # the entries are of the day before
# One row as the service makes it is the pattern of the others.
ACCOUNTS = """
INSERT INTO trading_tradingaccount SELECT made.* FROM generate_series(2, %(accounts)s) AS n,
(SELECT to_jsonb(a) AS row FROM trading_tradingaccount a) pattern,
LATERAL jsonb_populate_record(NULL::trading_tradingaccount,
    row || jsonb_build_object('id', (row->>'id')::bigint + n, 'uuid', gen_random_uuid())) made
"""
CASH = "INSERT INTO trading_cashbalance (account_id, asset, balance) SELECT id, 'USD', 0 FROM trading_tradingaccount"
ENTRIES = """
WITH made AS MATERIALIZED (
  SELECT a.id AS account_id, a.uuid AS account, gen_random_uuid() AS uuid, a.head_hash AS previous,
         nextval('trading_row_ids') AS id, timestamptz '2026-01-01 UTC' + %(number)s * interval '1 minute' AS at,
         %(amount)s::numeric(38, 18) AS amount, (c.balance + %(amount)s)::numeric(38, 18) AS running
  FROM trading_tradingaccount a JOIN trading_cashbalance c ON c.account_id = a.id),
hashed AS MATERIALIZED (
  SELECT *, encode(sha256(convert_to(account || '|' || uuid || '|' || %(number)s || '|' || %(kind)s || '|bench|'
    || (extract(epoch FROM at) * 1000000)::bigint || '|' || previous || '|cash:USD:' || amount || ':' || running || ';'
    || %(against)s || ':USD:' || -amount || ':', 'UTF8')), 'hex') AS hash FROM made),
entries AS (
  INSERT INTO trading_journalentry (id, uuid, account_id, number, kind, reference, at, previous_hash, hash)
  SELECT id, uuid, account_id, %(number)s, %(kind)s, 'bench', at, previous, hash FROM hashed),
postings AS (
  INSERT INTO trading_posting (id, entry_id, line, ledger_account, asset, amount, running_balance)
  SELECT id + 1, id, 1, 'cash', 'USD', amount, running FROM hashed
  UNION ALL SELECT id + 2, id, 2, %(against)s, 'USD', -amount, NULL FROM hashed),
cash AS (UPDATE trading_cashbalance c SET balance = running FROM hashed h WHERE c.account_id = h.account_id)
UPDATE trading_tradingaccount a SET head_hash = h.hash, entry_count = %(number)s FROM hashed h WHERE a.id = h.account_id
"""


def make_ledger(*, accounts: int, entries: int) -> None:
    """A deposit and fees on each account; needs a migrated database and Django set up."""
    from django.db import connection

    from accounts.models import User
    from astrade.core.roles import as_owner
    from trading.models import TradingAccount

    owner = User.objects.create_user()
    TradingAccount.objects.create(user=owner, name="Bench", created_at=MIDNIGHT)
    with as_owner(connection), connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # no trigger or foreign key is asked a million times
        cursor.execute(ACCOUNTS, {"accounts": accounts})
        cursor.execute(CASH)
        cursor.execute("ANALYZE trading_tradingaccount, trading_cashbalance")
        for number in range(1, entries + 1):
            kind, against, amount = ("commission", "fees", "-0.101") if number > 1 else ("deposit", "external", "10000")
            values = {"number": number, "kind": kind, "against": against, "amount": Decimal(amount)}
            cursor.execute(ENTRIES, values)
            print(f"entry {number} of {entries}, {accounts:,} accounts", flush=True)
        cursor.execute("VACUUM ANALYZE")


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds a call takes, and what it returns."""
    begun = time.perf_counter()
    result = call()
    return time.perf_counter() - begun, result


def verify() -> int:
    """The whole check; raises RuntimeError if anything is wrong. Returns how many postings it read."""
    from django.db import transaction

    from trading.verification import posting_count, verify_ledger

    with transaction.atomic():
        findings = [finding for _, found in verify_ledger() for finding in found]
        if findings:
            raise RuntimeError(f"the ledger is not whole: {findings[:3]}")
        return posting_count()


def measure(*, accounts: int, rounds: int) -> list[list[str]]:
    """Rows of the table, each a median where it can be repeated."""
    from trading.models import TradingAccount
    from trading.proofs import balance_proof
    from trading.services.roots import check_roots, make_roots
    from trading.trial_balance import trial_balance

    verified = [timed(verify) for _ in range(rounds)]
    postings, verify_s = verified[0][1], median([seconds for seconds, _ in verified])
    balance_s = median([timed(trial_balance)[0] for _ in range(rounds)])
    root_s, roots = timed(lambda: list(make_roots(until=MIDNIGHT)))
    check_s = median([timed(lambda: list(check_roots()))[0] for _ in range(rounds)])
    found = list(TradingAccount.objects.order_by("id")[:: max(accounts // PROOFS, 1)][:PROOFS])
    proof_s = median([timed(lambda account=account: balance_proof(account, at=None))[0] for account in found])
    return [
        ["`verify_ledger`", f"{postings:,} postings", f"{verify_s:.2f} s", f"{postings / verify_s:,.0f} postings/s"],
        ["`trial_balance`", f"{postings:,} postings", f"{balance_s:.2f} s", f"{postings / balance_s:,.0f} postings/s"],
        ["making a root", f"{roots[0].accounts:,} accounts", f"{root_s:.2f} s", f"{accounts / root_s:,.0f} accounts/s"],
        [
            "`verify_roots`",
            f"{roots[0].accounts:,} accounts",
            f"{check_s:.2f} s",
            f"{accounts / check_s:,.0f} accounts/s",
        ],
        ["one proof", f"of {roots[0].accounts:,} accounts", f"{1000 * proof_s:.1f} ms", ""],
    ]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--entries", type=int, default=5, help="of each account")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    return parser.parse_args()


def main() -> None:
    """Make the ledger, measure and print."""
    options = arguments()
    with servers() as at:
        env = astrade_env(at, prepare_astrade(at, DATABASE))
        os.environ.update(env, DJANGO_SETTINGS_MODULE="astrade.settings.dev")
        django.setup()
        make_ledger(accounts=options.accounts, entries=options.entries)
        rows = measure(accounts=options.accounts, rounds=options.rounds)
    text = f"Measured on {machine()}.\n\n{table(('', 'of', 'median', 'rate'), rows)}"
    print(text)
    if options.write:
        write_section("ledger", text)


if __name__ == "__main__":
    main()
