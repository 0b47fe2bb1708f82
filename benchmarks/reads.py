"""Market and candle reads on a real server: latency at a given rate, behaviour when overloaded, cost of an answer.

    python -m benchmarks.reads [--write]

`DATABASE_URL` and `REDIS_URL` name the servers, embedded ones are started otherwise; the database `bench_reads` is made
anew there.
"""

import argparse
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass

import psycopg

from benchmarks.contenders import (
    CANDLES,
    SYMBOL,
    Servers,
    astrade_env,
    live_market,
    prepare_astrade,
    start_astrade,
)
from benchmarks.load import Plan, Result, http_request
from benchmarks.processes import ROOT, Server, machine, median, percentile, run_load
from benchmarks.report import table, write_section
from benchmarks.servers import servers

DATABASE = "bench_reads"
CONNECTIONS = 100
OFFERED_PER_S = 200
MARKETS = "/api/v1/markets"
CANDLE_PATH = f"{MARKETS}/{SYMBOL}/candles?timeframe=1m&limit="
CANDLES_SQL = """
INSERT INTO marketdata_candle
  (market_id, kind, timeframe, open_time, open, high, low, close, volume, trades, source, is_derived)
SELECT m.id, 'trades', '1m', date_trunc('minute', now()) - n * interval '1 minute',
       p, p + 7, p - 5, p + 2, 12.345 + n, 100 + n, 'synthetic', false
FROM marketdata_market m, generate_series(1, %(count)s) AS n, LATERAL (SELECT 77000 + n %% 50 AS p) AS price
WHERE m.symbol = %(symbol)s ON CONFLICT DO NOTHING
"""
MIX = (
    f"{MARKETS}/{SYMBOL}/stats",
    f"{MARKETS}/{SYMBOL}/orderbook?depth=20",
    f"{MARKETS}/{SYMBOL}",
    f"{CANDLE_PATH}100",
    f"{MARKETS}/{SYMBOL}/trades",
)


@dataclass(frozen=True)
class Cost:
    """What one answer costs: CPU in milliseconds, latency in milliseconds."""

    server_cpu: float
    postgres_cpu: float
    p50: float
    p95: float


def make_candles(database_url: str, *, count: int) -> None:
    """The latest closed 1m candles of the market, as a feed would have left them."""
    with psycopg.connect(database_url) as connection:
        connection.execute(CANDLES_SQL, {"symbol": SYMBOL, "count": count})


def lanes(*paths: str, connections: int) -> list[list[str]]:
    """The paths on each connection, each beginning at another one."""
    requests = [http_request("GET", path) for path in paths]
    return [requests[index % len(requests) :] + requests[: index % len(requests)] for index in range(connections)]


def read(server: Server, *paths: str, connections: int, seconds: float, rate: float = 0.0) -> Result:
    """Load the server; raises RuntimeError when anything but 200 was answered."""
    plan = Plan("127.0.0.1", server.port, lanes(*paths, connections=connections), seconds=seconds, rate=rate)
    result = run_load(plan)
    if result.errors or set(result.statuses) != {"200"}:
        raise RuntimeError(f"reads failed: {result.statuses} {result.errors[:3]} {result.samples}")
    return result


def cost_of(server: Server, at: Servers, path: str, *, seconds: float) -> Cost:
    """One path on one connection for a while."""
    read(server, path, connections=1, seconds=0.5)
    own, backends = server.cpu_s(), at.backends_cpu_s(DATABASE)
    result = read(server, path, connections=1, seconds=seconds)
    own = server.cpu_s() - own
    postgres = sum(cpu - backends.get(pid, 0.0) for pid, cpu in at.backends_cpu_s(DATABASE).items())
    answers = len(result.latencies_ms)
    p50, p95 = (percentile(result.latencies_ms, share) for share in (0.50, 0.95))
    return Cost(1000 * own / answers, 1000 * postgres / answers, p50, p95)


def median_cost(server: Server, at: Servers, path: str, *, options: argparse.Namespace) -> Cost:
    """The medians of several rounds."""
    rounds = [cost_of(server, at, path, seconds=options.seconds / 2) for _ in range(options.rounds)]
    keys = ("server_cpu", "postgres_cpu", "p50", "p95")
    return Cost(*(median([getattr(cost, key) for cost in rounds]) for key in keys))


def load_rows(server: Server, options: argparse.Namespace) -> list[list[str]]:
    """100 connections: together at the offered rate, then as fast as they can."""
    read(server, *MIX, connections=CONNECTIONS, seconds=2)
    offered = read(server, *MIX, connections=CONNECTIONS, seconds=options.seconds * 2, rate=OFFERED_PER_S)
    flat_out = read(server, *MIX, connections=CONNECTIONS, seconds=options.seconds * 2)
    rows = []
    for name, result in ((f"{OFFERED_PER_S}/s offered together", offered), ("as fast as they can", flat_out)):
        figures = [percentile(result.latencies_ms, share) for share in (0.50, 0.95, 0.99)]
        rate = len(result.latencies_ms) / result.elapsed_s
        rows.append([name, f"{rate:,.0f}", *(f"{figure:.1f}" for figure in figures), "0"])
    return rows


def cost_rows(server: Server, at: Servers, options: argparse.Namespace) -> list[list[str]]:
    """CPU of single answers, and of 1,000 candles beyond one candle."""
    paths = {
        "health, the middleware alone": "/health/live",
        "ticker": MIX[0],
        "order book, 20 levels": MIX[1],
        "1 candle": f"{CANDLE_PATH}1",
        f"{CANDLES:,} candles": f"{CANDLE_PATH}{CANDLES}",
    }
    costs = {name: median_cost(server, at, path, options=options) for name, path in paths.items()}
    rows = [
        [name, f"{cost.server_cpu:.2f}", f"{cost.postgres_cpu:.2f}", f"{cost.p50:.2f}", f"{cost.p95:.2f}"]
        for name, cost in costs.items()
    ]
    many, one = costs[f"{CANDLES:,} candles"], costs["1 candle"]
    return [*rows, ["1,000 candles less 1 candle", f"{many.server_cpu - one.server_cpu:.2f}", "", "", ""]]


def in_process_rows(at: Servers, database_url: str) -> list[list[str]]:
    """What `benchmarks.in_process` measures, in milliseconds."""
    command = [sys.executable, "-m", "benchmarks.in_process"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **astrade_env(at, database_url)}, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"in_process failed:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    figures = {
        "a bare view, no middleware": found["bare_view"],
        "/health/live less the bare view": found["health_live"] - found["bare_view"],
        f"{CANDLES:,} candles: the query and its rows": found["candle_query"],
        f"{CANDLES:,} candles: all the rest, up to the encoded answer": found["candle_answer"] - found["candle_query"],
    }
    return [[name, f"{value / 1000:.2f}"] for name, value in figures.items()]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = arguments()
    with servers() as at, ExitStack() as stack:
        database_url = prepare_astrade(at, DATABASE)
        make_candles(database_url, count=CANDLES + 10)
        stack.enter_context(live_market(at))
        server = start_astrade(at, database_url=database_url, name="reads")
        stack.callback(server.stop)
        loads = load_rows(server, options)
        costs = cost_rows(server, at, options)
        inside = in_process_rows(at, database_url)
    text = "\n\n".join(
        [
            f"Measured on {machine()}; load client, server and PostgreSQL share them.",
            table((f"{CONNECTIONS} connections", "answers/s", "p50 ms", "p95 ms", "p99 ms", "errors"), loads),
            table(("one answer", "server CPU ms", "PostgreSQL CPU ms", "p50 ms", "p95 ms"), costs),
            "The same without a socket, in one process; the quietest of five rounds:",
            table(("", "CPU ms"), inside),
        ]
    )
    print(text)
    if options.write:
        write_section("reads", text)


if __name__ == "__main__":
    main()
