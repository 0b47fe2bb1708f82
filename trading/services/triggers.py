"""Book what the matcher found: orders whose trigger price was reached."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from astrade.core.messages import MarketView, Quote
from marketdata.selectors import market_by_symbol, markets_by_id
from trading.domain import conditional
from trading.domain.margin import Board
from trading.domain.triggers import Untriggered
from trading.loading import ORDERS_AT_ONCE, AccountRef, OrderRef, OrdersRef
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


@opens_risk_day
def trigger_orders(
    *, account_id: int, reached: Sequence[Untriggered], view: MarketView, quotes: Mapping[str, Quote]
) -> int:
    """`trigger_order` for several orders of one account and market, one after the other in one booking; returns how
    many of them traded, came to rest or ended.

    What one raises undoes all of them; OverflowError for an account with more live orders than one booking loads.
    """
    terms, board = market_by_symbol(view.quote.symbol), Board(markets=markets_by_id(), quotes=quotes)
    named = OrdersRef(order_ids=tuple(hit.order_id for hit in reached), and_resting=True, market_id=terms.id)
    happened = 0
    with booking(AccountRef(account_id=account_id), market_id=terms.id, orders=named) as batch:
        waiting = {order.id: order for order in batch.account.orders}
        if len(waiting) == ORDERS_AT_ONCE:
            raise OverflowError(f"account {account_id} has more live orders than one booking loads")
        for hit in reached:
            order, reached_at = waiting.get(hit.order_id), (hit.trigger_price, hit.admitted_sequence)
            if order is None or (order.trigger_price, order.admitted_sequence) != reached_at:
                continue
            batch.next_decision()
            happened += conditional.trigger(batch, order, terms=terms, view=view, board=board, limits=limits())
    return happened
