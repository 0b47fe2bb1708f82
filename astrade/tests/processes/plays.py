"""What leads to each named point, and what a client does then until all has settled; with or without a kill.

A play is a generator: up to its `yield` it prepares, behind it comes what the point is in. It returns what the outcome
is to be told by, beside the account's history.
"""

import time
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from astrade.tests.processes.client import Trader
from astrade.tests.processes.points import Point
from astrade.tests.processes.system import (
    DOWNSTAIRS,
    HIGH,
    LOW,
    MIDDLE,
    System,
    eventually,
)
from trading.domain.ledger import text_hash

Play = Generator[None, None, object]
ROOTS_TASK, FUNDING_TASK, SNAPSHOTS_TASK, SWEEP_TASK = (
    f"trading.tasks.{name}"
    for name in ("make_balance_roots", "settle_funding", "take_equity_snapshots", "sweep_events")
)
DAYS, RATE = 3, Decimal("0.0001")
SETTLE_AFTER = timedelta(seconds=61)  # what funding waits behind an hour
FAR, NEAR = LOW - 2_000, LOW + 50  # prices in BTC-USD: never reached, and reached once in a wave
TRADES_OF = """
SELECT u.total_trades FROM accounts_user u JOIN trading_tradingaccount a ON a.user_id = u.id WHERE a.uuid = %s
"""
XP_OF = """
SELECT coalesce(sum(x.amount), 0), count(*) FROM gamification_xpentry x
JOIN trading_tradingaccount a ON a.user_id = x.user_id WHERE a.uuid = %s
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """Who plays, and where. The holders have held the same position for at least a minute when funding is played."""

    system: System
    trader: Trader
    holders: "Holders"


@dataclass(slots=True)
class Holders:
    """Two accounts with a position of 0.001 since `since`, by the database's clock; an hour is played once."""

    traders: list[Trader]
    since: datetime
    hours: int = 0

    def next_hour(self) -> datetime:
        """A moment at which they held and whose funding nobody has asked for yet."""
        self.hours += 1
        return self.since + timedelta(milliseconds=self.hours)


def order(stage: Stage) -> Play:
    yield
    bought = stage.trader.buy()
    assert (bought["status"], bought["number"]) == ("filled", 1)
    return None


def cancel(stage: Stage) -> Play:
    resting = stage.trader.rest(price=FAR)
    yield
    stage.trader.cancel(resting)
    return None


def replace(stage: Stage) -> Play:
    resting = stage.trader.rest(price=FAR)
    yield
    stage.trader.replace(resting, price=f"{FAR + 7}", quantity="0.003")
    return None


def protection(stage: Stage) -> Play:
    stage.trader.buy()
    position = stage.trader.position()
    yield
    stage.trader.protect(position, stop_loss=LOW - 1_000, take_profit=HIGH + 1_000)
    return None


def transfer(stage: Stage) -> Play:
    """To a younger account, whose entries are written first."""
    trader = stage.trader
    other = trader.call("POST", "/accounts", {"name": "Second", "initial_balance": "500"})
    form = {"from_account": trader.account_id, "to_account": other["id"], "amount": "12.5"}
    yield
    trader.call("POST", "/transfers", form, key=uuid.uuid4().hex)
    return None


def faucet(stage: Stage) -> Play:
    yield
    stage.trader.call("POST", "/deposits/faucet", {"amount": "250"}, key=uuid.uuid4().hex)
    return None


def fill(stage: Stage) -> Play:
    yield
    stage.trader.until(stage.trader.rest(price=NEAR), "filled")
    return None


def attached(stage: Stage) -> Play:
    yield
    levels = {"stop_loss": f"{LOW - 1_000}", "take_profit": f"{HIGH + 1_000}"}
    stage.trader.until(stage.trader.rest(price=NEAR, **levels), "filled")
    return None


def stop(stage: Stage) -> Play:
    yield
    waiting = stage.trader.place_once_possible(side="sell", type="stop", trigger_price=f"{LOW + 30}")
    stage.trader.until(waiting, "filled")
    return None


def sibling(stage: Stage) -> Play:
    """A position's stop loss is reached at the next low of the wave; its take profit never is."""
    trader = stage.trader
    trader.buy()
    yield
    trader.protect(trader.position(), stop_loss=LOW + 30, take_profit=HIGH + 1_000)
    eventually("the position is closed", lambda: not trader.call("GET", f"/accounts/{trader.account_id}/positions"))
    return None


def liquidation(stage: Stage) -> Play:
    """Bought on the middle step, the position is above maintenance there and below it downstairs; a part of it is sold
    at the one price there, and so every figure is known."""
    trader = stage.trader
    trader.call("PATCH", f"/accounts/{trader.account_id}", {"max_leverage": 50})
    yield
    trader.until(become_liquidatable(trader, account_id=trader.account_id), "filled")
    ledger = f"/accounts/{trader.account_id}/ledger"
    eventually("it is liquidated", lambda: any(e["kind"] == "liquidation" for e in trader.call("GET", ledger)))
    steps = """
        SELECT orders_cancelled, l.quantity, l.notional, l.fee, insurance, equity, maintenance, equity_after,
               maintenance_after
        FROM trading_liquidation l JOIN trading_tradingaccount a ON a.id = l.account_id WHERE a.uuid = %s ORDER BY l.id
    """
    taken = stage.system.rows(steps, trader.account_id)
    assert len(taken) == 2 and taken[1][-2] > taken[1][-1] > 0
    return taken


def expiry(stage: Stage) -> Play:
    yield
    soon = int((time.time() + 4) * 1000)
    stage.trader.until(stage.trader.rest(price=FAR, time_in_force="GTT", expires_at=soon), "expired")
    return None


def dead_man_switch(stage: Stage) -> Play:
    trader = stage.trader
    resting = [trader.rest(price=FAR), trader.rest(price=FAR + 1)]
    yield
    trader.call("POST", "/orders/dead-man-switch", {"timeout_s": 1})
    for order in resting:
        trader.until(order, "cancelled")
    return None


def game(stage: Stage) -> Play:
    yield
    stage.trader.buy()
    eventually("the award is there", lambda: stage.system.rows(XP_OF, stage.trader.account_id) == [(20, 1)])
    return None


def totals(stage: Stage) -> Play:
    yield
    stage.trader.buy()
    stage.system.send_task(SWEEP_TASK)
    eventually("the trade is counted", lambda: stage.system.value(TRADES_OF, stage.trader.account_id) == 1)
    return None


def snapshots(stage: Stage) -> Play:
    stage.system.execute("TRUNCATE trading_equitysnapshot")
    yield
    stage.system.send_task(SNAPSHOTS_TASK)
    wrong = """
        SELECT a.id FROM trading_tradingaccount a LEFT JOIN trading_equitysnapshot s ON s.account_id = a.id
        GROUP BY 1 HAVING count(s.id) <> count(DISTINCT s.at) OR count(s.id) = 0"""
    eventually("every account has its snapshot, and once", lambda: not stage.system.rows(wrong))
    return None


def roots(stage: Stage) -> Play:
    """As if the platform had run for some days, and nobody had made a root yet."""
    system = stage.system
    _backdate_the_first_account(system, by=timedelta(days=DAYS))
    yield
    system.send_task(ROOTS_TASK)
    eventually("all days have their root", lambda: system.count("SELECT count(*) FROM trading_balanceroot") == DAYS)
    checked = system.manage("verify_roots")
    assert checked.returncode == 0, checked.stdout
    return None


def funding(stage: Stage) -> Play:
    """A rate becomes known late, for a moment at which two accounts held a position."""
    system, holders, hour = stage.system, stage.holders, stage.holders.next_hour()
    eventually("the hour is over", lambda: datetime.now(UTC) > holders.since + SETTLE_AFTER, within_s=90)
    market_id = system.value("SELECT id FROM marketdata_market WHERE symbol = 'BTC-USD'")
    yield
    rate = "INSERT INTO marketdata_fundingrate (market_id, at, rate, source) VALUES (%s, %s, %s, 'replay') RETURNING id"
    system.value(rate, market_id, hour, RATE)
    system.send_task(FUNDING_TASK)
    done = "SELECT mark FROM trading_fundinghour WHERE market_id = %s AND hour = %s"
    eventually("the hour is booked", lambda: system.rows(done, market_id, hour))
    mark = system.value(done, market_id, hour)
    paid = """
        SELECT f.account_id, amount, quantity, mark, rate FROM trading_fundingpayment f
        JOIN trading_tradingaccount a ON a.id = f.account_id WHERE hour = %s AND a.uuid::text = ANY(%s) ORDER BY 1"""
    payments = system.rows(paid, hour, [trader.account_id for trader in holders.traders])
    assert len({account_id for account_id, *_ in payments}) == len(holders.traders) == len(payments)
    assert {payment[2:] for payment in payments} == {(Decimal("0.001"), mark, RATE)}
    return payments


def become_liquidatable(trader: Trader, *, account_id: str) -> dict[str, Any]:
    """On an account of 10,000 that may go to fifty times as much: a fill that is too much downstairs, and an order
    that is never reached.
    """
    path = f"/account/leverage?account={account_id}"
    trader.call("PATCH", path, {"symbol": "ETH-USD", "leverage": 50})
    trader.rest(account_id=account_id, price=DOWNSTAIRS - 10, quantity="0.1", symbol="ETH-USD")
    return trader.rest(account_id=account_id, price=MIDDLE + 1, quantity="140", symbol="ETH-USD")


PLAYS: Mapping[Point, Callable[[Stage], Play]] = {
    Point.ORDER: order,
    Point.CANCEL: cancel,
    Point.REPLACE: replace,
    Point.PROTECTION: protection,
    Point.TRANSFER_HALF: transfer,
    Point.TRANSFER: transfer,
    Point.FAUCET: faucet,
    Point.FILL: fill,
    Point.ATTACHED: attached,
    Point.STOP: stop,
    Point.SIBLING: sibling,
    Point.LIQUIDATION_CANCELS: liquidation,
    Point.LIQUIDATION_REDUCES: liquidation,
    Point.EXPIRY: expiry,
    Point.DEAD_MAN_SWITCH: dead_man_switch,
    Point.GAME: game,
    Point.TOTALS: totals,
    Point.SNAPSHOTS: snapshots,
    Point.ROOTS: roots,
    Point.FUNDING: funding,
    Point.FUNDING_HOUR: funding,
}

FIRST_ACCOUNT = "(SELECT account_id FROM trading_journalentry ORDER BY id LIMIT 1)"
ENTRIES_WITHOUT_HASH = f"""
SELECT e.id, a.uuid || '|' || e.uuid || '|' || e.number || '|' || e.kind || '|' || e.reference || '|'
       || (extract(epoch FROM e.at) * 1000000)::bigint || '|',
       string_agg(p.ledger_account || ':' || p.asset || ':' || p.amount || ':' || coalesce(p.running_balance::text, ''),
                  ';' ORDER BY p.line)
FROM trading_journalentry e JOIN trading_tradingaccount a ON a.id = e.account_id
JOIN trading_posting p ON p.entry_id = e.id
WHERE e.account_id = {FIRST_ACCOUNT} GROUP BY e.id, a.uuid ORDER BY e.number
"""


def _backdate_the_first_account(system: System, *, by: timedelta) -> None:
    """Move its first entry to `by` before now, with the hashes that all its entries then have; no root is left."""
    system.execute("SET session_replication_role = replica")
    try:
        system.execute("TRUNCATE trading_balanceroot, trading_balanceleaf, trading_balancetreelevel")
        system.execute(
            f"UPDATE trading_journalentry SET at = now() - interval '{by.days} days' "
            f"WHERE account_id = {FIRST_ACCOUNT} AND number = 1"
        )
        head = "0" * 64
        for row_id, begin, lines in system.database.execute(ENTRIES_WITHOUT_HASH.encode()).fetchall():
            hash_ = text_hash(f"{begin}{head}|{lines}")
            update = "UPDATE trading_journalentry SET previous_hash = %s, hash = %s WHERE id = %s RETURNING id"
            system.value(update, head, hash_, row_id)
            head = hash_
        system.execute(f"UPDATE trading_tradingaccount SET head_hash = '{head}' WHERE id = {FIRST_ACCOUNT}")
    finally:
        system.execute("RESET session_replication_role")
