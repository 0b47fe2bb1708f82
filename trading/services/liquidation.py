"""Liquidate practice accounts: step after step, each decided anew under the account's lock (DESIGN §4.4)."""

import logging
from collections import Counter as Count
from decimal import Decimal

from django.conf import settings

from astrade.core.errors import MarketDataStale
from astrade.core.metrics import counter
from marketdata import live
from marketdata.selectors import markets_by_id
from trading.domain import liquidation
from trading.domain.liquidation import NoLiquidity, Policy, Step
from trading.domain.margin import Board, summarise
from trading.loading import AccountRef, OrdersRef, read_account
from trading.services.bookings import booking, present_board

STEPS_MAX = 50  # of one call; the next one goes on
AGAIN = (Step.CANCELLED, Step.REDUCED, Step.ELSEWHERE)
LIQUIDATIONS = counter("astrade_liquidation_steps_total", "Steps of liquidations that were booked", ["step"])
logger = logging.getLogger(__name__)


def liquidate(account_id: int) -> Count[Step]:
    """Bring an account at or below maintenance back above it, as far as fresh marks and the book allow.

    One transaction a step, so that a stop in between leaves a whole account and the next call goes on. Does nothing to
    a healthy account; may be called by anybody at any time. Returns how often each step came about.
    """
    account, taken = AccountRef(account_id=account_id), Count[Step]()
    for _ in range(STEPS_MAX):
        step = liquidation_step(account)
        taken[step] += 1
        if step in (Step.CANCELLED, Step.REDUCED):
            LIQUIDATIONS.labels(step).inc()
            logger.warning("liquidation_step", extra={"account": account_id, "step": step})
        if step not in AGAIN:
            break
    return taken


def liquidation_step(account: AccountRef) -> Step:
    """One step, or why there is none. Prices are read before the lock and held against the clock under it."""
    try:
        symbol = _riskiest_symbol(account)
        if symbol is None:
            return Step.HEALTHY
        view, quotes = live.view_of(symbol)
    except MarketDataStale:
        return Step.STALE
    board = Board(markets=markets_by_id(), quotes=quotes)
    try:
        with booking(account, orders=OrdersRef()) as batch:
            return liquidation.next_step(batch, view=view, board=board, policy=policy())
    except NoLiquidity:
        return Step.ILLIQUID


def policy() -> Policy:
    """The platform's settings for liquidations."""
    return Policy(
        fee_share=Decimal(settings.LIQUIDATION_FEE_SHARE),
        buffer=Decimal(settings.LIQUIDATION_BUFFER),
        stale_after_s=settings.FEED_STALE_AFTER_S,
    )


def _riskiest_symbol(account: AccountRef) -> str | None:
    """The market to look at if the account seems due, without a lock."""
    board, state = present_board(), read_account(account)
    if not liquidation.is_due(state, summarise(state, board)):
        return None
    position = liquidation.riskiest(state, board)
    return None if position is None else board.markets[position.market_id].symbol
