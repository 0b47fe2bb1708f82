"""What accounts are worth and hold, as the API shows it: account states valued at the present marks."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from astrade.core.clock import to_ms
from astrade.core.money import ZERO, plain
from trading.domain.bodies import Body, balance_body, closed_position_body, position_body, text_of
from trading.domain.lifecycle import Side
from trading.domain.limits import OWN_LIMITS, own_limit
from trading.domain.margin import Board, summarise
from trading.domain.positions import Closed
from trading.domain.protection import levels
from trading.domain.state import AccountState
from trading.models import ClosedPosition, TradingAccount

ACCOUNT_FIGURES = ("balance", "equity", "unrealized_pnl", "margin_ratio")
POSITION_FIGURES = ("id", "symbol", "mark_price", "unrealized_pnl", "pnl_percentage")


def account_body(row: TradingAccount, state: AccountState, board: Board, *, now: datetime) -> Body:
    """A trading account (of `selectors.as_opened`) with its money, and its owner's limits as they stand at `now`."""
    own = {name: own_limit(row, name).at(now) for name in OWN_LIMITS}
    money = balance_body(summarise(state, board), asset=state.cash.asset)
    return {
        "id": str(row.uuid),
        "name": row.name,
        "venue": row.venue,
        "network": row.network,
        "is_demo": row.venue == TradingAccount.Venue.PRACTICE,
        "primary": row.is_primary,
        "state": row.state,
        "currency": row.currency,
        "simulator": row.simulator,
        "simulated_latency_ms": row.simulated_latency_ms,
        "initial_balance": plain(row.initial_balance),  # type: ignore[attr-defined]
        "max_leverage": row.max_leverage,
        **{name: text_of(limit.value) for name, limit in own.items()},
        "pending_limits": [
            {"limit": name, "value": text_of(limit.next_value), "effective_at": to_ms(limit.next_at)}
            for name, limit in own.items()
            if limit.next_at is not None
        ],
        **{name: money[name] for name in ("balance", "equity", "margin_used", "margin_available")},
        "version": row.version,
        "created_at": to_ms(row.created_at),
    }


def balance_of(state: AccountState, board: Board) -> Body:
    """The account's balance body."""
    return balance_body(summarise(state, board), asset=state.cash.asset)


def open_positions(state: AccountState, board: Board, *, market_id: int | None = None) -> list[Body]:
    """The account's open positions, those opened last first."""
    summary = summarise(state, board)
    held = [position for position in state.positions.values() if position.quantity]
    if market_id is not None:
        held = [position for position in held if position.market_id == market_id]
    held.sort(key=lambda position: (position.opened_at is not None, position.opened_at), reverse=True)
    return [
        position_body(
            position,
            market=board.markets[position.market_id],
            mark=board.mark_of(position),
            leverage=state.leverage_on(position.market_id),
            summary=summary,
            protection=levels(position, state.protective),
        )
        for position in held
    ]


def pnl_body(state: AccountState, board: Board) -> Body:
    """What moves with the marks: the account's worth and its open positions' profit."""
    money = balance_of(state, board)
    return {name: money[name] for name in ACCOUNT_FIGURES} | {
        "positions": [{name: position[name] for name in POSITION_FIGURES} for position in open_positions(state, board)]
    }


def closed_positions(rows: Iterable[ClosedPosition], state: AccountState, board: Board) -> list[Body]:
    """History rows in the form of positions."""
    return [_closed(row, state, board) for row in rows]


def _closed(row: ClosedPosition, state: AccountState, board: Board) -> Body:
    closed = Closed(
        uuid=row.uuid,
        side=Side(row.side),
        quantity=row.quantity,
        entry_notional=row.entry_notional,
        exit_notional=row.exit_notional,
        realized_pnl=row.realized_pnl,
        fees=row.fees,
        funding=row.funding,
        opened_at=row.opened_at,
    )
    leverage = state.leverage_on(row.market_id)
    symbol = board.markets[row.market_id].symbol
    return closed_position_body(closed, symbol=symbol, leverage=leverage, version=1, closed_at=row.closed_at)


def portfolio_body(accounts: Iterable[tuple[TradingAccount, AccountState]], board: Board) -> dict[str, Any]:
    """A user's accounts and their total; every practice account is in USD."""
    valued = [(row, state, summarise(state, board)) for row, state in accounts]
    totals = {
        "total_balance": sum((summary.balance for _, _, summary in valued), ZERO),
        "total_equity": sum((summary.equity for _, _, summary in valued), ZERO),
        "unrealized_pnl": sum((summary.unrealized_pnl for _, _, summary in valued), ZERO),
    }
    return {name: plain(value) for name, value in totals.items()} | {
        "currency": "USD",
        "accounts": [
            {"account_id": str(row.uuid), "name": row.name} | balance_body(summary, asset=state.cash.asset)
            for row, state, summary in valued
        ],
    }
