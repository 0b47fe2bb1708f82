"""32 clients on the accounts of a few users, while matcher, margin watcher and funding work on them too: conserved."""

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from functools import partial
from threading import Event, Thread

import pytest

from astrade.tests.processes.checks import check_events, check_everything
from astrade.tests.processes.client import Follower, Trader
from astrade.tests.processes.crowd import DONE, Client, Shared
from astrade.tests.processes.plays import FUNDING_TASK, RATE, become_liquidatable
from astrade.tests.processes.system import System, eventually, without_gap

FULL = bool(os.environ.get("CAMPAIGN"))
pytestmark = [pytest.mark.processes, pytest.mark.timeout(1800)]
CLIENTS, USERS, REQUESTS = 32, 4, 20_000 if FULL else 640
DEPOSITED, FOLLOWED = Decimal(10_000), 2
FUNDING_EVERY_S, OVER_AFTER = 5.0, timedelta(seconds=61)
CASH = """
SELECT c.balance, (
  SELECT sum(p.amount) FROM trading_posting p JOIN trading_journalentry e ON e.id = p.entry_id
  WHERE e.account_id = a.id AND p.ledger_account = 'cash' AND e.kind = 'transfer'),
 (SELECT coalesce(sum(realized_pnl - fee), 0) FROM trading_fill WHERE account_id = a.id)
 + (SELECT coalesce(sum(amount), 0) FROM trading_fundingpayment WHERE account_id = a.id)
FROM trading_tradingaccount a JOIN trading_cashbalance c ON c.account_id = a.id WHERE a.uuid = %s
"""
STEPS = """
SELECT count(*) FROM trading_liquidation l JOIN trading_tradingaccount a ON a.id = l.account_id WHERE a.uuid = %s
"""
COUNTS = {
    name: f"SELECT count(*) FROM trading_{table}"
    for name, table in {
        "orders": "order",
        "fills": "fill",
        "transfers": "transfer",
        "fundings": "fundingpayment",
        "liquidation steps": "liquidation",
    }.items()
}
NUMBERS = {
    "events": "SELECT sequence FROM trading_event",
    "orders": "SELECT number FROM trading_order",
    "fills": "SELECT number FROM trading_fill",
    "entries": "SELECT number FROM trading_journalentry",
}
FAULTS = re.compile(r"deadlock|\b(40P01|40001)\b|could not serialize|unhandled_error|_could_not|Traceback")


@contextmanager
def funding(system: System) -> Iterator[None]:
    """While it lasts, a rate becomes known again and again of a minute ago."""
    ended = Event()

    def run() -> None:
        with system.another_connection() as database:
            while not ended.wait(FUNDING_EVERY_S):
                database.execute(
                    "INSERT INTO marketdata_fundingrate (market_id, at, rate, source) "
                    "SELECT id, now() - %s, %s, 'replay' FROM marketdata_market WHERE symbol = 'BTC-USD'",
                    (OVER_AFTER, RATE),
                )
                system.send_task(FUNDING_TASK)

    thread = Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def accounts_of(trader: Trader) -> list[Shared]:
    """The user's first account, and a second one, with room for the users' daily business."""
    second = trader.call("POST", "/accounts", {"name": "Second", "initial_balance": "10000"})
    return [Shared(trader.account_id), Shared(second["id"])]


def gamble(trader: Trader) -> str:
    """A third account on which a step of the price will be one too many; returns its id."""
    third = trader.call("POST", "/accounts", {"name": "Third", "initial_balance": "10000", "max_leverage": 50})
    become_liquidatable(trader, account_id=third["id"])
    return str(third["id"])


def has_been_liquidated(system: System, account_id: str) -> bool:
    """In two steps: the other order's end, and the sale."""
    return bool(system.value(STEPS, account_id) >= 2)


def check_accounts(system: System, accounts: Sequence[Shared]) -> None:
    """Cash is what was deposited, earned, paid and transferred, just as the clients were told; numbers have no gap."""
    for account in accounts:
        balance, transferred, earned = system.rows(CASH, account.account_id)[0]
        assert (transferred or 0) == account.received
        assert balance == DEPOSITED + account.granted + account.received + earned
        known = "SELECT id FROM trading_tradingaccount WHERE uuid = %s"
        row_id = system.value(known, account.account_id)
        for what, query in NUMBERS.items():
            numbers = system.database.execute(f"{query} WHERE account_id = {row_id} ORDER BY 1".encode()).fetchall()
            assert without_gap([int(str(number)) for (number,) in numbers]), what
        stored = "SELECT client_order_id, uuid::text FROM trading_order WHERE account_id = %s"
        orders = dict(system.rows(stored, row_id))
        for client_order_id, ids in account.placed.items():
            assert ids == {orders[client_order_id]}
    assert sum(account.received for account in accounts) == 0


def check_server(system: System, *, logs_after: Mapping[str, int]) -> None:
    """The database met no deadlock, no process complains of anything, and every asset sums to zero."""
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert system.value(deadlocks) == 0
    for name, start in logs_after.items():
        log = (system.home / f"{name}.log").read_bytes()[start:].decode(errors="replace")
        assert [line for line in log.splitlines() if FAULTS.search(line)] == []
    for command in ("trial_balance", "verify_ledger"):
        done = system.manage(command)
        assert done.returncode == 0, done.stdout


def test_a_crowd_conserves_everything(
    system: System,
    new_trader: Callable[[], Trader],
    record_property: Callable[[str, object], None],
) -> None:
    counted = {name: system.count(query) for name, query in COUNTS.items()}
    logged = {name: len((system.home / f"{name}.log").read_bytes()) for name in system.commands}
    traders = [new_trader() for _ in range(USERS)]
    for trader in traders:
        trader.sign_up()
    owned = [accounts_of(trader) for trader in traders]
    followers = [Follower(trader) for trader in traders[:FOLLOWED]]
    clients = [Client(traders[n % USERS], owned[n % USERS], seed=n) for n in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool, funding(system):
        thirds = list(pool.map(gamble, traders))
        begun = time.monotonic()
        for _ in pool.map(lambda client: client.act(REQUESTS // CLIENTS), clients):
            pass
        took_s = time.monotonic() - begun
    assert [surprise for client in clients for surprise in client.surprises] == []
    for trader, accounts in zip(traders, owned, strict=True):
        for account in accounts:
            trader.call("DELETE", f"/accounts/{account.account_id}/orders")
    for third in thirds:
        eventually("all who gambled were liquidated", partial(has_been_liquidated, system, third))
    check_everything(system)
    for trader, follower in zip(traders, followers, strict=False):
        check_events(system, trader, follower)
    check_accounts(system, [account for accounts in owned for account in accounts])
    check_server(system, logs_after=logged)
    answers = sum((client.answers for client in clients), Counter[str]())
    told = {
        "clients": CLIENTS,
        "requests": answers.total(),
        "a second": round(answers.total() / took_s),
        "refused": " ".join(f"{code}:{count}" for code, count in sorted(answers.items()) if code != DONE),
        **{name: system.count(query) - counted[name] for name, query in COUNTS.items()},
    }
    for name, value in told.items():
        record_property(name, value)
    print(f"\n{told}")
