"""What must hold of an example's accounts after every step, as queries that return what is wrong.

Beside every check of `verify_ledger`: DESIGN §5.1 to 5, the lifecycle of orders, and what orders and positions are to
each other. The auditor's tables hold the example's accounts only.
"""

from collections.abc import Mapping

from trading.domain.lifecycle import FLOWS, LIVE, TRANSITIONS
from trading.verification import CHECKS

ENDED = frozenset({"filled", "cancelled", "expired", "rejected"})  # on practice nothing overtakes an end
MOVES = ", ".join(f"('{move}', '{to}')" for move, ways in TRANSITIONS.items() if move not in ENDED for to in ways)
_FLOWS = ", ".join(f"'{kind}'" for kind in sorted(FLOWS))
_LIVE = ", ".join(f"'{status}'" for status in sorted(LIVE))
SIGNED = "CASE side WHEN 'buy' THEN quantity ELSE -quantity END"
ORDER = "'account ' || o.account_id || ' order ' || o.number || ': '"
NUMBERED = {"order": "order_count", "fill": "fill_count", "journalentry": "entry_count"}
AUDIT: Mapping[str, str] = {
    **CHECKS,
    **{
        f"numbers of {table}": f"""
        SELECT 'account ' || a.id || ': ' || a.{count} || ' were counted, ' || count(DISTINCT n.number) || ' are there'
        FROM trading_tradingaccount a LEFT JOIN trading_{table} n ON n.account_id = a.id GROUP BY a.id, a.{count}
        HAVING (count(*) FILTER (WHERE n.id IS NOT NULL), count(DISTINCT n.number), coalesce(max(n.number), 0))
               <> (a.{count}, a.{count}, a.{count})"""
        for table, count in NUMBERED.items()
    },
    "sequence": """
        SELECT 'account ' || a.id || ': ' || a.sequence || ' events, ' || count(DISTINCT e.sequence) || ' sequences'
        FROM trading_tradingaccount a LEFT JOIN trading_event e ON e.account_id = a.id GROUP BY a.id, a.sequence
        HAVING (count(DISTINCT e.sequence), coalesce(max(e.sequence), 0)) <> (a.sequence, a.sequence)""",
    "client order id": """
        SELECT 'account ' || account_id || ': ' || client_order_id || ' made ' || count(*) || ' orders'
        FROM trading_order GROUP BY account_id, client_order_id HAVING count(*) > 1""",
    "trade": f"""
        SELECT {ORDER} || o.fill_count || ' fills, ' || count(f.id) || ' rows, trades ' || min(f.venue_trade_id)
        FROM trading_order o LEFT JOIN trading_fill f ON f.order_id = o.id
        GROUP BY o.id, o.account_id, o.number, o.fill_count, o.uuid
        HAVING count(f.id) <> o.fill_count OR count(DISTINCT f.venue_trade_id) <> o.fill_count OR
               bool_or(f.id IS NOT NULL AND f.venue_trade_id NOT IN (
                   SELECT o.uuid || ':' || n FROM generate_series(1, o.fill_count) n))""",
    "history": f"""
        SELECT {ORDER} || t.from_status || ' to ' || t.to_status || ', ' || t.before || ' before it, now ' || o.status
        FROM (SELECT *, lag(to_status, 1, 'new') OVER w AS before, lead(id) OVER w IS NULL AS is_last
              FROM trading_ordertransition WINDOW w AS (PARTITION BY order_id ORDER BY id)) t
        JOIN trading_order o ON o.id = t.order_id
        WHERE t.from_status <> t.before OR (t.is_last AND t.to_status <> o.status)
              OR (t.change IS NULL AND (t.from_status, t.to_status) NOT IN (VALUES {MOVES}) AND NOT
                  (o.type = 'twap' AND t.reason <> '' AND t.from_status = t.to_status AND t.to_status IN ({_LIVE})))
              OR (t.change IS NOT NULL AND (t.from_status <> t.to_status OR t.from_status NOT IN ({_LIVE})))""",
    "no history": f"""
        SELECT {ORDER} || 'has no transition' FROM trading_order o
        WHERE NOT EXISTS (SELECT FROM trading_ordertransition t WHERE t.order_id = o.id)""",
    "status": f"""
        SELECT {ORDER} || o.status || ' with ' || o.filled_quantity || ' of ' || o.quantity FROM trading_order o
        WHERE NOT CASE o.status WHEN 'filled' THEN filled_quantity = quantity
                                WHEN 'partially_filled' THEN filled_quantity > 0 AND filled_quantity < quantity
                                WHEN 'untriggered' THEN filled_quantity = 0
                                WHEN 'open' THEN filled_quantity = 0
                                ELSE filled_quantity < quantity END""",
    "live on a closed account": f"""
        SELECT {ORDER} || o.status FROM trading_order o JOIN trading_tradingaccount a ON a.id = o.account_id
        WHERE a.state = 'closed' AND o.status IN ({_LIVE})""",
    "position cost": f"""
        SELECT 'account ' || p.account_id || ' market ' || p.market_id || ': costs ' || p.entry_notional
        FROM trading_position p JOIN (
            SELECT account_id, market_id, sum(price * {SIGNED}) + sum(realized_pnl) AS cost
            FROM trading_fill GROUP BY 1, 2) f ON (f.account_id, f.market_id) = (p.account_id, p.market_id)
        WHERE sign(p.quantity) * p.entry_notional <> f.cost OR (p.quantity = 0 AND p.entry_notional <> 0)""",
    "closed positions": """
        SELECT 'account ' || f.account_id || ' market ' || f.market_id || ': ' || f.pnl || ' and ' || f.fee
        FROM (SELECT account_id, market_id, sum(realized_pnl) AS pnl, sum(fee) AS fee FROM trading_fill GROUP BY 1, 2) f
        LEFT JOIN (SELECT account_id, market_id, sum(realized_pnl) AS pnl, sum(fees) AS fee FROM (
            SELECT account_id, market_id, realized_pnl, fees FROM trading_position WHERE quantity <> 0
            UNION ALL SELECT account_id, market_id, realized_pnl, fees FROM trading_closedposition) p GROUP BY 1, 2) p
            ON (p.account_id, p.market_id) = (f.account_id, f.market_id)
        WHERE (coalesce(p.pnl, 0), coalesce(p.fee, 0)) <> (f.pnl, f.fee)""",
    "equity": f"""
        SELECT 'account ' || a.id || ': cash ' || c.balance || ' is not ' || a.net_deposits || ' and what came of it'
        FROM trading_tradingaccount a JOIN trading_cashbalance c ON c.account_id = a.id
        LEFT JOIN LATERAL (SELECT coalesce(sum(p.amount) FILTER (WHERE e.kind IN ({_FLOWS})), 0) AS flows,
                                  coalesce(sum(p.amount) FILTER (WHERE e.kind = 'liquidation'), 0) AS insurance
            FROM trading_journalentry e JOIN trading_posting p ON p.entry_id = e.id
            WHERE e.account_id = a.id AND p.ledger_account = 'cash') l ON true
        LEFT JOIN LATERAL (SELECT coalesce(sum(realized_pnl - fee), 0) AS pnl,
                                  coalesce(sum(price * quantity), 0) AS traded
            FROM trading_fill WHERE account_id = a.id) f ON true
        LEFT JOIN LATERAL (SELECT coalesce(sum(amount), 0) AS funding
            FROM trading_fundingpayment WHERE account_id = a.id) u ON true
        WHERE c.balance <> l.flows + f.pnl + u.funding + l.insurance OR l.flows <> a.net_deposits
              OR f.traded <> a.traded_notional""",
    "debt": """
        SELECT 'account ' || c.account_id || ': owes ' || c.balance || ' and holds nothing' FROM trading_cashbalance c
        WHERE c.balance < 0 AND NOT EXISTS (SELECT FROM trading_position p WHERE p.account_id = c.account_id
                                            AND p.quantity <> 0)""",
    "own orders face each other": """
        SELECT 'account ' || account_id || ' market ' || market_id FROM trading_order
        WHERE status IN ('open', 'partially_filled') AND price IS NOT NULL AND type <> 'twap'
        GROUP BY account_id, market_id
        HAVING max(price) FILTER (WHERE side = 'buy') >= min(price) FILTER (WHERE side = 'sell')""",
    "protection of nothing": f"""
        SELECT {ORDER} || 'closes ' || o.quantity || ' of ' || coalesce(p.quantity, 0)
        FROM trading_order o LEFT JOIN trading_position p ON (p.account_id, p.market_id) = (o.account_id, o.market_id)
        WHERE o.role IS NOT NULL AND o.status = 'untriggered' AND (p.quantity IS NULL OR o.quantity > abs(p.quantity)
              OR (p.quantity > 0) = (o.side = 'buy') OR (o.parent_id IS NULL AND o.quantity <> abs(p.quantity)))""",
    "protection of a position": """
        SELECT 'account ' || p.account_id || ' market ' || p.market_id || ': ' || r.role
        FROM trading_position p,
             LATERAL (VALUES ('stop_loss', p.stop_loss), ('take_profit', p.take_profit)) r (role, price)
        WHERE r.price IS DISTINCT FROM (
            SELECT CASE count(*) WHEN 1 THEN min(o.trigger_price) WHEN 0 THEN NULL ELSE -1 END FROM trading_order o
            WHERE (o.account_id, o.market_id, o.role, o.status) = (p.account_id, p.market_id, r.role, 'untriggered')
            AND o.parent_id IS NULL)""",
    "protection by a pair": f"""
        SELECT {ORDER} || o.role || ' of order row ' || o.parent_id FROM trading_order o
        JOIN trading_order parent ON parent.id = o.parent_id
        WHERE o.status = 'untriggered' AND o.role IS NOT NULL AND (
            EXISTS (SELECT FROM trading_order t WHERE t.account_id = o.account_id AND t.parent_id = o.parent_id
                    AND t.id <> o.id AND ((t.role = o.role AND t.status = 'untriggered')
                    OR (t.status = 'filled' AND o.id < (SELECT max(id) FROM trading_fill f WHERE f.order_id = t.id))))
            OR o.protected_quantity > parent.filled_quantity - (
                SELECT coalesce(sum(t.filled_quantity), 0) FROM trading_order t
                WHERE t.account_id = o.account_id AND t.parent_id = o.parent_id))""",
    "funding of what was held": f"""
        SELECT 'account ' || f.account_id || ' hour ' || f.hour || ': ' || f.amount || ' for ' || f.quantity
        FROM trading_fundingpayment f
        WHERE f.quantity <> (SELECT coalesce(sum({SIGNED}), 0) FROM trading_fill t
                             WHERE t.account_id = f.account_id AND t.market_id = f.market_id AND t.at <= f.hour)
              OR f.amount <> floor(-f.quantity * f.mark * f.rate * 1000000) / 1000000
              OR EXISTS (SELECT FROM trading_fundingpayment t WHERE t.account_id = f.account_id AND t.id <> f.id
                         AND (t.position_id, t.hour) = (f.position_id, f.hour))""",
    "funding that is missing": f"""
        SELECT 'account ' || a.id || ' market ' || h.market_id || ' hour ' || h.hour FROM trading_tradingaccount a
        JOIN public.trading_fundinghour h ON h.hour >= current_setting('machine.began')::timestamptz
        WHERE a.state <> 'closed' AND 0 <> (SELECT coalesce(sum({SIGNED}), 0) FROM trading_fill t
            WHERE t.account_id = a.id AND t.market_id = h.market_id AND t.at <= h.hour)
        AND NOT EXISTS (SELECT FROM trading_fundingpayment f WHERE f.account_id = a.id AND f.market_id = h.market_id
                        AND f.hour = h.hour)""",
    "clearing": """
        SELECT 'transfers leave ' || sum(amount) FROM trading_posting WHERE ledger_account = 'clearing'
        HAVING sum(amount) <> 0""",
    "transfer": """
        SELECT 'transfer ' || t.uuid FROM public.trading_transfer t
        JOIN trading_tradingaccount a ON a.id = t.from_account_id
        WHERE (SELECT array_agg(p.amount ORDER BY p.amount) FROM trading_journalentry e
               JOIN trading_posting p ON p.entry_id = e.id AND p.ledger_account = 'cash'
               WHERE e.account_id IN (t.from_account_id, t.to_account_id) AND e.reference = 'transfer:' || t.uuid)
              IS DISTINCT FROM ARRAY[-t.amount, t.amount]""",
    "deposit": """
        SELECT 'deposit ' || d.uuid FROM trading_deposit d
        WHERE (SELECT array_agg(p.amount) FROM trading_journalentry e
               JOIN trading_posting p ON p.entry_id = e.id AND p.ledger_account = 'cash'
               WHERE e.account_id = d.account_id AND e.reference = 'faucet:' || d.uuid)
              IS DISTINCT FROM ARRAY[d.amount]""",
    "faucet of a day": """
        SELECT 'user ' || a.user_id || ': ' || sum(d.amount) FROM trading_deposit d
        JOIN trading_tradingaccount a ON a.id = d.account_id
        GROUP BY a.user_id, date_trunc('day', d.at AT TIME ZONE 'UTC') HAVING sum(d.amount) > 100000""",
    "accounts of a user": """
        SELECT 'user ' || user_id || ': ' || count(*) FILTER (WHERE state <> 'closed') || ' open, '
               || count(*) FILTER (WHERE is_primary) || ' primary' FROM trading_tradingaccount GROUP BY user_id
        HAVING count(*) FILTER (WHERE state <> 'closed') > 5 OR count(*) FILTER (WHERE is_primary) <> 1""",
    "successor": """
        SELECT 'account ' || predecessor_id || ' has ' || count(*) || ' successors' FROM trading_tradingaccount
        WHERE predecessor_id IS NOT NULL GROUP BY predecessor_id HAVING count(*) > 1""",
    "adjustment": """
        SELECT 'proposal ' || p.uuid || ' ' || p.state FROM trading_adjustmentproposal p
        LEFT JOIN trading_journalentry r ON r.id = p.reverses_id
        LEFT JOIN LATERAL (SELECT count(*) AS booked, sum(l.amount) AS amount FROM trading_journalentry e
            JOIN trading_posting l ON l.entry_id = e.id AND l.ledger_account = 'cash'
            WHERE e.account_id = p.account_id AND e.kind = 'adjustment'
            AND e.reference = coalesce('reversal:' || r.uuid, 'adjustment:' || p.uuid)) b ON true
        WHERE p.state = 'approved' AND (b.booked, b.amount) IS DISTINCT FROM (1, p.amount)
              OR p.state <> 'approved' AND p.reverses_id IS NULL AND b.booked <> 0""",
    "hold": """
        SELECT 'proposal ' || p.uuid || ' ' || p.state || ': ' || coalesce(h.state, 'nothing') || ' of ' || p.amount
        FROM trading_adjustmentproposal p
        LEFT JOIN public.trading_hold h ON h.account_id = p.account_id AND h.reference = 'adjustment:' || p.uuid
        WHERE p.amount < 0 AND (h.state, h.amount) IS DISTINCT FROM (
            CASE p.state WHEN 'pending' THEN 'held' WHEN 'approved' THEN 'settled' ELSE 'released' END, -p.amount)""",
    "risk day": f"""
        SELECT 'account ' || d.account_id || ' from ' || d.starts_at FROM public.trading_riskday d
        JOIN trading_journalentry o ON o.account_id = d.account_id AND o.number = 1 AND o.at < d.starts_at
        WHERE (d.net_deposits <> (SELECT coalesce(sum(p.amount), 0) FROM trading_journalentry e
                  JOIN trading_posting p ON p.entry_id = e.id AND p.ledger_account = 'cash'
                  WHERE e.account_id = d.account_id AND e.at < d.starts_at AND e.kind IN ({_FLOWS}))
              OR d.traded_notional <> (SELECT coalesce(sum(price * quantity), 0) FROM trading_fill f
                  WHERE f.account_id = d.account_id AND f.at < d.starts_at))""",
}


def query_of(audit: Mapping[str, str]) -> str:
    """All of it in one statement: what it is about, and what was found."""
    return "\nUNION ALL\n".join(
        f"SELECT '{name}', w::text FROM ({query}) AS found (w)" for name, query in audit.items()
    )


MADE = """
SELECT (SELECT count(*) FROM public.trading_transfer t JOIN trading_tradingaccount a ON a.id = t.from_account_id)
     + (SELECT count(*) FROM trading_deposit)
     + (SELECT count(*) FROM trading_tradingaccount WHERE predecessor_id IS NOT NULL),
       (SELECT max(id) FROM trading_fill)
"""
DIGESTED = ("tradingaccount", "cashbalance", "order", "ordertransition", "position", "fill", "event", "journalentry")
DIGEST = "SELECT md5(concat({}))".format(
    ", ".join(f"(SELECT string_agg(t::text, '' ORDER BY t.id) FROM trading_{table} t)" for table in DIGESTED)
)
RESERVED = f"""
SELECT a.id, c.balance, h.amount, p.market_id, p.quantity, p.entry_notional, coalesce(s.leverage, 1), o.buys, o.sells
FROM trading_tradingaccount a JOIN trading_cashbalance c ON c.account_id = a.id
LEFT JOIN LATERAL (SELECT coalesce(sum(amount), 0) AS amount FROM public.trading_hold
                   WHERE account_id = a.id AND state = 'held') h ON true
LEFT JOIN (SELECT account_id, market_id FROM trading_position WHERE quantity <> 0
           UNION SELECT account_id, market_id FROM trading_order WHERE status IN ({_LIVE})) m ON m.account_id = a.id
LEFT JOIN LATERAL (SELECT m.market_id, coalesce(sum(quantity), 0) AS quantity,
                          coalesce(sum(entry_notional), 0) AS entry_notional
    FROM trading_position WHERE (account_id, market_id) = (a.id, m.market_id)) p ON m.market_id IS NOT NULL
LEFT JOIN trading_marketsetting s ON (s.account_id, s.market_id) = (a.id, m.market_id)
LEFT JOIN LATERAL (SELECT
    coalesce(sum(open.quantity * open.price) FILTER (WHERE side = 'buy'), 0) AS buys,
    coalesce(sum(open.quantity * open.price) FILTER (WHERE side = 'sell'), 0) AS sells
    FROM (SELECT x.side, x.quantity - x.filled_quantity AS quantity, coalesce(t.reserve_price, x.price) AS price
          FROM trading_order x LEFT JOIN public.trading_twapplan t ON t.order_id = x.id
          WHERE (x.account_id, x.market_id) = (a.id, m.market_id) AND x.status IN ('open', 'partially_filled')
          AND NOT x.reduce_only) open) o ON m.market_id IS NOT NULL
"""
