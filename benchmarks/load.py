"""A load client that costs little: raw asyncio protocols, keep-alive, one request in flight a connection.

It runs as a process of its own (`python -m benchmarks.load`), takes a `Plan` as JSON on standard input and answers
a `Result` as JSON on standard output. It ends after `count` requests or `seconds`, whichever comes first.
"""

import asyncio
import json
import resource
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import cycle

UNIQUE = b"@unique@"  # replaced by 32 hexadecimal digits, new for each request
HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"
LAST_CHUNK = b"\r\n0\r\n\r\n"  # ends an answer without Content-Length; one is awaited at a time


@dataclass(frozen=True)
class Plan:
    """What to send. `lanes` holds one list of raw requests for each connection, sent round and round.

    `rate` is requests per second over all connections together; 0 is as fast as they can.
    """

    host: str
    port: int
    lanes: list[list[str]]
    seconds: float
    count: int = 1_000_000
    rate: float = 0.0


@dataclass(frozen=True)
class Result:
    """What came back; latencies in milliseconds, in the order of completion."""

    elapsed_s: float
    client_cpu_s: float
    statuses: dict[str, int]
    errors: list[str]
    latencies_ms: list[float]
    samples: list[str] = field(default_factory=list)


def http_request(method: str, path: str, *, token: str = "", payload: str = "") -> str:
    """One raw HTTP/1.1 request; `@unique@` in the payload is made unique each time it is sent."""
    length = len(payload) + payload.count(UNIQUE.decode()) * (32 - len(UNIQUE))
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if payload:
        lines += ["Content-Type: application/json", f"Content-Length: {length}"]
    return "\r\n".join(lines) + HEAD_END.decode() + payload


class Connection(asyncio.Protocol):
    """Reads answers by Content-Length or in chunks; each resolves the future of its request."""

    def __init__(self) -> None:
        self.buffer = b""
        self.waiter: asyncio.Future[bytes] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_exception(ConnectionError(f"closed by the server: {exc}"))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head_end = self.buffer.find(HEAD_END)
        if head_end < 0:
            return
        head = self.buffer[:head_end].lower()
        start = head.find(LENGTH)
        if start < 0:
            end = len(self.buffer) if self.buffer.endswith(LAST_CHUNK) else sys.maxsize
        else:
            stop = head.find(b"\r", start)
            end = head_end + len(HEAD_END) + int(head[start + len(LENGTH) : stop if stop > 0 else None])
        if len(self.buffer) >= end:
            answer, self.buffer = self.buffer[:end], self.buffer[end:]
            if self.waiter is not None and not self.waiter.done():
                self.waiter.set_result(answer)

    async def exchange(self, request: bytes) -> bytes:
        """Send one request and wait for its whole answer."""
        assert self.transport is not None
        self.waiter = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.waiter


class Run:
    """The shared tally of all connections."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.left = plan.count
        self.statuses: Counter[str] = Counter()
        self.errors: list[str] = []
        self.samples: list[str] = []
        self.latencies_ms: list[float] = []
        self.started = time.perf_counter()
        self.ended = self.started
        self.deadline = self.started + plan.seconds

    def take(self) -> bool:
        """Whether one more request may be sent."""
        if self.left <= 0 or time.perf_counter() >= self.deadline:
            return False
        self.left -= 1
        return True

    def record(self, answer: bytes, sent_at: float) -> None:
        """Count an answer; keeps the text of the first few that aren't 2xx."""
        self.ended = time.perf_counter()
        self.latencies_ms.append((self.ended - sent_at) * 1000)
        status = answer[9:12].decode()
        self.statuses[status] += 1
        if status[0] != "2" and len(self.samples) < 3:
            self.samples.append(answer[-600:].decode(errors="replace"))


async def drive(run: Run, lane: list[str], index: int) -> None:
    """One connection: request, answer, request … until the run is over.

    At a fixed rate the latency counts from the moment a request was due, so a slow server can't hide its queue.
    """
    plan = run.plan
    interval = len(plan.lanes) / plan.rate if plan.rate else 0.0
    due = run.started + interval * index / len(plan.lanes)
    pieces: Iterator[list[bytes]] = cycle([text.encode().split(UNIQUE) for text in lane])
    try:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, plan.host, plan.port)
        while True:
            if interval:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if not run.take():
                break
            sent_at = due if interval else time.perf_counter()
            run.record(await connection.exchange(uuid.uuid4().hex.encode().join(next(pieces))), sent_at)
            due += interval
        if connection.transport is not None:
            connection.transport.close()
    except OSError as exc:
        run.errors.append(f"{type(exc).__name__}: {exc}")


async def execute(plan: Plan) -> Result:
    """Run the plan to its end."""
    before = time.process_time()
    run = Run(plan)
    await asyncio.gather(*(drive(run, lane, index) for index, lane in enumerate(plan.lanes)))
    return Result(
        elapsed_s=run.ended - run.started,
        client_cpu_s=time.process_time() - before,
        statuses=dict(run.statuses),
        errors=run.errors,
        latencies_ms=run.latencies_ms,
        samples=run.samples,
    )


def main() -> None:
    """Plan in, result out."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    result = asyncio.run(execute(Plan(**json.load(sys.stdin))))
    json.dump(asdict(result), sys.stdout)


if __name__ == "__main__":
    main()
