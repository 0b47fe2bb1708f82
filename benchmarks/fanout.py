"""One message to many sockets: every frame delivered, how late, and what a delivered frame costs the server.

    python -m benchmarks.fanout [--write]

`DATABASE_URL` and `REDIS_URL` name the servers, embedded ones are started otherwise. AsTrade's web process, a bare
`websockets` broadcast and stock Channels (`benchmarks.fanout_peers`) serve the same sockets, one after the other in
each round; the last one fewer of them, since most of its frames get lost with a thousand.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import redis

from benchmarks.contenders import (
    PEER_PYTHON,
    SYMBOL,
    WEB_CPU,
    Servers,
    astrade_env,
    live_market,
    prepare_astrade,
)
from benchmarks.fanout_client import Audience, Heard
from benchmarks.processes import ROOT, Server, free_port, machine, median, percentile, uvicorn_command
from benchmarks.report import table, write_section
from benchmarks.servers import servers

DATABASE = "bench_fanout"
FRAME_BYTES = 300
SETTLE_S = 2.0
DIRECT = ["--ws", "astrade.core.sockets.server:DirectProtocol", "--ws-per-message-deflate", "false"]
OURS, BARE, STOCK = "AsTrade", "bare `websockets` broadcast", "Channels `group_send`"


@dataclass(frozen=True)
class Round:
    """One contender in one round: share of frames that came, latencies, CPU a delivered frame in microseconds."""

    delivered: float
    latencies_ms: Sequence[float]
    cpu_us: float


def astrade(at: Servers, database_url: str) -> tuple[Server, str]:
    """AsTrade's web process as `make run` starts it, and the path of the stream."""
    port = free_port()
    env = {**astrade_env(at, database_url), "WEB_CPU": WEB_CPU, "WS_CONNECTIONS_PER_IP": "100000"}
    command = [*uvicorn_command(sys.executable, "astrade.asgi:application", port=port), *DIRECT]
    server = Server("fanout-astrade", command, port=port, env=env, ready="/health/live")
    return server.wait_ready(), f"/ws/markets/{SYMBOL}/ticker"


def peer(at: Servers, channel: str, *, is_stock: bool) -> tuple[Server, str]:
    """One of `benchmarks.fanout_peers`, kept to the same CPU."""
    port = free_port()
    command = [PEER_PYTHON, "-m", "benchmarks.fanout_peers", str(port)]
    if is_stock:
        command = [*uvicorn_command(PEER_PYTHON, "benchmarks.fanout_peers:stock_application", port=port), "--factory"]
    env = {"REDIS_URL": at.redis_url, "FANOUT_CHANNEL": channel}
    name = "fanout-stock" if is_stock else "fanout-bare"
    server = Server(name, ["taskset", "--cpu-list", WEB_CPU, *command], port=port, env=env, ready="/health")
    return server.wait_ready(), "/"


def publish(at: Servers, channel: str, *, count: int, per_s: float) -> None:
    """Messages at a steady rate, each with its time."""
    client = redis.Redis.from_url(at.redis_url)
    start = time.perf_counter()
    for number in range(count):
        time.sleep(max(0.0, start + number / per_s - time.perf_counter()))
        head = f'{{"type":"ticker","symbol":"{SYMBOL}","at_us":{time.time_ns() // 1000},"rest":"'
        client.publish(channel, head.ljust(FRAME_BYTES - 2, "x") + '"}')
    client.close()


def play(
    start: Callable[[], tuple[Server, str]], at: Servers, channel: str, *, sockets: int, count: int, per_s: float
) -> Round:
    """One contender: open the sockets, publish, count."""
    server, path = start()
    client = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.fanout_client"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdin is not None and client.stdout is not None
    try:
        client.stdin.write(json.dumps(asdict(Audience(server.port, path, sockets))) + "\n")
        client.stdin.flush()
        if client.stdout.readline().strip() != "ready":
            raise RuntimeError(f"{server.name}: the sockets did not open; see {server.log}")
        time.sleep(SETTLE_S)
        cpu = server.cpu_s()
        publish(at, channel, count=count, per_s=per_s)
        time.sleep(SETTLE_S)
        cpu = server.cpu_s() - cpu
        client.stdin.write("end\n")
        client.stdin.flush()
        heard = Heard(**json.loads(client.stdout.readline()))
    finally:
        client.kill()
        client.wait()
        server.stop()
    return Round(heard.frames / (sockets * count), heard.latencies_ms, 1e6 * cpu / max(1, heard.frames))


def report(rounds: dict[str, list[Round]], sockets: dict[str, int], *, per_s: float) -> str:
    """The markdown that goes into docs/performance.md."""
    rows = []
    for name, played in rounds.items():
        late = [[percentile(one.latencies_ms, share) for one in played] for share in (0.5, 0.99)]
        delivered, cpu = min(one.delivered for one in played), median([one.cpu_us for one in played])
        figures = [f"{100 * delivered:.1f} %", *(f"{median(values):.1f}" for values in late), f"{cpu:.1f}"]
        rows.append([name, str(sockets[name]), *figures])
    text = (
        f"Measured on {machine()}; publisher, Redis, server and reader share them. {per_s:.0f} messages a second.\n\n"
    )
    text += table(("", "sockets", "delivered", "p50 ms", "p99 ms", "server CPU µs a frame"), rows)
    pairs = {name: zip(rounds[OURS], rounds[name], strict=True) for name in (BARE, STOCK)}
    ratios = {name: median([other.cpu_us / own.cpu_us for own, other in pair]) for name, pair in pairs.items()}
    return text + (
        f"\n\nMedian of the rounds' ratios: the bare broadcast takes {ratios[BARE]:.2f} times AsTrade's CPU for a frame"
        f" that arrives, stock Channels {ratios[STOCK]:.0f} times."
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sockets", type=int, default=1000)
    options.add_argument("--stock-sockets", type=int, default=100)
    options.add_argument("--per-second", type=float, default=50)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    asked = options.parse_args()
    sockets = {OURS: asked.sockets, BARE: asked.sockets, STOCK: asked.stock_sockets}
    rounds: dict[str, list[Round]] = {name: [] for name in sockets}
    with servers() as at, live_market(at):
        url = prepare_astrade(at, DATABASE)
        channel = own_channel(at, url)
        begin = {
            OURS: lambda: astrade(at, url),
            BARE: lambda: peer(at, channel, is_stock=False),
            STOCK: lambda: peer(at, channel, is_stock=True),
        }
        for _ in range(asked.rounds):
            for name, count in sockets.items():
                messages = int(asked.seconds * asked.per_second)
                played = play(begin[name], at, channel, sockets=count, count=messages, per_s=asked.per_second)
                rounds[name].append(played)
    text = report(rounds, sockets, per_s=asked.per_second)
    print(text)
    if asked.write:
        write_section("fanout", text)


def own_channel(at: Servers, database_url: str) -> str:
    """What AsTrade calls the stream's channel in Redis."""
    code = "from astrade import asgi; from marketdata import keys; print(keys.stream('ticker:BTC-USD'))"
    env = {**os.environ, **astrade_env(at, database_url)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
