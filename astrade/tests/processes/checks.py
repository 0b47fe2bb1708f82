"""What must hold whatever was killed (DESIGN §5), asked of the database, over all accounts."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from astrade.tests.processes.client import Follower, Trader
from astrade.tests.processes.system import System, eventually, without_gap
from trading.verification import CHECKS

SWEEP, SWEPT_WITHIN_S = "trading.tasks.sweep_events", 0.5
UNSETTLED_TOTALS = """
SELECT u.id, u.total_trades, u.total_volume, u.total_realized_pnl, f.trades, f.volume, f.pnl
FROM accounts_user u LEFT JOIN (
    SELECT a.user_id, count(*) AS trades, sum(f.price * f.quantity) AS volume, sum(f.realized_pnl) AS pnl
    FROM trading_fill f JOIN trading_tradingaccount a ON a.id = f.account_id GROUP BY 1
) f ON f.user_id = u.id
WHERE (u.total_trades, u.total_volume, u.total_realized_pnl)
      IS DISTINCT FROM (coalesce(f.trades, 0), coalesce(f.volume, 0), coalesce(f.pnl, 0))
"""
TOTALS_AND_EVENTS = """
SELECT u.id FROM accounts_user u LEFT JOIN (
    SELECT a.user_id, count(*) AS trades, sum((e.data->>'notional')::numeric) AS volume
    FROM trading_event e JOIN trading_tradingaccount a ON a.id = e.account_id WHERE e.kind = 'trade_update' GROUP BY 1
) e ON e.user_id = u.id
WHERE (u.total_trades, u.total_volume) IS DISTINCT FROM (coalesce(e.trades, 0), coalesce(e.volume, 0))
"""
EARNED = """
SELECT a.user_id, 20 * (count(*) > 0)::int
       + 100 * (count(DISTINCT o.id) FILTER (WHERE o.type = 'market' AND o.status = 'filled') >= 5)::int AS xp
FROM trading_fill f JOIN trading_order o ON o.id = f.order_id JOIN trading_tradingaccount a ON a.id = f.account_id
GROUP BY 1
"""
UNSETTLED_GAME = f"""
SELECT earned.user_id, earned.xp, p.xp, x.xp FROM ({EARNED}) earned
LEFT JOIN gamification_progress p ON p.user_id = earned.user_id
LEFT JOIN (SELECT user_id, sum(amount) AS xp FROM gamification_xpentry GROUP BY 1) x ON x.user_id = earned.user_id
WHERE (p.xp, x.xp) IS DISTINCT FROM (earned.xp, earned.xp)
"""
DOUBLED = {
    "orders of one client order id": """
        SELECT account_id, client_order_id FROM trading_order GROUP BY 1, 2 HAVING count(*) > 1""",
    "awards of one cause": "SELECT user_id, source FROM gamification_xpentry GROUP BY 1, 2 HAVING count(*) > 1",
    "primary accounts of one user": """
        SELECT u.id FROM accounts_user u LEFT JOIN trading_tradingaccount a ON a.user_id = u.id AND a.is_primary
        GROUP BY 1 HAVING count(a.id) <> 1""",
    "orders whose last transition isn't to their status": """
        SELECT o.id FROM trading_order o WHERE o.status <> (SELECT to_status FROM trading_ordertransition t
        WHERE t.order_id = o.id ORDER BY t.id DESC LIMIT 1)""",
}


def settle(system: System, *, hurry: bool) -> None:
    """Wait until worker and game have caught up with what happened; in a `hurry`, without waiting for beat."""

    def totals_are_right() -> bool:
        if not system.rows(UNSETTLED_TOTALS):
            return True
        if hurry:
            system.send_task(SWEEP)
            time.sleep(SWEPT_WITHIN_S)
        return False

    eventually("totals are the sums of the fills", totals_are_right)
    eventually("XP is what the fills have earned", lambda: not system.rows(UNSETTLED_GAME))


def check_everything(system: System, *, hurry: bool = True) -> None:
    """Once all has settled nothing is lost, doubled or out of step, on any account."""
    settle(system, hurry=hurry)
    for query in CHECKS.values():
        assert system.database.execute(query.encode()).fetchall() == []
    for what, query in DOUBLED.items():
        assert system.database.execute(query.encode()).fetchall() == [], what
    assert system.rows(TOTALS_AND_EVENTS) == []


def check_events(system: System, trader: Trader, follower: Follower) -> None:
    """The socket brought each event of the account once, in order and as the database has it."""
    stored = """
        SELECT e.sequence, e.kind, e.data FROM trading_event e JOIN trading_tradingaccount a ON a.id = e.account_id
        WHERE a.uuid = %s ORDER BY e.sequence"""
    due = system.rows(stored, trader.account_id)
    eventually("all events have arrived", lambda: len(follower.frames) >= len(due))
    follower.end()
    assert without_gap(follower.sequences)
    assert [(frame["sequence"], frame["type"], frame["data"]) for frame in follower.frames] == due


History = Mapping[str, Sequence[tuple[Any, ...]]]
OF_USER = "a.user_id = (SELECT user_id FROM trading_tradingaccount WHERE uuid = %s)"
HISTORY: Mapping[str, LiteralString] = {
    "accounts": f"""
        SELECT a.state, a.net_deposits, a.sequence, a.order_count, a.fill_count, a.entry_count
        FROM trading_tradingaccount a WHERE {OF_USER} ORDER BY a.id""",
    "orders": f"""
        SELECT o.number, o.side, o.type, o.role, o.source, o.quantity, o.price, o.trigger_price, o.status, o.reason,
               o.filled_quantity, o.version FROM trading_order o JOIN trading_tradingaccount a ON a.id = o.account_id
        WHERE {OF_USER} ORDER BY a.id, o.number""",
    "transitions": f"""
        SELECT o.number, t.from_status, t.to_status, t.reason, t.change FROM trading_ordertransition t
        JOIN trading_order o ON o.id = t.order_id JOIN trading_tradingaccount a ON a.id = o.account_id
        WHERE {OF_USER} ORDER BY a.id, o.number, t.id""",
    "fills": f"""
        SELECT f.number, f.side, f.quantity FROM trading_fill f JOIN trading_tradingaccount a ON a.id = f.account_id
        WHERE {OF_USER} ORDER BY a.id, f.number""",
    "entries": f"""
        SELECT e.number, e.kind FROM trading_journalentry e JOIN trading_tradingaccount a ON a.id = e.account_id
        WHERE {OF_USER} ORDER BY a.id, e.number""",
    "positions": f"""
        SELECT p.quantity, p.stop_loss, p.take_profit FROM trading_position p
        JOIN trading_tradingaccount a ON a.id = p.account_id WHERE {OF_USER} ORDER BY a.id, p.market_id""",
    "events": f"""
        SELECT e.sequence, e.kind, e.data->>'status', e.data->>'state' FROM trading_event e
        JOIN trading_tradingaccount a ON a.id = e.account_id WHERE {OF_USER} ORDER BY a.id, e.sequence""",
}


def history_of(system: System, trader: Trader) -> History:
    """All that happened to a user's accounts, in which order, but for prices and times: those are never the same."""
    return {name: system.rows(query, trader.account_id) for name, query in HISTORY.items()}


def outcome_of(system: System, trader: Trader) -> Sequence[tuple[Any, ...]]:
    """What became of every client order id, and the position: all that must not depend on time and kills."""
    orders = """
        SELECT o.client_order_id, o.side, o.type, o.quantity, o.price, o.status, o.filled_quantity,
               (SELECT sum(f.quantity) FROM trading_fill f WHERE f.order_id = o.id)
        FROM trading_order o JOIN trading_tradingaccount a ON a.id = o.account_id WHERE a.uuid = %s ORDER BY o.number"""
    position = """
        SELECT p.quantity, (SELECT sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END) FROM trading_fill f
                            WHERE f.account_id = a.id), u.total_trades, g.xp
        FROM trading_tradingaccount a LEFT JOIN trading_position p ON p.account_id = a.id
        JOIN accounts_user u ON u.id = a.user_id JOIN gamification_progress g ON g.user_id = u.id WHERE a.uuid = %s"""
    return [*system.rows(orders, trader.account_id), *system.rows(position, trader.account_id)]
