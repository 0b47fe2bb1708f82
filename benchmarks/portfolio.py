"""Portfolio reads of an account with a million fills: the equity curve, risk figures, closed positions, a statement.

    python -m benchmarks.portfolio [--fills 1000000] [--write]

`DATABASE_URL` and `REDIS_URL` name the servers, embedded ones are started otherwise; the database `bench_portfolio` is
made anew there. Fills, closed positions, ledger entries and snapshots are made in SQL, set by set.
"""

import argparse
import json
import time
from contextlib import ExitStack

import httpx
import psycopg

from benchmarks.contenders import SYMBOL, Servers, live_market, prepare_astrade, sign_up, start_astrade
from benchmarks.load import Plan, http_request
from benchmarks.processes import Server, machine, percentile, run_load
from benchmarks.report import table, write_section
from benchmarks.servers import servers

DATABASE = "bench_portfolio"
DAYS = 365
BATCH = 100_000
FIRST_ROW_ID = 10_000_000_000  # beyond what the row-id sequence gives in a run
START = f"date_trunc('hour', now()) - interval '{DAYS} days'"
AT = f"{START} + n * (interval '{DAYS} days' / %(fills)s)"
SERIES = "generate_series(%(low)s::bigint, %(high)s::bigint) AS n"
ACCOUNT = "(SELECT max(id) FROM trading_tradingaccount)"
ORDER = f"""
INSERT INTO trading_order SELECT (jsonb_populate_record(NULL::trading_order, to_jsonb(o) || jsonb_build_object(
    'id', {FIRST_ROW_ID} - 1, 'uuid', gen_random_uuid(), 'number', o.number + 1, 'client_order_id', 'bench'))).*
FROM trading_order o WHERE o.account_id = {ACCOUNT} ORDER BY o.number DESC LIMIT 1
"""
# A buy and a sell in turn: each second fill closes a position, two in three with a loss.
FILLS = f"""
INSERT INTO trading_fill SELECT made.* FROM {SERIES},
(SELECT to_jsonb(f) AS row FROM trading_fill f WHERE account_id = {ACCOUNT} ORDER BY number LIMIT 1) pattern,
LATERAL jsonb_populate_record(NULL::trading_fill, row || jsonb_build_object(
    'id', {FIRST_ROW_ID} + n, 'uuid', gen_random_uuid(), 'order_id', {FIRST_ROW_ID} - 1, 'number', %(offset)s + n,
    'venue_trade_id', 'bench:' || n, 'side', CASE n %% 2 WHEN 1 THEN 'buy' ELSE 'sell' END,
    'realized_pnl', CASE WHEN n %% 2 = 1 THEN 0 ELSE (n / 2 %% 3) - 1 END, 'at', {AT})) made
"""
CLOSED = f"""
INSERT INTO trading_closedposition SELECT made.* FROM {SERIES},
(SELECT to_jsonb(c) AS row FROM trading_closedposition c WHERE account_id = {ACCOUNT} LIMIT 1) pattern,
LATERAL jsonb_populate_record(NULL::trading_closedposition, row || jsonb_build_object(
    'id', {FIRST_ROW_ID} + 10 * %(fills)s + n, 'uuid', gen_random_uuid(), 'number', %(offset)s + n,
    'realized_pnl', (n / 2 %% 3) - 1, 'fees', 0.01, 'opened_at', {AT}, 'closed_at', {AT})) made
WHERE n %% 2 = 0
"""
ENTRIES = f"""
WITH made AS (
  INSERT INTO trading_journalentry (id, uuid, account_id, number, kind, reference, at, previous_hash, hash)
  SELECT {FIRST_ROW_ID} + 20 * %(fills)s + n, gen_random_uuid(), {ACCOUNT}, %(entries)s + n, 'commission',
         'bench:' || n, {AT}, repeat('0', 64), repeat('0', 64)
  FROM {SERIES} RETURNING id, number)
INSERT INTO trading_posting (id, entry_id, line, ledger_account, asset, amount, running_balance)
SELECT {FIRST_ROW_ID} + 30 * %(fills)s + 2 * (number - %(entries)s) + line, id, line + 1,
       CASE line WHEN 0 THEN 'cash' ELSE 'fees' END, 'USD', CASE line WHEN 0 THEN -0.001 ELSE 0.001 END,
       CASE line WHEN 0 THEN 10000 - 0.001 * (number - %(entries)s) END
FROM made, generate_series(0, 1) AS line
"""
SNAPSHOTS = f"""
INSERT INTO trading_equitysnapshot (account_id, at, balance, equity, flows, unit_value)
SELECT {ACCOUNT}, at, 10000, 10000 + 500 * sin(n / 900.0), 10000, 1 + 0.05 * sin(n / 900.0)
FROM generate_series(0, {DAYS} * 288 - 1) AS n, LATERAL (SELECT {START} + n * interval '5 minutes' AS at) moment
"""
COUNTERS = f"""
UPDATE trading_tradingaccount SET fill_count = fill_count + %(fills)s, entry_count = entry_count + %(fills)s,
    order_count = order_count + 1 WHERE id = {ACCOUNT}
"""
EARLIER = f"""
UPDATE {{table}} SET {{column}} = {START} - interval '1 minute' WHERE account_id = {ACCOUNT}
"""


def fill_account(database_url: str, *, fills: int) -> None:
    """Give the newest account a year of `fills`, with everything that is read of them."""
    with psycopg.connect(database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        for table_name, column in (("fill", "at"), ("journalentry", "at"), ("closedposition", "closed_at")):
            connection.execute(EARLIER.format(table=f"trading_{table_name}", column=column))
        own = connection.execute(f"SELECT fill_count, entry_count FROM trading_tradingaccount WHERE id = {ACCOUNT}")
        offset, entries = own.fetchone() or (0, 0)
        named = {"fills": fills, "offset": offset, "entries": entries}
        connection.execute(ORDER)
        for low in range(1, fills + 1, BATCH):
            for statement in (FILLS, CLOSED, ENTRIES):
                connection.execute(statement, {**named, "low": low, "high": min(low + BATCH - 1, fills)})
            print(f"{min(low + BATCH - 1, fills):,} of {fills:,} fills", flush=True)
        connection.execute(SNAPSHOTS)
        connection.execute(COUNTERS, named)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def first_trades(server: Server, token: str) -> str:
    """A position opened and closed, whose rows are the pattern of all others; returns the account's id."""
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}/api/v1", headers={"Authorization": token}) as client:
        for side in ("buy", "sell"):
            order = {"symbol": SYMBOL, "side": side, "type": "market", "quantity": "0.001"}
            client.post("/orders", json=order).raise_for_status()
        account: str = client.get("/accounts").json()["data"][0]["id"]
        return account


def read_rows(server: Server, token: str, account: str, *, seconds: float) -> list[list[str]]:
    """Latency of each read on one connection."""
    year_ms = DAYS * 86_400_000
    since = int(time.time() * 1000) - year_ms + 3_600_000
    paths = {
        "history, 100 days": "/portfolio/history?interval=1d",
        "history, 1,000 hours": f"/portfolio/history?interval=1h&from={int(time.time() * 1000) - 999 * 3_600_000}",
        "history, the year by week": f"/portfolio/history?interval=1w&from={since}",
        "risk, 30 days by hour": "/portfolio/risk",
        "risk, the year by day": f"/portfolio/risk?interval=1d&from={since}",
        "closed positions, newest 50": "/account/positions/history",
        "closed positions, 50 half a year ago": f"/account/positions/history?to={since + year_ms // 2}",
        "statement, an hour": f"/accounts/{account}/statement?from={since}&to={since + 3_600_000}",
    }
    rows = []
    for name, path in paths.items():
        request = http_request("GET", f"/api/v1{path}", token=token)
        run_load(Plan("127.0.0.1", server.port, [[request]], seconds=0.5))
        result = run_load(Plan("127.0.0.1", server.port, [[request]], seconds=seconds))
        if result.errors or set(result.statuses) != {"200"}:
            raise RuntimeError(f"{name} failed: {json.dumps(result.statuses)} {result.samples}")
        rows.append([name, *(f"{percentile(result.latencies_ms, share):.1f}" for share in (0.50, 0.95))])
    return rows


def measure(at: Servers, options: argparse.Namespace) -> list[list[str]]:
    """Make the account, then read."""
    with ExitStack() as stack:
        database_url = prepare_astrade(at, DATABASE)
        stack.enter_context(live_market(at))
        server = start_astrade(at, database_url=database_url, name="portfolio")
        stack.callback(server.stop)
        (token,) = sign_up(server, users=1)
        account = first_trades(server, f"Bearer {token}")
        fill_account(database_url, fills=options.fills)
        return read_rows(server, token, account, seconds=options.seconds)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--fills", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = arguments()
    with servers() as at:
        rows = measure(at, options)
    begin = f"Measured on {machine()}; load client, server and PostgreSQL share them."
    head = (f"one read, {options.fills:,} fills", "p50 ms", "p95 ms")
    text = "\n\n".join([begin, table(head, rows)])
    print(text)
    if options.write:
        write_section("portfolio", text)


if __name__ == "__main__":
    main()
