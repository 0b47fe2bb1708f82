"""Book what the matcher found: an order whose trigger price was reached."""

from collections.abc import Mapping
from decimal import Decimal

from astrade.core.messages import MarketView, Quote
from marketdata.selectors import market_by_symbol, markets_by_id
from trading.domain import conditional
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
    admitted: tuple[Decimal, int] | None = None,
) -> bool:
    """Let an order whose trigger price was reached trade or rest on `view`, or end; False if nothing happened.

    Order and status are read again under the account's lock, so a late or doubled call does nothing. `admitted` is the
    trigger price and book sequence of the order that was reached: one that was changed meanwhile was not. The account's
    own resting orders are loaded with it: those that it would meet, and those that it would queue behind.
    """
    terms, board = market_by_symbol(view.quote.symbol), Board(markets=markets_by_id(), quotes=quotes)
    named, resting = OrderRef(order_id=order_id), OrdersRef(market_id=terms.id, resting=True)
    with booking(AccountRef(account_id=account_id), market_id=terms.id, order=named, orders=resting) as batch:
        order = batch.account.order
        if order is None or admitted not in (None, (order.trigger_price, order.admitted_sequence)):
            return False
        return conditional.trigger(batch, order, terms=terms, view=view, board=board, limits=limits())
