"""Book what the matcher found: an order whose trigger price was reached."""

from collections.abc import Mapping
from decimal import Decimal

from astrade.core.messages import MarketView, Quote
from marketdata.selectors import market_by_symbol, markets_by_id
from trading.domain import admission, conditional
from trading.domain.lifecycle import Side
from trading.domain.margin import Board
from trading.loading import AccountRef, OrderRef, OrdersRef
from trading.services.bookings import booking
from trading.services.orders import limits
from trading.services.risk_days import opens_risk_day


@opens_risk_day
def trigger_order(
    *,
    account_id: int,
    order_id: int,
    view: MarketView,
    quotes: Mapping[str, Quote],
    side: Side | None = None,
    admitted: tuple[Decimal, int] | None = None,
) -> bool:
    """Let an order whose trigger price was reached trade or rest on `view`, or end; False if nothing happened.

    Order and status are read again under the account's lock, so a late or doubled call does nothing. `admitted` is the
    trigger price and book sequence of the order that was reached: one that was changed meanwhile was not. `side` is the
    order's, to load the account's own resting orders that it would meet.
    """
    terms, board = market_by_symbol(view.quote.symbol), Board(markets=markets_by_id(), quotes=quotes)
    facing = None
    if side is not None:
        low, high = admission.band_of(terms, view.quote)
        reach = high if side is Side.BUY else low
        facing = OrdersRef(market_id=terms.id, side=side.opposite, within_reach=reach)
    named = OrderRef(order_id=order_id)
    with booking(AccountRef(account_id=account_id), market_id=terms.id, order=named, orders=facing) as batch:
        order = batch.account.order
        if order is None or admitted not in (None, (order.trigger_price, order.admitted_sequence)):
            return False
        return conditional.trigger(batch, order, terms=terms, view=view, board=board, limits=limits())
