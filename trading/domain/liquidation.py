"""Liquidation of a practice account (DESIGN §4.4): what the next step is, and everything it writes. Pure.

An account with open positions whose equity is at or below its maintenance margin is brought back step by step, one a
transaction: first the open orders that reserve margin, or would once triggered, are cancelled, then the position that
needs the largest maintenance margin is reduced. That is the measure of "the largest risk": |quantity| x mark x the
market's maintenance rate, DESIGN §4.4's own weight of a position's risk. Spot needs none and so goes last, when equity
itself is used up. Halts stop what adds risk, so none stops a liquidation; nor does a frozen user or account.

A step closes as much as brings equity back above maintenance with a buffer, by the costs expected at the best price; a
book that is thinner than that makes the next step follow. The fee is a share of the maintenance margin that the step
sets free, never more than the equity that is left; no document of the platform or the venue names a rate.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from astrade.core.messages import MarketView
from astrade.core.money import ZERO, ceil_cash, ceil_to_step, floor_cash
from trading.domain import bodies, booking
from trading.domain.admission import ACTIVE, REDUCE_ONLY
from trading.domain.batch import Batch
from trading.domain.ending import announce, end_orders
from trading.domain.lifecycle import EntryKind, LedgerAccount, OrderSource, OrderStatus, OrderType, Side
from trading.domain.margin import Board, MarginSummary, summarise
from trading.domain.shapes import Terms
from trading.domain.state import AccountState, OrderRequest, OrderState, PositionState

REASON = "liquidation"
ORDERS_A_STEP = 150  # cancelled at once: their rows come from one block of ids
TRADABLE = (ACTIVE, REDUCE_ONLY)


class Step(StrEnum):
    """What a call came to; after the first three the account stays as it was."""

    HEALTHY = "healthy"
    STALE = "stale"  # a mark that is needed is too old, or there is none
    ILLIQUID = "illiquid"  # nothing that could be closed
    ELSEWHERE = "elsewhere"  # the riskiest position is in another market than the one looked at
    CANCELLED = "orders_cancelled"
    REDUCED = "position_reduced"


class NoLiquidity(Exception):
    """Nobody in the book to close a position with; the batch is spoilt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The platform's settings: the fee as a share of freed maintenance margin, the buffer as a share of maintenance."""

    fee_share: Decimal
    buffer: Decimal
    stale_after_s: float


def is_due(account: AccountState, summary: MarginSummary) -> bool:
    """Whether the account holds anything and its equity is at or below its maintenance margin."""
    return summary.equity <= summary.maintenance and any(held.quantity for held in account.positions.values())


def riskiest(account: AccountState, board: Board) -> PositionState | None:
    """The position that needs the largest maintenance margin, of those whose market trades."""
    held = [position for position in account.positions.values() if position.quantity]
    tradable = [position for position in held if board.markets[position.market_id].status in TRADABLE]
    return max(tradable, key=lambda position: (_maintenance(position, board), position.market_id), default=None)


def next_step(batch: Batch, *, view: MarketView, board: Board, policy: Policy) -> Step:
    """Take one step on the account under its lock, with its live orders loaded; `view` is the riskiest position's.

    Decides by the marks of `board`, and changes nothing where one of them is stale. Raises NoLiquidity.
    """
    account = batch.account
    before = summarise(account, board)
    if not is_due(account, before):
        return Step.HEALTHY
    if not _is_fresh(account, board, now=batch.now, stale_after_s=policy.stale_after_s):
        return Step.STALE
    reserving = [order for order in account.orders if order.is_live and not order.reduce_only][:ORDERS_A_STEP]
    if reserving:
        end_orders(batch, reserving, to=OrderStatus.CANCELLED, board=board, reason=REASON)
        _note(batch, before=before, after=before, orders_cancelled=len(reserving))
        return Step.CANCELLED
    position = riskiest(account, board)
    if position is None:
        return Step.ILLIQUID
    terms = board.markets[position.market_id]
    if terms.symbol != view.quote.symbol:
        return Step.ELSEWHERE
    return _reduce(batch, position, terms=terms, view=view, board=board, policy=policy, before=before)


def step_quantity(
    position: PositionState, *, summary: MarginSummary, terms: Terms, view: MarketView, policy: Policy
) -> Decimal:
    """Base units to close so that equity is above maintenance with the buffer, expecting the best price for all.

    At least the market's minimum, at most the whole position (or the market's largest order); all of it where closing
    costs more than it sets free, and where the rest would be too small to trade.
    """
    held, long = abs(position.quantity), position.quantity > 0
    mark, rate, wanted_share = view.quote.mark, terms.maintenance_margin_rate, 1 + policy.buffer
    best = view.quote.bid if long else view.quote.ask
    slippage = mark - best if long else best - mark
    costs = slippage + best * terms.taker_fee_rate + best * rate * policy.fee_share
    gain = mark * rate * wanted_share - costs
    wanted = held
    if gain > 0:
        short_of = summary.maintenance * wanted_share - summary.equity
        wanted = max(ceil_to_step(short_of / gain, step=terms.step_size), terms.min_quantity)
    if held - wanted < terms.min_quantity:
        wanted = held
    return min(wanted, terms.max_quantity)


def _reduce(
    batch: Batch,
    position: PositionState,
    *,
    terms: Terms,
    view: MarketView,
    board: Board,
    policy: Policy,
    before: MarginSummary,
) -> Step:
    request = OrderRequest(
        side=Side.SELL if position.quantity > 0 else Side.BUY,
        type=OrderType.MARKET,
        quantity=step_quantity(position, summary=before, terms=terms, view=view, policy=policy),
        reduce_only=True,
        client_order_id=f"{REASON}-{batch.new_uuid()}",
        source=OrderSource.LIQUIDATION,
    )
    cash = batch.account.cash.balance
    order = booking.take_for_platform(batch, request, terms=terms, view=view)
    if not order.filled_quantity:
        raise NoLiquidity
    covered = _covered(batch, order, cash_before=cash)
    fee = _charge(batch, order, terms=terms, board=board, policy=policy)
    after = summarise(batch.account, board)
    _note(batch, before=before, after=after, order=order, symbol=terms.symbol, fee=fee, insurance=covered)
    announce(batch, order, board=board, summary=after)
    return Step.REDUCED


def _charge(batch: Batch, order: OrderState, *, terms: Terms, board: Board, policy: Policy) -> Decimal:
    """The liquidation fee, booked onto the insurance account; never more than the equity that is left."""
    owed = ceil_cash(order.filled_notional * terms.maintenance_margin_rate * policy.fee_share)
    fee = min(owed, max(ZERO, floor_cash(summarise(batch.account, board).equity)))
    reference = f"liquidation:{order.uuid}"
    batch.post(EntryKind.LIQUIDATION, amount=-fee, against=LedgerAccount.INSURANCE, reference=reference)
    return fee


def _covered(batch: Batch, order: OrderState, *, cash_before: Decimal) -> Decimal:
    """What the insurance paid while `order` filled: the cash that its fills do not explain."""
    fills = [fill for fill in batch.inserts["fill"] if fill["order_id"] == order.id]
    earned = sum((fill["realized_pnl"] - fill["fee"] for fill in fills), ZERO)
    return batch.account.cash.balance - cash_before - earned


def _note(
    batch: Batch,
    *,
    before: MarginSummary,
    after: MarginSummary,
    orders_cancelled: int = 0,
    order: OrderState | None = None,
    symbol: str | None = None,
    fee: Decimal = ZERO,
    insurance: Decimal = ZERO,
) -> None:
    """The step's own row and event."""
    figures: dict[str, Decimal | int] = {
        "orders_cancelled": orders_cancelled,
        "quantity": order.filled_quantity if order else ZERO,
        "notional": order.filled_notional if order else ZERO,
        "fee": fee,
        "insurance": insurance,
        "equity": before.equity,
        "maintenance": before.maintenance,
        "equity_after": after.equity,
        "maintenance_after": after.maintenance,
    }
    row = {"id": batch.next_id(), "account_id": batch.account.id, "at": batch.now, **figures}
    named = {"order_id": order.id if order else None, "market_id": order.market_id if order else None}
    batch.insert("liquidation", row | named)
    batch.emit("liquidation", bodies.liquidation_body(figures, order=order, symbol=symbol, ratio=before.ratio))


def _is_fresh(account: AccountState, board: Board, *, now: datetime, stale_after_s: float) -> bool:
    for position in account.positions.values():
        if position.quantity:
            quote = board.quotes.get(board.markets[position.market_id].symbol)
            if quote is None or (now - quote.at).total_seconds() > stale_after_s:
                return False
    return True


def _maintenance(position: PositionState, board: Board) -> Decimal:
    return abs(position.quantity) * board.mark_of(position) * board.markets[position.market_id].maintenance_margin_rate
