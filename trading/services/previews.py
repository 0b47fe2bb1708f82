"""What an order would do, decided exactly as it would be, on a copy that is thrown away."""

import uuid
from decimal import Decimal
from typing import Any

from astrade.core.clock import system_clock
from astrade.core.errors import AstradeError
from astrade.core.messages import Quote
from astrade.core.money import ZERO, plain
from marketdata import live
from marketdata.selectors import market_by_symbol, markets_by_id
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


@opens_risk_day
def preview_order(*, account: AccountRef, symbol: str, request: OrderRequest) -> dict[str, Any]:
    """Expected fill on the present book, fees, margin and liquidation price, or the refusal it would get.

    No order, no refusal record; nothing but a risk day that was due. Raises UnknownMarket, MarketDataStale or NotFound.
    """
    terms = market_by_symbol(symbol)
    view, quotes = live.view_of(terms.symbol)
    board = Board(markets=markets_by_id(), quotes=quotes)
    facing = own_orders_facing(terms, view, side=request.side, limit=request.price)
    state = read_account(account, market_id=terms.id, orders=facing)
    before = summarise(state, board)
    batch = Batch(state, now=system_clock(), new_uuid=uuid.uuid4, row_ids=ROW_ID_BLOCK)
    order, refusal = None, None
    try:
        check_offered(request)
        order = booking.admit(batch, request, terms=terms, view=view, board=board, limits=limits(), fingerprint="")
    except AstradeError as exc:
        refusal = {"code": exc.code, "message": str(exc), "details": exc.details}
    after = summarise(state, board)
    figures = _fill_figures(order, batch, view.quote) | _margin_figures(before, after)
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
