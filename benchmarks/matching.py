"""The practice matcher: what a tick costs that reaches nobody, and how fast what it reaches is booked.

    python -m benchmarks.matching [--write]

`DATABASE_URL` and `REDIS_URL` name the servers, embedded ones are started otherwise; the database `bench_matching` is
made anew there. The matcher is one process, as in `streams`; its books are those of the platform.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from uuid import UUID

from benchmarks.contenders import SYMBOL, Servers, astrade_env, live_market, prepare_astrade
from benchmarks.processes import ROOT, cpu_seconds, machine, median, percentile
from benchmarks.report import table, write_section
from benchmarks.servers import servers
from marketdata.frames import Tick
from trading.domain.lifecycle import Side, TriggerBy
from trading.domain.matching import Resting
from trading.domain.triggers import Untriggered
from trading.domain.watching import WatchedOrders

DATABASE = "bench_matching"
AT = datetime(2026, 3, 1, tzinfo=UTC)
MID = 77_000
KINDS = ("limit", "stop")


@dataclass(frozen=True)
class Storm:
    """One round: seconds until all were booked, and CPU seconds of the matcher and of PostgreSQL."""

    fills: int
    seconds: float
    cpu_s: float
    postgres_cpu_s: float


def book_of(orders: int) -> WatchedOrders:
    """A market with orders on both sides of 77,000, on 5,000 prices each; every fourth waits for a trigger."""
    book = WatchedOrders()
    for number in range(orders):
        side = Side.BUY if number % 2 else Side.SELL
        price = Decimal(MID - side.sign * (10 + number % 5_000))
        known = {"order_id": number, "uuid": UUID(int=number), "account_id": 1}
        admitted = {"admitted_sequence": 0, "admitted_at": AT}
        if number % 4:
            book.add(Resting(**known, **admitted, side=side, price=price, queue_ahead=Decimal(1)))
        else:
            by, rises = list(TriggerBy)[number % 3], side is Side.SELL
            book.add(Untriggered(**known, **admitted, rises=rises, trigger_price=price, trigger_by=by))
    return book


def quiet_ticks(count: int) -> Iterator[Tick]:
    """Prices that wander by a few ticks and reach nobody, four a second."""
    for number in range(1, count + 1):
        bid = Decimal(MID - 1 + number % 5 - 2)
        span = (bid, bid + 1, bid)
        yield Tick(
            SYMBOL, number, bid, bid + 1, bid, bid + 1, AT + timedelta(milliseconds=250 * number),
            Decimal("0.5"), Decimal("0.25"), span, span, span,
        )  # fmt: skip


def evaluate(*, orders: int, ticks: int) -> list[float]:
    """Microseconds that each tick took."""
    book, taken = book_of(orders), []
    for tick in list(quiet_ticks(ticks)):
        begin = time.perf_counter_ns()
        hits = book.take([tick])
        taken.append((time.perf_counter_ns() - begin) / 1000)
        if hits:
            raise RuntimeError("a quiet tick reached somebody")
    return taken


def storm(at: Servers, url: str, *, kind: str, orders: int, accounts: int, threads: int) -> Storm:
    """One round in a process of its own, which prepares its orders first; raises RuntimeError when it fails."""
    env = {**os.environ, **astrade_env(at, url), "MATCHER_THREADS": str(threads)}
    command = [sys.executable, "-m", "benchmarks.storm", str(orders), str(accounts), kind]
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        if process.stdin is None or process.stdout is None or process.stdout.readline() != "ready\n":
            raise RuntimeError("the matcher's orders could not be prepared")
        before, cpu = at.backends_cpu_s(DATABASE), cpu_seconds(process.pid)
        process.stdin.write("go\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        after, cpu = at.backends_cpu_s(DATABASE), cpu_seconds(process.pid) - cpu
        process.stdin.close()
    postgres = sum(used - before.get(pid, 0.0) for pid, used in after.items())
    return Storm(answer["fills"], answer["seconds"], cpu, postgres)


def report(ticks: Sequence[float], storms: dict[tuple[str, int], list[Storm]], *, orders: int, accounts: int) -> str:
    """The markdown that goes into docs/performance.md."""
    spread = [f"{percentile(ticks, share):.1f}" for share in (0.5, 0.95, 0.99)]
    rows = []
    for (kind, threads), rounds in storms.items():
        figures = (
            [storm.fills / storm.seconds for storm in rounds],
            [storm.seconds for storm in rounds],
            [1000 * storm.cpu_s / storm.fills for storm in rounds],
            [1000 * storm.postgres_cpu_s / storm.fills for storm in rounds],
        )
        rate, *others = (median(figure) for figure in figures)
        rows.append([f"{kind} orders", str(threads), f"{rate:,.0f}", *(f"{figure:.2f}" for figure in others)])
    booked = f"{storms[next(iter(storms))][0].fills:,} orders over {accounts} accounts, reached by one tick:"
    return "\n\n".join(
        [
            f"Measured on {machine()}; matcher, PostgreSQL and Redis share them.",
            f"A tick against {orders:,} waiting orders that reaches none of them, {len(ticks):,} ticks:",
            table(("", "p50 µs", "p95 µs", "p99 µs"), [["one tick", *spread]]),
            booked,
            table(("", "threads", "fills/s", "seconds", "matcher CPU ms/fill", "PostgreSQL CPU ms/fill"), rows),
        ]
    )


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--orders", type=int, default=100_000, help="that a quiet tick is held against")
    parser.add_argument("--ticks", type=int, default=20_000)
    parser.add_argument("--reached", type=int, default=1_000, help="orders that one tick reaches")
    parser.add_argument("--accounts", type=int, default=200)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = arguments()
    ticks = evaluate(orders=options.orders, ticks=options.ticks)
    storms: dict[tuple[str, int], list[Storm]] = {}
    with servers() as at, live_market(at):
        url = prepare_astrade(at, DATABASE)
        for _ in range(options.rounds):
            for kind, threads in product(KINDS, options.threads):
                extent = {"orders": options.reached, "accounts": options.accounts, "threads": threads}
                found = storm(at, url, kind=kind, **extent)
                storms.setdefault((kind, threads), []).append(found)
                print(f"{kind} orders, {threads} threads: {found.fills / found.seconds:.0f} fills/s", flush=True)
    text = report(ticks, storms, orders=options.orders, accounts=options.accounts)
    print(f"\n{text}")
    if options.write:
        write_section("matching", text)


if __name__ == "__main__":
    main()
