"""Orders of accounts at Extended, through AsTrade on real servers to the emulator: what our part of it takes.

    python -m benchmarks.live [--write]

`DATABASE_URL` and `REDIS_URL` name the servers, embedded ones are started otherwise; the database `bench_live` is made
anew there. Orders are offered at a fixed rate to AsTrade, and then, signed beforehand, to the emulator itself: what
AsTrade takes beyond the venue is the difference. Fills are timed from the venue's own stamp, one millisecond apart.
"""

import argparse
import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, LiteralString

import httpx
import psycopg
from msgspec import convert
from websockets.asyncio.client import connect

from astrade.core.money import ceil_to_step, floor_to_step
from astrade.processes import spawn, stop
from astrade.venues.extended.orders import unsigned_order
from astrade.venues.extended.public_wire import Market
from astrade.venues.extended.signing import TESTNET, sign
from astrade.venues.extended.tickets import Signer, Ticket, terms_of
from astrade.venues.extended.wire import OrderType, Side
from benchmarks.contenders import (
    PASSWORD,
    SYMBOL,
    WEB_CPU,
    Servers,
    astrade_env,
    prepare_astrade,
)
from benchmarks.processes import (
    ROOT,
    STOP_WITHIN_S,
    Server,
    free_port,
    machine,
    percentile,
    uvicorn_command,
)
from benchmarks.report import table, write_section
from benchmarks.servers import servers

DATABASE = "bench_live"
QUANTITY = Decimal("0.001")
OTHER_PARTS = ("feeds", "matcher", "margin", "timekeepers", "game")  # as in docker-compose.yml
WARM_UP = 40
TIER = "4000"  # requests a minute, the first of the venue's higher limits: 20 orders/s are more than the default
READY_WITHIN_S = 60.0
USER_AGENT = {"User-Agent": "astrade-benchmark"}
FILL_DELAYS = """
SELECT extract(epoch FROM e.at - f.at) * 1000
FROM trading_fill f JOIN trading_event e ON e.account_id = f.account_id AND e.kind = 'trade_update'
  AND e.data ->> 'id' = f.uuid::text
WHERE f.id > %s
"""


@dataclass(frozen=True)
class Trader:
    """A user whose account at the emulator is connected."""

    token: str
    account: str
    there: dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """Everything that runs; `streams` is the process of the account streams."""

    at: Servers
    web: Server
    streams: subprocess.Popen[bytes]
    venue: str  # address of the emulator

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.web.port}/api/v1"


def await_until(done: Callable[[], bool], what: str, *, within_s: float = READY_WITHIN_S) -> None:
    """Look until something is so; raises RuntimeError where it isn't in time."""
    deadline = time.monotonic() + within_s
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come")
        time.sleep(0.2)


@contextmanager
def running(command: Sequence[str], env: dict[str, str], name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A management command as a process, its output in a log."""
    log = ROOT / ".astrade" / "benchmarks" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = spawn([sys.executable, "manage.py", *command], env=env, stdout=output, stderr=output)
    try:
        yield process
    finally:
        stop([process], signal.SIGTERM, within_s=STOP_WITHIN_S)


@contextmanager
def stage(at: Servers, *, accounts: int) -> Iterator[Stage]:
    """The emulator, `streams` in two processes and one web process on a fresh database."""
    emulator, port = free_port(), free_port()
    venue = f"http://127.0.0.1:{emulator}"
    env = {
        **os.environ,
        **astrade_env(at, prepare_astrade(at, DATABASE)),
        "EXTENDED_TESTNET_API_URL": f"{venue}/api/v1",
        "EXTENDED_REQUESTS_PER_MIN": TIER,
        "WEB_CPU": WEB_CPU,
    }
    with ExitStack() as stack:
        emulate = [sys.executable, "manage.py", "emulate", "extended", "--port", str(emulator)]
        emulate += ["--accounts", str(accounts)]
        there = Server("emulator", emulate, port=emulator, env=env, ready="/emulator/accounts").wait_ready()
        stack.callback(there.stop)
        stack.enter_context(running(["streams", *OTHER_PARTS], env, "streams"))
        streams = stack.enter_context(running(["streams", "accounts"], env, "accounts"))
        command = uvicorn_command(sys.executable, "astrade.asgi:application", port=port)
        web = Server("live", command, port=port, env=env, ready="/health/live").wait_ready()
        stack.callback(web.stop)
        found = Stage(at, web, streams, venue)
        await_until(lambda: httpx.get(f"{found.api}/markets/{SYMBOL}/stats").status_code == 200, "prices")
        yield found


def connect_traders(found: Stage, *, first: int = 0, count: int) -> list[Trader]:
    """New users with accounts at the emulator, whose books have begun."""
    stamp, traders = time.time_ns(), list[Trader]()
    with httpx.Client(base_url=found.api, timeout=30) as client:
        for there in httpx.get(f"{found.venue}/emulator/accounts").json()[first : first + count]:
            form = {"email": f"live-{stamp}-{len(traders)}@example.com", "password": PASSWORD}
            token = client.post("/auth/signup", json=form).json()["data"]["access_token"]
            bearer = {"Authorization": f"Bearer {token}"}
            terms = client.get("/users/me", headers=bearer).json()["data"]["accepted_terms"]
            accepted = [{name: one[name] for name in ("document", "version")} for one in terms]
            client.patch("/users/me", headers=bearer, json={"accepted_terms": accepted}).raise_for_status()
            keys = {name: there[name] for name in ("api_key", "stark_private_key", "vault")}
            client.put(
                "/venue-credentials/extended", headers=bearer, json={"network": "testnet", **keys}
            ).raise_for_status()
            owned = client.get("/accounts", headers=bearer).json()["data"]
            traders.append(Trader(token, next(one["id"] for one in owned if one["venue"] == "extended"), there))
    return traders


def count_of(found: Stage, query: LiteralString) -> int:
    """One number of the database."""
    with psycopg.connect(found.at.database_url(DATABASE)) as connection:
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def await_books(found: Stage, *, accounts: int) -> None:
    """Wait until so many live accounts have begun their books, which takes some calls each of the venue's limit."""
    query: LiteralString = "SELECT count(*) FROM trading_tradingaccount WHERE opened_at IS NOT NULL"
    within_s = READY_WITHIN_S + accounts
    await_until(lambda: count_of(found, query) >= accounts, "opened accounts", within_s=within_s)


async def offer(send: Callable[[int], Any], *, count: int, per_s: float) -> list[float]:
    """Send so many requests at a fixed rate, whether answers come or not; latencies in milliseconds."""
    latencies: list[float] = []

    async def one(number: int) -> None:
        begun_at = time.perf_counter()
        response = await send(number)
        if response.status_code >= 300 or '"ERROR"' in response.text:
            raise RuntimeError(f"{response.status_code} {response.text[:500]}")
        latencies.append(1000 * (time.perf_counter() - begun_at))

    async with asyncio.TaskGroup() as group:
        start = time.perf_counter()
        for number in range(count):
            await asyncio.sleep(max(0.0, start + number / per_s - time.perf_counter()))
            group.create_task(one(number))
    return latencies


@dataclass(frozen=True)
class Rested:
    """Limit orders that rest: latencies through AsTrade and at the venue itself, CPU of our web process per order."""

    through: list[float]
    direct: list[float]
    cpu_ms: float


async def rest(found: Stage, traders: Sequence[Trader], *, count: int, per_s: float) -> Rested:
    """Offer limit orders to AsTrade, then to the venue."""
    price = await _price(found, Decimal("0.97"))
    async with httpx.AsyncClient(timeout=30) as client:

        async def order(number: int) -> httpx.Response:
            body = {"symbol": SYMBOL, "side": "buy", "type": "limit", "quantity": str(QUANTITY), "price": str(price)}
            return await _place(client, found, traders[number % len(traders)], body)

        await offer(order, count=WARM_UP, per_s=per_s)
        cpu = found.web.cpu_s()
        through = await offer(order, count=count, per_s=per_s)
        cpu = found.web.cpu_s() - cpu
        await asyncio.gather(*(client.delete(f"{found.api}/orders", headers=_headers(one)) for one in traders))
        await asyncio.sleep(2)
        bodies = await _signed(found, traders, price=price, count=count)
        url = f"{found.venue}/api/v1/user/order"

        async def direct(number: int) -> httpx.Response:
            key = traders[number % len(traders)].there["api_key"]
            return await client.post(url, headers={**USER_AGENT, "X-Api-Key": key}, json=bodies[number])

        at_venue = await offer(direct, count=count, per_s=per_s)
    return Rested(through, at_venue, 1000 * cpu / count)


async def _signed(found: Stage, traders: Sequence[Trader], *, price: Decimal, count: int) -> list[dict[str, Any]]:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{found.venue}/api/v1/info/markets?market={SYMBOL}", headers=USER_AGENT)
    terms = terms_of(convert(answer.json()["data"][0], Market, strict=False))
    bodies = []
    for number in range(count):
        there = traders[number % len(traders)].there
        key = int(there["stark_private_key"], 16)
        unsigned = unsigned_order(
            Ticket(
                terms=terms,
                signer=Signer(there["vault"], int(there["stark_public_key"], 16), TESTNET),
                type=OrderType.LIMIT,
                side=Side.BUY,
                quantity=QUANTITY,
                price=price,
                fee_rate=Decimal("0.0005"),
                expires_ms=int(time.time() * 1000) + 3_600_000,
                nonce=1 + secrets.randbelow(2**31 - 1),
            )
        )
        bodies.append(unsigned.body([sign(key, digest) for digest in unsigned.hashes]))
    return bodies


@dataclass(frozen=True)
class Filled:
    """Milliseconds from the venue's stamp of a trade to our commit, and to its frame on the user's socket."""

    committed: list[float]
    told: list[float]


async def fill(found: Stage, traders: Sequence[Trader], *, count: int, per_s: float) -> Filled:
    """Orders that trade at once, each user's socket open beside."""
    buy, sell = await _price(found, Decimal("1.01")), await _price(found, Decimal("0.99"))
    last = count_of(found, "SELECT coalesce(max(id), 0) FROM trading_fill")
    told: list[float] = []
    listeners = [asyncio.create_task(_listen(found, trader, told)) for trader in traders]
    await asyncio.sleep(2)
    async with httpx.AsyncClient(timeout=30) as client:

        async def order(number: int) -> httpx.Response:
            is_buy = (number // len(traders)) % 2 == 0
            body = {"symbol": SYMBOL, "side": "buy" if is_buy else "sell", "type": "limit", "time_in_force": "IOC"}
            price = {"quantity": str(QUANTITY), "price": str(buy if is_buy else sell)}
            return await _place(client, found, traders[number % len(traders)], body | price)

        await offer(order, count=count, per_s=per_s)
        await asyncio.sleep(3)
    for listener in listeners:
        listener.cancel()
    with psycopg.connect(found.at.database_url(DATABASE)) as connection:
        committed = [float(row[0]) for row in connection.execute(FILL_DELAYS, [last])]
    return Filled(committed, told)


async def _listen(found: Stage, trader: Trader, told: list[float]) -> None:
    url = f"ws://127.0.0.1:{found.web.port}/ws/accounts/{trader.account}"
    async with connect(url, additional_headers={"Authorization": f"Bearer {trader.token}"}) as socket:
        async for text in socket:
            frame = json.loads(text)
            if frame["type"] == "trade_update":
                told.append(1000 * time.time() - frame["data"]["at"])


async def _place(client: httpx.AsyncClient, found: Stage, trader: Trader, body: dict[str, Any]) -> httpx.Response:
    return await client.post(f"{found.api}/orders", headers=_headers(trader), json=body)


def _headers(trader: Trader) -> dict[str, str]:
    return {"Authorization": f"Bearer {trader.token}", "X-Account-Id": trader.account}


async def _price(found: Stage, factor: Decimal) -> Decimal:
    """A price so far from the venue's book, on the tick."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{found.venue}/api/v1/info/markets/{SYMBOL}/orderbook", headers=USER_AGENT)
    book = answer.json()["data"]
    best = Decimal(book["ask" if factor > 1 else "bid"][0]["price"])
    return (ceil_to_step if factor > 1 else floor_to_step)(best * factor, step=Decimal(1))


def memory_mb(pid: int) -> float:
    """Resident memory of a process that is its own, MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def report(rested: Rested, filled: Filled, streams: tuple[int, float, int, float]) -> str:
    """The markdown that goes into docs/performance.md."""
    beyond = percentile(rested.through, 0.95) - percentile(rested.direct, 0.95)
    rows = [
        [name, *(f"{percentile(values, share):.1f}" for share in (0.5, 0.95, 0.99))]
        for name, values in (
            ("limit order through AsTrade", rested.through),
            ("the same at the venue itself", rested.direct),
            ("trade at the venue → committed fill", filled.committed),
            ("trade at the venue → the user's socket", filled.told),
        )
    ]
    few, before, count, after = streams
    text = f"Measured on {machine()}; emulator, `streams` in two processes, web process, PostgreSQL and load client"
    text += " share them.\n\n"
    text += table(("milliseconds", "p50", "p95", "p99"), rows)
    text += f"\n\nAt the 95th percentile AsTrade adds {beyond:.1f} ms to the venue's own time; its web process spends"
    text += f" {rested.cpu_ms:.1f} ms of CPU on an order. The process of the account streams has {before:.0f} MB of its"
    return text + f" own with {few} of them, {after:.0f} MB with {count}."


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--orders", type=int, default=400)
    options.add_argument("--per-second", type=float, default=20)
    options.add_argument("--traders", type=int, default=20)
    options.add_argument("--streams", type=int, default=500)
    options.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    asked = options.parse_args()
    with servers() as at, stage(at, accounts=asked.streams) as found:
        traders = connect_traders(found, count=asked.traders)
        await_books(found, accounts=asked.traders)
        rested = asyncio.run(rest(found, traders, count=asked.orders, per_s=asked.per_second))
        filled = asyncio.run(fill(found, traders, count=asked.orders, per_s=asked.per_second))
        before = memory_mb(found.streams.pid)
        connect_traders(found, first=asked.traders, count=asked.streams - asked.traders)
        await_books(found, accounts=asked.streams)
        text = report(rested, filled, (asked.traders, before, asked.streams, memory_mb(found.streams.pid)))
    print(text)
    if asked.write:
        write_section("live", text)


if __name__ == "__main__":
    main()
