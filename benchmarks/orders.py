"""Practice market orders on real servers: AsTrade beside the peer service, and pgbench as the limit.

    python -m benchmarks.orders [--write]

`DATABASE_URL` and `REDIS_URL` name the servers, embedded ones are started otherwise; databases whose names begin with
`bench_` are made anew there. Rounds alternate between the contenders, and each figure is the median of the rounds.
"""

import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from benchmarks import pgbench
from benchmarks.contenders import (
    Contender,
    Servers,
    live_market,
    prepare_astrade,
    seed_peer,
    sign_up,
    start_astrade,
    start_peer,
)
from benchmarks.counting_proxy import CountingProxy
from benchmarks.load import Plan
from benchmarks.processes import machine, median, percentile, run_load
from benchmarks.recording import Recorder
from benchmarks.report import table, write_section
from benchmarks.servers import servers

ASTRADE_DATABASE, PEER_DATABASE = "bench_astrade", "bench_peer"
WARM_UP_S = 2.0
COUNTED_ORDERS = 100
RECORDING_TIMEOUT_S = 120
RECORDED_LANES = 16
RATES = ("orders/s", "p50 ms", "p95 ms", "p99 ms")
HEADER = ("", "connections", *RATES, "server CPU ms", "PostgreSQL CPU ms", "client CPU ms")


@dataclass(frozen=True)
class Sample:
    """One round of one contender; CPU in milliseconds per order."""

    per_second: float
    p50: float
    p95: float
    p99: float
    server_cpu: float
    postgres_cpu: float
    client_cpu: float

    @property
    def cpu(self) -> float:
        """Server and PostgreSQL together."""
        return self.server_cpu + self.postgres_cpu


FIELDS = ("per_second", "p50", "p95", "p99", "server_cpu", "postgres_cpu", "client_cpu")


@dataclass
class Series:
    """All rounds at one number of connections, by contender."""

    connections: int
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def row(self, name: str) -> list[str]:
        """The medians of one contender as a table row."""
        figures = [median([getattr(sample, key) for sample in self.samples[name]]) for key in FIELDS]
        rate, *others = figures
        return [name, str(self.connections), f"{rate:,.0f}", *(f"{figure:.2f}" for figure in others)]

    def ratio(self, of: Callable[[Sample], float], *, above: str, below: str) -> float:
        """Median over the rounds of one contender's figure in units of the other's."""
        pairs = zip(self.samples[above], self.samples[below], strict=True)
        return median([of(mine) / of(theirs) for mine, theirs in pairs if of(theirs)])


def measure(contender: Contender, at: Servers, *, connections: int, seconds: float, count: int) -> Sample:
    """One round; raises RuntimeError when anything but success was answered."""
    lanes = contender.lanes(connections)
    server, backends = contender.server.cpu_s(), at.backends_cpu_s(contender.database)
    result = run_load(Plan("127.0.0.1", contender.server.port, lanes, seconds=seconds, count=count))
    server = contender.server.cpu_s() - server
    postgres = sum(cpu - backends.get(pid, 0.0) for pid, cpu in at.backends_cpu_s(contender.database).items())
    orders = result.statuses.get("201", 0)
    if result.errors or orders != len(result.latencies_ms) or not orders:
        raise RuntimeError(f"{contender.name}: {result.statuses} {result.errors[:3]} {result.samples}")
    p50, p95, p99 = (percentile(result.latencies_ms, share) for share in (0.50, 0.95, 0.99))
    per_order = [1000 * cpu / orders for cpu in (server, postgres, result.client_cpu_s)]
    return Sample(orders / result.elapsed_s, p50, p95, p99, *per_order)


def compare(contenders: Sequence[Contender], at: Servers, options: argparse.Namespace) -> list[Series]:
    """All rounds; the contender that begins changes with each."""
    for contender in contenders:
        measure(contender, at, connections=max(options.connections), seconds=WARM_UP_S, count=options.count)
    series = [Series(connections) for connections in options.connections]
    for line in series:
        for turn in range(options.rounds):
            for contender in contenders[:: 1 if turn % 2 == 0 else -1]:
                sample = measure(
                    contender, at, connections=line.connections, seconds=options.seconds, count=options.count
                )
                line.samples.setdefault(contender.name, []).append(sample)
                cost = f"{sample.server_cpu:.2f} + {sample.postgres_cpu:.2f} ms CPU"
                name = f"{contender.name}, {line.connections} connections"
                print(f"{name}: {sample.per_second:.0f}/s, {cost}", flush=True)
    return series


def behind(url: str, proxy: CountingProxy) -> str:
    """A database URL that leads through the proxy."""
    parts = urlsplit(url)
    login, at_sign, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{login}{at_sign}127.0.0.1:{proxy.port}"))


def round_trips(contender: Contender, proxy: CountingProxy) -> float:
    """SQL round trips per order, once all threads and caches are warm."""
    warm_up = Plan("127.0.0.1", contender.server.port, contender.lanes(len(contender.tokens)), seconds=WARM_UP_S)
    run_load(warm_up)
    before = proxy.round_trips
    result = run_load(Plan("127.0.0.1", contender.server.port, contender.lanes(1), seconds=60, count=COUNTED_ORDERS))
    return (proxy.round_trips - before) / len(result.latencies_ms)


@dataclass(frozen=True)
class Stage:
    """Prepared databases and users, from which servers can be started more than once."""

    at: Servers
    users: int
    astrade_url: str
    peer_env: dict[str, str]
    peer_tokens: list[str]

    def astrade(self, stack: ExitStack, *, database_url: str = "", tokens: list[str] | None = None) -> Contender:
        """A running AsTrade, with new users unless tokens of known ones are given."""
        server = start_astrade(self.at, database_url=database_url or self.astrade_url)
        stack.callback(server.stop)
        users = tokens or sign_up(server, users=self.users)
        return Contender("AsTrade", server, ASTRADE_DATABASE, "/api/v1/orders", users)

    def peer(self, stack: ExitStack, *, database_url: str = "") -> Contender:
        """A running peer."""
        env = {**self.peer_env, **({"PEER_DATABASE_URL": database_url} if database_url else {})}
        server = start_peer(env)
        stack.callback(server.stop)
        return Contender("FastAPI peer", server, PEER_DATABASE, "/orders", self.peer_tokens)


def count_round_trips(stage: Stage) -> dict[str, float]:
    """Round trips per order of both contenders, in a run of their own behind the proxy."""
    counted: dict[str, float] = {}
    address = urlsplit(stage.at.postgres_url)
    for start, url in ((stage.astrade, stage.astrade_url), (stage.peer, stage.peer_env["PEER_DATABASE_URL"])):
        with ExitStack() as stack:
            proxy = stack.enter_context(CountingProxy(address.hostname or "127.0.0.1", address.port or 5432))
            contender = start(stack, database_url=behind(url, proxy))
            counted[contender.name] = round_trips(contender, proxy)
    return counted


def record(stage: Stage, *, count: int) -> pgbench.Recording:
    """Statements of that many AsTrade orders, and a copy of the database as it was before them."""
    with ExitStack() as stack:
        tokens = stage.astrade(stack).tokens
    pgbench.keep_source(stage.at, source=ASTRADE_DATABASE)
    recorder, address = Recorder(), urlsplit(stage.at.postgres_url)
    with ExitStack() as stack:
        host, port = address.hostname or "127.0.0.1", address.port or 5432
        proxy = stack.enter_context(CountingProxy(host, port, tap=recorder))
        contender = stage.astrade(stack, database_url=behind(stage.astrade_url, proxy), tokens=tokens)
        plan = Plan(
            "127.0.0.1",
            contender.server.port,
            contender.lanes(RECORDED_LANES),
            seconds=RECORDING_TIMEOUT_S,
            count=count,
        )
        result = run_load(plan)
    if set(result.statuses) != {"201"}:
        raise RuntimeError(f"recording failed: {result.statuses} {result.errors[:3]} {result.samples}")
    return pgbench.Recording(recorder.transactions())


def report(series: Sequence[Series], trips: dict[str, float], limit: Sequence[list[str]]) -> str:
    """The markdown that goes into docs/performance.md."""
    rows = [line.row(name) for line in series for name in line.samples]
    ratios = [
        [
            str(line.connections),
            f"{line.ratio(lambda sample: sample.per_second, above='AsTrade', below='FastAPI peer'):.2f}",
            f"{line.ratio(lambda sample: sample.server_cpu, above='AsTrade', below='FastAPI peer'):.2f}",
            f"{line.ratio(lambda sample: sample.cpu, above='AsTrade', below='FastAPI peer'):.2f}",
            f"{line.ratio(lambda sample: sample.p95, above='AsTrade', below='FastAPI peer'):.2f}",
        ]
        for line in series
    ]
    return "\n\n".join(
        [
            f"Measured on {machine()}; load client, servers and PostgreSQL share them. CPU is per order.",
            table(HEADER, [*rows, *limit]),
            "AsTrade in units of the peer (more is better for orders/s, less for the others):",
            table(("connections", "orders/s", "server CPU", "CPU with PostgreSQL's", "p95"), ratios),
            "SQL round trips per order, counted on the wire:",
            table(("", "round trips"), [[name, f"{count:.1f}"] for name, count in trips.items()]),
        ]
    )


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="at most, for each round")
    parser.add_argument("--count", type=int, default=20_000, help="orders at most, for each round")
    parser.add_argument("--users", type=int, default=64)
    parser.add_argument("--recorded", type=int, default=5_000, help="orders that pgbench replays")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = arguments()
    users = max(options.users, *options.connections)
    with servers() as at, ExitStack() as stack:
        peer_env, peer_tokens = seed_peer(at, name=PEER_DATABASE, users=users)
        stage = Stage(at, users, prepare_astrade(at, ASTRADE_DATABASE), peer_env, peer_tokens)
        stack.enter_context(live_market(at))
        with ExitStack() as running:
            series = compare([stage.astrade(running), stage.peer(running)], at, options)
        trips = count_round_trips(stage)
        recording = record(stage, count=options.recorded)
        limit = [pgbench.replay(at, recording, clients=connections) for connections in options.connections]
        text = report(series, trips, limit)
    print(f"\n{text}")
    if options.write:
        write_section("orders", text)


if __name__ == "__main__":
    main()
