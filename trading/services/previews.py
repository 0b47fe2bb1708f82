"""What an order would do, decided exactly as it would be, on a copy that is thrown away."""

import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from astrade.core.clock import system_clock
from astrade.core.errors import AstradeError
from astrade.core.messages import MarketView, Quote
from astrade.core.money import ZERO, plain
from marketdata import live
from marketdata.selectors import MarketInfo, market_by_symbol, markets_by_id
from trading.domain import booking
from trading.domain.admission import check_offered
from trading.domain.batch import Batch
from trading.domain.bodies import quotient, text_of
from trading.domain.lifecycle import Side
from trading.domain.margin import Board, MarginSummary, liquidation_price, summarise
from trading.domain.state import AccountState, OrderRequest, OrderState
from trading.loading import AccountRef, read_account
from trading.models.base import ROW_ID_BLOCK
from trading.services.orders import limits, own_orders_facing
from trading.services.risk_days import opens_risk_day


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An account as it is, to decide on; nothing of it is written."""

    terms: MarketInfo
    view: MarketView
    board: Board
    batch: Batch

    def admit(self, request: OrderRequest) -> OrderState:
        """The order as it would be placed; raises the refusal that it would get, and spoils the draft."""
        return booking.admit(
            self.batch, request, terms=self.terms, view=self.view, board=self.board, limits=limits(), fingerprint=""
        )


def draft_of(account: AccountRef, symbol: str, request: OrderRequest) -> Draft:
    """What the order meets now. Raises UnknownMarket, MarketDataStale or NotFound."""
    terms = market_by_symbol(symbol)
    view, quotes = live.view_of(terms.symbol)
    facing = own_orders_facing(terms, view, side=request.side, limit=request.price)
    state = read_account(account, market_id=terms.id, orders=facing)
    batch = Batch(state, now=system_clock(), new_uuid=uuid.uuid4, row_ids=ROW_ID_BLOCK)
    return Draft(terms=terms, view=view, board=Board(markets=markets_by_id(), quotes=quotes), batch=batch)


@opens_risk_day
def preview_order(*, account: AccountRef, symbol: str, request: OrderRequest) -> dict[str, Any]:
    """Expected fill on the present book, fees, margin and liquidation price, or the refusal it would get.

    No order, no refusal record; nothing but a risk day that was due. Raises UnknownMarket, MarketDataStale or NotFound.
    """
    draft = draft_of(account, symbol, request)
    terms, board, state = draft.terms, draft.board, draft.batch.account
    before = summarise(state, board)
    order, refusal = None, None
    try:
        check_offered(request)
        order = draft.admit(request)
    except AstradeError as exc:
        refusal = {"code": exc.code, "message": str(exc), "details": exc.details}
    after = summarise(state, board)
    figures = _fill_figures(order, draft.batch, draft.view.quote) | _margin_figures(before, after)
    return (
        {"accepted": refusal is None, "refusal": refusal, "symbol": terms.symbol}
        | figures
        | {"liquidation_price": _liquidation(state, board, terms.id, after) if order else None}
    )


def _fill_figures(order: OrderState | None, batch: Batch, quote: Quote) -> dict[str, Any]:
    if order is None:
        nothing = dict.fromkeys(("expected_price", "worst_price", "slippage"))
        return nothing | {"filled_quantity": "0", "notional": "0", "fee": "0"}
    prices = [fill["price"] for fill in batch.inserts.get("fill", [])]
    expected = quotient(order.filled_notional, order.filled_quantity)
    best = quote.ask if order.side is Side.BUY else quote.bid
    worst = max(prices, default=None) if order.side is Side.BUY else min(prices, default=None)
    slippage: Decimal | None = None if expected is None else (expected - best) * order.side.sign
    return {
        "expected_price": text_of(expected),
        "worst_price": text_of(worst),
        "slippage": text_of(slippage),
        "filled_quantity": plain(order.filled_quantity),
        "notional": plain(order.filled_notional),
        "fee": plain(order.fee),
    }


def _margin_figures(before: MarginSummary, after: MarginSummary) -> dict[str, Any]:
    required = quotient(max(ZERO, after.initial - before.initial), Decimal(1)) or ZERO
    available = quotient(max(ZERO, before.available), Decimal(1)) or ZERO
    return {"margin_required": plain(required), "margin_available": plain(available)}


def _liquidation(state: AccountState, board: Board, market_id: int, summary: MarginSummary) -> str | None:
    position = state.positions.get(market_id)
    if position is None or not position.quantity:
        return None
    market, mark = board.markets[market_id], board.mark_of(position)
    return text_of(liquidation_price(position, summary=summary, mark=mark, market=market))
